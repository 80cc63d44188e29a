#pragma once
// How an integer sum becomes a narrower integer: the two roundings that ops/epilogue.hpp uses. Both
// are exact and give the same result on every machine. This header needs no more than a
// freestanding compiler.

#include <s3/core/bit_cast.hpp>

#include <cfloat>
#include <cstdint>

// A FLT_EVAL_METHOD of 16 is fine: only types narrower than float are then widened. −1 means
// unknown, which compilers also say under -ffast-math.
#if FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2 || (FLT_EVAL_METHOD < 0 && !defined(__FAST_MATH__))
#error "float products must be rounded to float: on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif

namespace s3 {

/// The bound 2^23 that rounded values are clamped to, in either direction, before an epilogue adds
/// them up, so that the sum fits int32.
inline constexpr float epilogue_limit = 8388608.0f;
inline constexpr auto integer_epilogue_limit = static_cast<std::int32_t>(epilogue_limit);

/// v / 2^shift, rounded half to even.
[[nodiscard]] constexpr std::int32_t shift_round(std::int32_t v, int shift) noexcept {
    if (shift == 0)
        return v;
    const std::int32_t whole = v >> shift;
    const std::int64_t rest = std::int64_t{v} - (std::int64_t{whole} << shift);
    const std::int64_t half = std::int64_t{1} << (shift - 1);
    return whole + (rest > half || (rest == half && (whole & 1) != 0) ? 1 : 0);
}

/// v · scale as one float32 product, rounded half to even and clamped to ±2^23. Precondition:
/// `scale` is finite. The bits of the product are rounded with integer operations, which no
/// compiler can contract with the multiplication into a fused operation.
[[nodiscard]] constexpr std::int32_t scale_round(std::int32_t v, float scale) noexcept {
    const auto bits = bit_cast<std::uint32_t>(static_cast<float>(v) * scale);
    const auto mantissa = static_cast<std::int32_t>((bits & 0x7fffffu) | 0x800000u);
    const int fraction = 150 - static_cast<int>(bits >> 23 & 255u); // bits behind the binary point
    const std::int32_t magnitude = fraction <= 0    ? static_cast<std::int32_t>(epilogue_limit)
                                   : fraction <= 24 ? shift_round(mantissa, fraction)
                                                    : 0;
    return bits >> 31 != 0 ? -magnitude : magnitude;
}

} // namespace s3
