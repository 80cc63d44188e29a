// Convolution with the other kinds of format equals the reference: the smallest, those too large
// for byte kernels, and ordinary 8-bit weights.

#include "../support/conv.hpp"

using namespace s3;
using test::conv_kind;

namespace {

using archs = test::type_list<arch::native>;

template <weight_format F, activation X>
void check_kinds(std::uint64_t seed) {
    test::conv_suite<F, X, archs> suite(seed);
    suite.run(conv_kind::any, 80);
    suite.run(conv_kind::depthwise, 40);
    suite.run(conv_kind::square, 10);
    suite.run(conv_kind::odd, 20);
}

} // namespace

TEST_CASE("ternary convolutions are exact") {
    check_kinds<ternary, std::uint8_t>(11);
}
TEST_CASE("3-bit convolutions without zero are exact") {
    check_kinds<dense3, std::uint8_t>(12);
}
TEST_CASE("4-bit convolutions without zero are exact") {
    check_kinds<dense4, std::int8_t>(13);
}
TEST_CASE("5-bit convolutions are exact") {
    check_kinds<shift5, std::int8_t>(14);
}
TEST_CASE("convolutions of ordinary 8-bit weights are exact") {
    check_kinds<int8_weights, std::uint8_t>(15);
    check_kinds<int8_weights, std::int8_t>(16);
}
