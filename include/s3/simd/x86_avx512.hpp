#pragma once
// AVX-512 F, BW, VL and DQ: vectors of 64 bytes, permutations of 16-bit lanes, and stores that
// narrow and saturate. Where gcc 12 warns of the undefined operand in its own definition of an
// intrinsic, the masked form is used with all lanes on.

#include <s3/simd/x86_avx2.hpp>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

namespace s3::arch {

struct avx512 : avx2 {
    using simd = xsimd::avx512bw;
    using half = avx2;
    static constexpr const char* name = "avx512";
    static constexpr std::size_t vector_bytes = 64;
    static constexpr std::size_t float_table = 16;
    static constexpr bool has_permute16 = true;
    static constexpr bool fast_permute16 = true;

    static constexpr auto all32 = static_cast<__mmask16>(-1); ///< all lanes of 32 bits

    static S3_INLINE __m512i look_up16(__m512i table, __m512i index) noexcept {
        return _mm512_shuffle_epi8(table, index);
    }
    static S3_INLINE __m512 look_up_float(__m512 table, __m512i index) noexcept {
        return _mm512_maskz_permutexvar_ps(all32, index, table);
    }
    static S3_INLINE __m512i pair_dot(__m512i x, __m512i w) noexcept {
        return _mm512_maddubs_epi16(x, w);
    }
    static S3_INLINE __m512i pair_dot16(__m512i a, __m512i b) noexcept {
        return _mm512_madd_epi16(a, b);
    }
    static S3_INLINE __m512i lane_shift(__m512i v, __m512i counts) noexcept {
        return _mm512_maskz_sllv_epi32(all32, v, counts);
    }
    static S3_INLINE __m512i lane_shift16(__m512i v, __m512i counts) noexcept {
        return _mm512_sllv_epi16(v, counts);
    }
    static S3_INLINE __m512i permute16(__m512i table, __m512i index) noexcept {
        return _mm512_permutexvar_epi16(index, table);
    }
    static S3_INLINE __m512i permute16(__m512i low, __m512i high, __m512i index) noexcept {
        return _mm512_permutex2var_epi16(low, index, high);
    }
    static S3_INLINE __m512i add_where(std::uint32_t lanes, __m512i sum, __m512i x) noexcept {
        return _mm512_mask_add_epi16(sum, lanes, sum, x);
    }
    static S3_INLINE __m512i subtract_where(std::uint32_t lanes, __m512i sum, __m512i x) noexcept {
        return _mm512_mask_sub_epi16(sum, lanes, sum, x);
    }
    /// One instruction. `in_register` keeps compilers from turning the complement of a constant
    /// mask into a second constant, which would take more.
    template <class V>
    static S3_INLINE V select_bits(const V& mask, const V& a, const V& b) noexcept {
        const V m = s3::simd::in_register(mask);
        return (a & m) | (b & ~m);
    }

    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 2) static S3_INLINE __m512i
        load_widened(const From* p) noexcept {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        return std::is_signed_v<From> ? _mm512_cvtepi8_epi16(v) : _mm512_cvtepu8_epi16(v);
    }
    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 4) static S3_INLINE __m512i
        load_widened(const From* p) noexcept {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        return std::is_signed_v<From> ? _mm512_maskz_cvtepi8_epi32(all32, v)
                                      : _mm512_maskz_cvtepu8_epi32(all32, v);
    }
    template <class To>
    static S3_INLINE __m512i load_widened(const std::int16_t* p) noexcept {
        return _mm512_maskz_cvtepi16_epi32(all32,
                                           _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static S3_INLINE __m512i widen_low(__m512i v) noexcept {
        return _mm512_maskz_cvtepi16_epi32(all32, _mm512_castsi512_si256(v));
    }
    static S3_INLINE __m512i widen_high(__m512i v) noexcept {
        constexpr auto all64 = static_cast<__mmask8>(-1);
        return _mm512_maskz_cvtepi16_epi32(all32, _mm512_maskz_extracti64x4_epi64(all64, v, 1));
    }

    template <class T>
    static constexpr bool store_saturates = std::is_unsigned_v<T>;
    template <class T>
    static S3_INLINE void store_bytes(T* to, __m512i v) noexcept {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                         store_saturates<T> ? _mm512_maskz_cvtusepi32_epi8(all32, v)
                                            : _mm512_maskz_cvtepi32_epi8(all32, v));
    }
    template <class T>
    static S3_INLINE void store_bytes(T* to, __m512i a, __m512i b, __m512i c, __m512i d) noexcept {
        const __m512i low = _mm512_packs_epi32(a, b), high = _mm512_packs_epi32(c, d);
        // The pack instructions interleave their operands in groups of 128 bits; `every_fourth`
        // undoes that.
        const __m512i packed =
            std::is_signed_v<T> ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
        _mm512_storeu_si512(to, every_fourth(packed));
    }
    static S3_INLINE void interleave(std::uint8_t* to, __m512i a, __m512i b, __m512i c,
                                     __m512i d) noexcept {
        // Unpacking works within 128 bits, so bytes that are stored together are first brought
        // together.
        a = every_fourth(a), b = every_fourth(b), c = every_fourth(c), d = every_fourth(d);
        const __m512i ab[2] = {_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)};
        const __m512i cd[2] = {_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d)};
        S3_UNROLL_FOR(int h = 0; h < 2; ++h) {
            auto* at = to + 128 * h;
            _mm512_storeu_si512(at, _mm512_unpacklo_epi16(ab[h], cd[h]));
            _mm512_storeu_si512(at + 64, _mm512_unpackhi_epi16(ab[h], cd[h]));
        }
    }

private:
    /// Reorders 32-bit lanes: 0, 4, 8, 12, then 1, 5, 9, 13, and so on.
    static S3_INLINE __m512i every_fourth(__m512i v) noexcept {
        return _mm512_maskz_permutexvar_epi32(
            all32, _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
    }
};

} // namespace s3::arch

#endif
