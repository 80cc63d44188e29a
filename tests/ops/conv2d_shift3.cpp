// Convolution with 3-bit weights equals the reference: any shape and option, both families, both
// orders on either side, every activation type.

#include "../support/conv.hpp"

using namespace s3;
using test::conv_kind;

namespace {

template <activation X>
void check_all_kinds(std::uint64_t seed) {
    test::conv_suite<shift3, X, test::main_archs> suite(seed);
    suite.run(conv_kind::any, 150);
    suite.run(conv_kind::pointwise, 40);
    suite.run(conv_kind::depthwise, 60);
    suite.run(conv_kind::line, 40);
    suite.run(conv_kind::square, 25);
    suite.run(conv_kind::deep, 12);
    suite.run(conv_kind::odd, 40);
}

} // namespace

TEST_CASE("convolutions of int8 activations are exact") {
    check_all_kinds<std::int8_t>(1);
}
TEST_CASE("convolutions of uint8 activations are exact") {
    check_all_kinds<std::uint8_t>(2);
}
TEST_CASE("convolutions of float activations are exact on small integers") {
    check_all_kinds<float>(3);
}
