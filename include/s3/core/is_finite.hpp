#pragma once
// Whether a number is neither NaN nor infinite, read off its bits. std::isfinite cannot be used:
// where the host compiles with -ffast-math, compilers assume that every number is finite and drop
// the call. Newer ones (clang 19) assume so of numbers passed by value, too: these are references.

#include <s3/core/bit_cast.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace s3 {

[[nodiscard]] constexpr bool is_finite(const float& v) noexcept {
    constexpr std::uint32_t exponent = 0x7f800000u;
    return (bit_cast<std::uint32_t>(v) & exponent) != exponent;
}
[[nodiscard]] constexpr bool is_finite(const double& v) noexcept {
    constexpr std::uint64_t exponent = std::uint64_t{0x7ff} << 52;
    return (bit_cast<std::uint64_t>(v) & exponent) != exponent;
}

/// The same of a number that was just computed. Under -ffast-math compilers assume that results are
/// finite, so its origin is hidden from them: it passes through memory.
template <std::floating_point Real>
[[nodiscard]] constexpr bool is_finite_result(const Real& v) noexcept {
    Real hidden = v;
    if (!std::is_constant_evaluated())
        asm("" : "+m"(hidden));
    return is_finite(hidden);
}

} // namespace s3
