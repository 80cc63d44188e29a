// Every integer matrix-product kernel equals the scalar reference: 2 bits with zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("shift2 with int8 activations is exact") {
    test::matmul_suite<shift2, std::int8_t, test::all_archs>(1).run();
}

TEST_CASE("shift2 with uint8 activations is exact") {
    test::matmul_suite<shift2, std::uint8_t, test::all_archs>(2).run();
}
