// NaN and infinity are told from numbers, with -ffast-math too: this file is compiled with it.

#include <s3/core/is_finite.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <initializer_list>
#include <limits>

namespace {
template <class Real>
constexpr bool told =
    !s3::is_finite(std::numeric_limits<Real>::infinity()) &&
    !s3::is_finite(-std::numeric_limits<Real>::infinity()) &&
    !s3::is_finite(std::numeric_limits<Real>::quiet_NaN()) &&
    s3::is_finite(std::numeric_limits<Real>::max()) &&
    s3::is_finite(std::numeric_limits<Real>::lowest()) &&
    s3::is_finite(std::numeric_limits<Real>::denorm_min()) && s3::is_finite(Real(-0.0));
static_assert(told<float> && told<double>);
} // namespace

TEST_CASE("a number is finite unless all bits of its exponent are set") {
    for (std::uint32_t high = 0; high < 0x10000u; ++high)
        for (const std::uint32_t low : {0u, 1u, 0x8000u, 0xffffu}) {
            const volatile std::uint32_t bits = high << 16 | low; // unknown to the compiler
            const bool finite = (bits >> 23 & 255u) != 255u;
            REQUIRE(s3::is_finite(std::bit_cast<float>(std::uint32_t{bits})) == finite);
            // A float's bits above a double's lower half: its exponent takes 3 bits more.
            const std::uint64_t wide = std::uint64_t{bits} << 32 | low;
            REQUIRE(s3::is_finite(std::bit_cast<double>(wide)) == ((wide >> 52 & 2047u) != 2047u));
        }
}
