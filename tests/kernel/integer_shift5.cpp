// Every integer matrix-product kernel equals the scalar reference: 5 bits with zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("shift5 with int8 activations is exact") {
    test::matmul_suite<shift5, std::int8_t, test::main_archs>(31).run();
}

TEST_CASE("shift5 with uint8 activations is exact") {
    test::matmul_suite<shift5, std::uint8_t, test::main_archs>(32).run();
}

TEST_CASE("shift5 is exact at the greatest depth that fits, where sums reach both ends of int32") {
    test::run_at_depth<shift5, std::int8_t, test::main_archs>(33);
    test::run_at_depth<shift5, std::uint8_t, test::main_archs>(34);
}
