#pragma once
// Whether a number is neither NaN nor infinite, read off its bits. std::isfinite cannot be used:
// where the host compiles with -ffast-math, compilers assume that every number is finite and drop
// the call. Newer ones (clang 19) assume so of numbers passed by value, too: these are references.

#include <s3/core/bit_cast.hpp>

#include <cstdint>

namespace s3 {

[[nodiscard]] constexpr bool is_finite(const float& v) noexcept {
    constexpr std::uint32_t exponent = 0x7f800000u;
    return (bit_cast<std::uint32_t>(v) & exponent) != exponent;
}
[[nodiscard]] constexpr bool is_finite(const double& v) noexcept {
    constexpr std::uint64_t exponent = std::uint64_t{0x7ff} << 52;
    return (bit_cast<std::uint64_t>(v) & exponent) != exponent;
}

} // namespace s3
