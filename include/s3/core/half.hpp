#pragma once
// Two floating-point types of 16 bits, in which scales are stored: IEEE-754 binary16 (1 sign bit, 5
// of the exponent, 10 of the mantissa) and bfloat16 (1, 8, 7), the upper half of a binary32.
// Conversion from float rounds to nearest, half to even; what is too large becomes infinity.

#include <s3/core/bit_cast.hpp>

#include <cstdint>

namespace s3 {

[[nodiscard]] constexpr float from_bfloat16(std::uint16_t h) noexcept {
    return bit_cast<float>(std::uint32_t{h} << 16);
}
[[nodiscard]] constexpr std::uint16_t to_bfloat16(float v) noexcept {
    const auto bits = bit_cast<std::uint32_t>(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return static_cast<std::uint16_t>(bits >> 16 | 0x40u); // a NaN stays one
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

[[nodiscard]] constexpr float from_float16(std::uint16_t h) noexcept {
    const std::uint32_t sign = std::uint32_t{h & 0x8000u} << 16, exponent = h >> 10 & 31u;
    const std::uint32_t mantissa = h & 0x3ffu;
    if (exponent == 0) // mantissa · 2^−24
        return bit_cast<float>(sign |
                               bit_cast<std::uint32_t>(static_cast<float>(mantissa) * 0x1p-24f));
    const std::uint32_t wide = exponent == 31 ? 255u : exponent + 127 - 15;
    return bit_cast<float>(sign | wide << 23 | mantissa << 13);
}
[[nodiscard]] constexpr std::uint16_t to_float16(float v) noexcept {
    const auto bits = bit_cast<std::uint32_t>(v);
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
    const std::uint32_t size = bits & 0x7fffffffu;
    if (size > 0x7f800000u)
        return static_cast<std::uint16_t>(sign | 0x7e00u);
    if (size >= 0x477ff000u) // 65520, which is half-way to 2^16
        return static_cast<std::uint16_t>(sign | 0x7c00u);
    // The mantissa is shifted to its place; below 2^−14, further for each octave.
    const std::uint32_t exponent = size >> 23;
    if (exponent < 127 - 25)
        return sign;
    const std::uint32_t mantissa = (size & 0x7fffffu) | 0x800000u;
    const bool normal = exponent > 127 - 15;
    const std::uint32_t shift = normal ? 13 : 127 - 1 - exponent;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
    std::uint32_t half = mantissa >> shift;
    half += rest > middle || (rest == middle && (half & 1) != 0);
    // A carry out of the mantissa goes on into the exponent, as it should.
    return static_cast<std::uint16_t>(sign |
                                      (normal ? half + ((exponent - (127 - 14)) << 10) : half));
}

} // namespace s3
