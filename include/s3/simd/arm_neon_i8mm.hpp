#pragma once
// NEON with products of unsigned bytes and signed ones (i8mm): of four, and of matrices of 2 × 8
// and 8 × 2.

#include <s3/simd/arm_neon_dot.hpp>

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_FEATURE_MATMUL_INT8)

namespace s3::arch {

struct neon_i8mm : neon_dot {
    static constexpr const char* name = "neon-i8mm";
    static constexpr bool has_matrix_dot = true;

    static S3_INLINE int32x4_t quad_dot(int32x4_t acc, uint8x16_t x, int8x16_t w) noexcept {
        return vusdotq_s32(acc, x, w);
    }
    static S3_INLINE int32x4_t matrix_dot(int32x4_t acc, uint8x16_t x, int8x16_t w) noexcept {
        return vusmmlaq_s32(acc, x, w);
    }
    static S3_INLINE uint8x16_t load_halves(const std::uint8_t* low,
                                            const std::uint8_t* high) noexcept {
        return vcombine_u8(vld1_u8(low), vld1_u8(high));
    }
};

} // namespace s3::arch

#endif
