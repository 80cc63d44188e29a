// Every integer matrix-product kernel equals the scalar reference: 3 bits with zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("shift3 with int8 activations is exact") {
    test::matmul_suite<shift3, std::int8_t, test::all_archs>(11).run();
}

TEST_CASE("shift3 with uint8 activations is exact") {
    test::matmul_suite<shift3, std::uint8_t, test::all_archs>(12).run();
}
