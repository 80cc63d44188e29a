// Every float matrix-product kernel is exact on small integers, and else within K·ε·Σ|w·x| of the
// reference: formats with zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("shift weights with float activations") {
    std::uint64_t seed = 100;
    test::zero_formats::each([&]<class F>() {
        CAPTURE(std::string(F::name));
        test::matmul_suite<F, float, test::main_archs>(++seed).run();
    });
}
