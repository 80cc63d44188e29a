// Every integer matrix-product kernel equals the scalar reference: 4 bits without zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("dense4 with int8 activations is exact") {
    test::matmul_suite<dense4, std::int8_t, test::main_archs>(61).run();
}

TEST_CASE("dense4 with uint8 activations is exact") {
    test::matmul_suite<dense4, std::uint8_t, test::main_archs>(62).run();
}

TEST_CASE("dense4 is exact at the greatest depth that fits, where sums reach both ends of int32") {
    test::run_at_depth<dense4, std::int8_t, test::main_archs>(63);
    test::run_at_depth<dense4, std::uint8_t, test::main_archs>(64);
}
