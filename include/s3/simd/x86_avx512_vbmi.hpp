#pragma once
// AVX-512 with VNNI and VBMI: one instruction looks bytes up in a table of 64 bytes.

#include <s3/simd/x86_avx512_vnni.hpp>

#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__) && defined(__AVX512F__) &&                  \
    defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

namespace s3::arch {

struct avx512_vbmi : avx512_vnni {
    static constexpr const char* name = "avx512-vbmi";
    // As measured on processors without a matrix unit; with one, see x86_amx.hpp.
    static constexpr bool fast_permute16 = true;
    static constexpr bool streams_to_second_level = false;

    static S3_INLINE __m512i look_up64(__m512i table, __m512i index) noexcept {
        return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, index, table);
    }
};

} // namespace s3::arch

#endif
