// NaN and infinity are told from numbers, with -ffast-math too: this file is compiled with it.

#include <s3/core/is_finite.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <initializer_list>

namespace {
// Infinities and NaNs are made of their bits: compilers warn of their names under -ffast-math.
template <class Real, class Bits>
constexpr bool told(Bits infinity) {
    const Bits sign = ~(~Bits{0} >> 1);
    const auto finite = [](Bits bits) { return s3::is_finite(s3::bit_cast<Real>(bits)); };
    return !finite(infinity) && !finite(sign | infinity) && !finite(infinity + 1) &&
           !finite(~Bits{0}) && finite(infinity - 1) && finite(sign | (infinity - 1)) &&
           finite(0) && finite(1) && finite(sign);
}
static_assert(told<float>(0x7f800000u));
static_assert(told<double>(std::uint64_t{0x7ff} << 52));
} // namespace

TEST_CASE("a number is finite unless all bits of its exponent are set") {
    for (std::uint32_t high = 0; high < 0x10000u; ++high)
        for (const std::uint32_t low : {0u, 1u, 0x8000u, 0xffffu}) {
            const volatile std::uint32_t bits = high << 16 | low; // unknown to the compiler
            const bool finite = (bits >> 23 & 255u) != 255u;
            REQUIRE(s3::is_finite(s3::bit_cast<float>(std::uint32_t{bits})) == finite);
            // A float's bits above a double's lower half: its exponent takes 3 bits more.
            const std::uint64_t wide = std::uint64_t{bits} << 32 | low;
            REQUIRE(s3::is_finite(s3::bit_cast<double>(wide)) == ((wide >> 52 & 2047u) != 2047u));
        }
}

TEST_CASE("a result is finite unless it overflowed") {
    // Operands that are unknown to the compiler, and what a sum, a product or a quotient makes of
    // them.
    const volatile float large = 3e38f, zero = 0, four = 4;
    CHECK(s3::is_finite_result(large * zero));
    CHECK(s3::is_finite_result(large - four));
    CHECK_FALSE(s3::is_finite_result(large * four));
    CHECK_FALSE(s3::is_finite_result(-large - large));
    CHECK_FALSE(s3::is_finite_result(four / zero));
    CHECK_FALSE(s3::is_finite_result(zero / zero));
    const volatile double huge = 1e308;
    CHECK_FALSE(s3::is_finite_result(huge * 4));
    CHECK_FALSE(s3::is_finite_result(static_cast<float>(double{huge})));
    static_assert(s3::is_finite_result(3e38f) && s3::is_finite_result(-1e308));
}
