// Every integer matrix-product kernel equals the scalar reference: 3 bits without zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("dense3 with int8 activations is exact") {
    test::matmul_suite<dense3, std::int8_t, test::main_archs>(51).run();
}

TEST_CASE("dense3 with uint8 activations is exact") {
    test::matmul_suite<dense3, std::uint8_t, test::main_archs>(52).run();
}
