// Every integer matrix-product kernel equals the scalar reference: 2 bits without zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("dense2 with int8 activations is exact") {
    test::matmul_suite<dense2, std::int8_t, test::main_archs>(41).run();
}

TEST_CASE("dense2 with uint8 activations is exact") {
    test::matmul_suite<dense2, std::uint8_t, test::main_archs>(42).run();
}
