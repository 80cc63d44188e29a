#pragma once
// AVX2 with FMA: vectors of 32 bytes, shifts with a count per lane, and tables of eight floats.

#include <s3/simd/x86_sse41.hpp>

#if defined(__AVX2__) && defined(__FMA__)

namespace s3::arch {

struct avx2 : sse41 {
    using simd = xsimd::fma3<xsimd::avx2>;
    using half = sse41;
    static constexpr const char* name = "avx2";
    static constexpr std::size_t vector_bytes = 32;
    static constexpr bool has_lane_shift = true;
    static constexpr std::size_t float_table = 8;

    static S3_INLINE __m256i look_up16(__m256i table, __m256i index) noexcept {
        return _mm256_shuffle_epi8(table, index);
    }
    static S3_INLINE __m256 look_up_float(__m256 table, __m256i index) noexcept {
        return _mm256_permutevar8x32_ps(table, index);
    }
    static S3_INLINE __m256i pair_dot(__m256i x, __m256i w) noexcept {
        return _mm256_maddubs_epi16(x, w);
    }
    static S3_INLINE __m256i pair_dot16(__m256i a, __m256i b) noexcept {
        return _mm256_madd_epi16(a, b);
    }
    static S3_INLINE __m256i lane_shift(__m256i v, __m256i counts) noexcept {
        return _mm256_sllv_epi32(v, counts);
    }

    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 2) static S3_INLINE __m256i
        load_widened(const From* p) noexcept {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return std::is_signed_v<From> ? _mm256_cvtepi8_epi16(v) : _mm256_cvtepu8_epi16(v);
    }
    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 4) static S3_INLINE __m256i
        load_widened(const From* p) noexcept {
        const __m128i v = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
        return std::is_signed_v<From> ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v);
    }
    template <class To>
    static S3_INLINE __m256i load_widened(const std::int16_t* p) noexcept {
        return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    template <class T>
    static S3_INLINE void store_bytes(T* to, __m256i a, __m256i b, __m256i c, __m256i d) noexcept {
        const __m256i low = _mm256_packs_epi32(a, b), high = _mm256_packs_epi32(c, d);
        // The pack instructions interleave their operands in groups of 128 bits; `order` undoes
        // that.
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256i packed =
            std::is_signed_v<T> ? _mm256_packs_epi16(low, high) : _mm256_packus_epi16(low, high);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                            _mm256_permutevar8x32_epi32(packed, order));
    }
    static S3_INLINE void interleave(std::uint8_t* to, __m256i a, __m256i b, __m256i c,
                                     __m256i d) noexcept {
        // Unpacking works within 128 bits, so the bytes that go to one half are first brought
        // together.
        const auto ordered = [](__m256i v) S3_INLINE_LAMBDA {
            return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
        };
        a = ordered(a), b = ordered(b), c = ordered(c), d = ordered(d);
        const __m256i ab[2] = {_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)};
        const __m256i cd[2] = {_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d)};
        S3_UNROLL_FOR(int h = 0; h < 2; ++h) {
            auto* at = reinterpret_cast<__m256i*>(to) + 2 * h;
            _mm256_storeu_si256(at, _mm256_unpacklo_epi16(ab[h], cd[h]));
            _mm256_storeu_si256(at + 1, _mm256_unpackhi_epi16(ab[h], cd[h]));
        }
    }

#if defined(__BMI2__) && defined(__x86_64__)
    static S3_INLINE std::uint64_t deposit_bits(std::uint64_t bits, std::uint64_t mask) noexcept {
        return _pdep_u64(bits, mask);
    }
#endif
};

} // namespace s3::arch

#endif
