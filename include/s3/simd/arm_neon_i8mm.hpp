#pragma once
// NEON with dot products of four unsigned bytes and four signed ones (i8mm).

#include <s3/simd/arm_neon_dot.hpp>

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_FEATURE_MATMUL_INT8)

namespace s3::arch {

struct neon_i8mm : neon_dot {
    static constexpr const char* name = "neon-i8mm";

    static S3_INLINE int32x4_t quad_dot(int32x4_t acc, uint8x16_t x, int8x16_t w) noexcept {
        return vusdotq_s32(acc, x, w);
    }
};

} // namespace s3::arch

#endif
