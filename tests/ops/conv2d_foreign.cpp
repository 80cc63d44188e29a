// Convolution with formats that the library does not know equals the reference.

#include "../support/conv.hpp"
#include "../support/foreign.hpp"

using namespace s3;
using test::conv_kind;

namespace {

using archs = test::type_list<arch::native>;

template <weight_format F, activation X>
void check_kinds(std::uint64_t seed) {
    CAPTURE(std::string(F::name));
    test::conv_suite<F, X, archs> suite(seed);
    suite.run(conv_kind::any, 60);
    suite.run(conv_kind::depthwise, 30);
    suite.run(conv_kind::square, 6);
    suite.run(conv_kind::odd, 20);
}

} // namespace

TEST_CASE("convolutions of integers of 4 and 5 bits are exact") {
    check_kinds<test::foreign_int4, std::uint8_t>(31);
    check_kinds<test::foreign_int5, std::int8_t>(32);
}
TEST_CASE("convolutions of codebooks are exact") {
    check_kinds<test::thirds, std::uint8_t>(34);
    check_kinds<test::scattered, float>(36);
}
