// Every float matrix-product kernel is exact on small integers, and else within K·ε·Σ|w·x| of the
// reference: formats without zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("shift weights with float activations") {
    std::uint64_t seed = 105;
    test::dense_formats::each([&]<class F>() {
        CAPTURE(std::string(F::name));
        test::matmul_suite<F, float, test::main_archs>(++seed).run();
    });
}

TEST_CASE("int8 weights with float activations") {
    test::matmul_suite<int8_weights, float, test::main_archs>(111).run();
}
