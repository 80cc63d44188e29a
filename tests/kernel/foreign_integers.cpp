// Integer formats that the library does not know: every kernel that accepts one is exact for it.

#include "../support/foreign.hpp"
#include "../support/matmul.hpp"
#include "../support/types.hpp"

using namespace s3;

namespace {

template <weight_format F, class Archs>
void check(std::uint64_t seed) {
    CAPTURE(std::string(F::name));
    test::matmul_suite<F, float, Archs>(seed).run();
    test::matmul_suite<F, std::int8_t, Archs>(seed + 1).run();
    test::matmul_suite<F, std::uint8_t, Archs>(seed + 2).run();
}

} // namespace

TEST_CASE("integers of 4 bits") {
    check<test::foreign_int4, test::main_archs>(300);
}
TEST_CASE("integers of 5 bits") {
    check<test::foreign_int5, test::all_archs>(310);
}
