#pragma once
// AVX-VNNI: AVX2 with dot products of four bytes in one instruction, for processors that may lack
// AVX-512.

#include <s3/simd/x86_avx2.hpp>

#if defined(__AVXVNNI__) && defined(__AVX2__) && defined(__FMA__)

namespace s3::arch {

struct avx_vnni : avx2 {
    static constexpr const char* name = "avx-vnni";
    static constexpr bool has_quad_dot = true;

    static S3_INLINE __m256i quad_dot(__m256i acc, __m256i x, __m256i w) noexcept {
        return _mm256_dpbusd_avx_epi32(acc, x, w);
    }
};

} // namespace s3::arch

#endif
