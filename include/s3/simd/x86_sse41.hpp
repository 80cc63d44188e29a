#pragma once
// SSE4.1: vectors of 16 bytes with byte look-ups, byte products and widening loads (SSSE3, SSE4.1).
// The wider sets of x86 derive from this tag and replace its functions for their own registers.

#include <s3/simd/tags.hpp>

#if defined(__SSE4_1__)
#include <immintrin.h>

namespace s3::arch {

struct sse41 : generic {
    using simd = xsimd::sse4_1;
    static constexpr const char* name = "sse4.1";
    static constexpr std::size_t vector_bytes = 16;
    static constexpr bool has_bytes = true;

    static S3_INLINE __m128i look_up16(__m128i table, __m128i index) noexcept {
        return _mm_shuffle_epi8(table, index);
    }
    static S3_INLINE __m128i pair_dot(__m128i x, __m128i w) noexcept {
        return _mm_maddubs_epi16(x, w);
    }
    static S3_INLINE __m128i pair_dot16(__m128i a, __m128i b) noexcept {
        return _mm_madd_epi16(a, b);
    }

    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 2) static S3_INLINE __m128i
        load_widened(const From* p) noexcept {
        const __m128i v = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
        return std::is_signed_v<From> ? _mm_cvtepi8_epi16(v) : _mm_cvtepu8_epi16(v);
    }
    template <class To>
    static S3_INLINE __m128i load_widened(const std::int16_t* p) noexcept {
        return _mm_cvtepi16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    }
    template <class T>
    static S3_INLINE void store_bytes(T* to, __m128i a, __m128i b, __m128i c, __m128i d) noexcept {
        const __m128i low = _mm_packs_epi32(a, b), high = _mm_packs_epi32(c, d);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), std::is_signed_v<T>
                                                             ? _mm_packs_epi16(low, high)
                                                             : _mm_packus_epi16(low, high));
    }
    static S3_INLINE void interleave(std::uint8_t* to, __m128i a, __m128i b, __m128i c,
                                     __m128i d) noexcept {
        const __m128i ab[2] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
        const __m128i cd[2] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
        S3_UNROLL_FOR(int h = 0; h < 2; ++h) {
            auto* at = reinterpret_cast<__m128i*>(to) + 2 * h;
            _mm_storeu_si128(at, _mm_unpacklo_epi16(ab[h], cd[h]));
            _mm_storeu_si128(at + 1, _mm_unpackhi_epi16(ab[h], cd[h]));
        }
    }
};

} // namespace s3::arch

#endif
