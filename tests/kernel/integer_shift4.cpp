// Every integer matrix-product kernel equals the scalar reference: 4 bits with zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("shift4 with int8 activations is exact") {
    test::matmul_suite<shift4, std::int8_t, test::main_archs>(21).run();
}

TEST_CASE("shift4 with uint8 activations is exact") {
    test::matmul_suite<shift4, std::uint8_t, test::main_archs>(22).run();
}

TEST_CASE("shift4 is exact at the greatest depth that fits, where sums reach both ends of int32") {
    test::run_at_depth<shift4, std::int8_t, test::main_archs>(23);
    test::run_at_depth<shift4, std::uint8_t, test::main_archs>(24);
}
