// Every integer matrix-product kernel equals the scalar reference: ordinary 8-bit weights.

#include "../support/matmul.hpp"

using namespace s3;

TEST_CASE("int8 with int8 activations is exact") {
    test::matmul_suite<int8_weights, std::int8_t, test::all_archs>(81).run();
}

TEST_CASE("int8 with uint8 activations is exact") {
    test::matmul_suite<int8_weights, std::uint8_t, test::all_archs>(82).run();
}

TEST_CASE("int8 is exact at the greatest depth that fits, where sums reach both ends of int32") {
    test::run_at_depth<int8_weights, std::int8_t, test::all_archs>(83);
    test::run_at_depth<int8_weights, std::uint8_t, test::all_archs>(84);
}
