#pragma once
// AVX-512 with VNNI: dot products of four bytes in one instruction. `avx2_vnni` is the same
// processor used with vectors of 32 bytes, for layers with few channels.

#include <s3/simd/x86_avx512.hpp>

#if defined(__AVX512VNNI__) && defined(__AVX512F__) && defined(__AVX512BW__) &&                    \
    defined(__AVX512VL__) && defined(__AVX512DQ__)

namespace s3::arch {

struct avx2_vnni : avx2 {
    static constexpr const char* name = "avx2-vnni";
    static constexpr bool has_quad_dot = true;

    static S3_INLINE __m256i quad_dot(__m256i acc, __m256i x, __m256i w) noexcept {
        return _mm256_dpbusd_epi32(acc, x, w);
    }
};

struct avx512_vnni : avx512 {
    using half = avx2_vnni;
    static constexpr const char* name = "avx512-vnni";
    static constexpr bool has_quad_dot = true;
    // Processors with this set and no more have one unit for permutations, which dot products beat.
    static constexpr bool fast_permute16 = false;
    static constexpr bool streams_to_second_level = true;

    static S3_INLINE __m512i quad_dot(__m512i acc, __m512i x, __m512i w) noexcept {
        return _mm512_dpbusd_epi32(acc, x, w);
    }
};

} // namespace s3::arch

#endif
