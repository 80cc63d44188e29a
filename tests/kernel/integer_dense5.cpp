// Every integer matrix-product kernel equals the scalar reference: 5 bits without zero.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("dense5 with int8 activations is exact") {
    test::matmul_suite<dense5, std::int8_t, test::main_archs>(71).run();
}

TEST_CASE("dense5 with uint8 activations is exact") {
    test::matmul_suite<dense5, std::uint8_t, test::main_archs>(72).run();
}

TEST_CASE("dense5 is exact at the greatest depth that fits, where sums reach both ends of int32") {
    test::run_at_depth<dense5, std::int8_t, test::main_archs>(73);
    test::run_at_depth<dense5, std::uint8_t, test::main_archs>(74);
}
