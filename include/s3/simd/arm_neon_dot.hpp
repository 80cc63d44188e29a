#pragma once
// NEON with dot products of four bytes, both of them signed (dotprod).

#include <s3/simd/arm_neon.hpp>

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

namespace s3::arch {

struct neon_dot : neon {
    static constexpr const char* name = "neon-dotprod";
    static constexpr bool has_quad_dot = true;

    /// vdotq_s32 takes only signed bytes, but x is unsigned. So x is split into parts that are not
    /// above 127: x = (x mod 128) + 64·[x ≥ 128] + 64·[x ≥ 128].
    static S3_INLINE int32x4_t quad_dot(int32x4_t acc, uint8x16_t x, int8x16_t w) noexcept {
        const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(x, vdupq_n_u8(127)));
        const int8x16_t high = vreinterpretq_s8_u8(vshlq_n_u8(vshrq_n_u8(x, 7), 6));
        return vdotq_s32(vdotq_s32(vdotq_s32(acc, w, high), w, high), w, low);
    }
    static S3_INLINE int32x4_t signed_dot(int32x4_t acc, int8x16_t x, int8x16_t w) noexcept {
        return vdotq_s32(acc, x, w);
    }
};

} // namespace s3::arch

#endif
