#pragma once
// Loads and stores between narrow integers in memory and wider lanes: bytes → int16 or int32 lanes,
// int16 lanes → int32. One instruction each where the machine has it.

#include <s3/simd/lanes.hpp>

#if defined(__SSE4_1__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace s3::simd {

namespace detail {
#if defined(__SSE4_1__)
S3_INLINE __m128i load_half(const void* p) {
    return _mm_loadl_epi64(static_cast<const __m128i*>(p));
}
S3_INLINE __m128i load_whole(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
#endif
/// Through memory, where nothing better is known.
template <class To, class Arch, class From>
S3_INLINE lanes<To, Arch> convert_elements(const From* p) noexcept {
    constexpr std::size_t width = sizeof(lanes<To, Arch>) / sizeof(To);
    alignas(64) To wide[width];
    for (std::size_t i = 0; i < width; ++i)
        wide[i] = static_cast<To>(p[i]);
    return load<To, Arch>(wide);
}
} // namespace detail

/// As many elements as there are lanes of `To`, widened.
template <class To, class Arch, class From>
S3_INLINE lanes<To, Arch> load_widened(const From* p) noexcept {
    if constexpr (std::is_same_v<To, From>) {
        return load<To, Arch>(p);
    } else {
        [[maybe_unused]] constexpr bool is_signed = std::is_signed_v<From>;
        [[maybe_unused]] constexpr bool to16 = sizeof(To) == 2;
#if defined(__SSE4_1__)
        if constexpr (sizeof(From) == 1 && Arch::vector_bytes == 16 && to16 &&
                      arch::has<Arch, arch::sse41>) {
            const auto v = detail::load_half(p);
            return is_signed ? _mm_cvtepi8_epi16(v) : _mm_cvtepu8_epi16(v);
        }
#endif
#if defined(__AVX2__)
        if constexpr (sizeof(From) == 1 && Arch::vector_bytes == 32) {
            const auto v = to16 ? detail::load_whole(p) : detail::load_half(p);
            if constexpr (to16)
                return is_signed ? _mm256_cvtepi8_epi16(v) : _mm256_cvtepu8_epi16(v);
            else
                return is_signed ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v);
        }
#endif
#if defined(__AVX512BW__)
        if constexpr (sizeof(From) == 1 && Arch::vector_bytes == 64) {
            if constexpr (to16) {
                const auto v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
                return is_signed ? _mm512_cvtepi8_epi16(v) : _mm512_cvtepu8_epi16(v);
            } else {
                // Masked with all lanes on: gcc 12 warns of its own undefined operand otherwise.
                const auto v = detail::load_whole(p);
                constexpr auto all = static_cast<__mmask16>(-1);
                return is_signed ? _mm512_maskz_cvtepi8_epi32(all, v)
                                 : _mm512_maskz_cvtepu8_epi32(all, v);
            }
        }
#endif
#if defined(__aarch64__)
        if constexpr (sizeof(From) == 1 && to16 && arch::has<Arch, arch::neon>) {
            if constexpr (is_signed)
                return vmovl_s8(vld1_s8(p));
            else
                return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p)));
        }
#endif
        return detail::convert_elements<To, Arch>(p);
    }
}

/// All lanes, widened to `To` if it is not their own type.
template <class Arch, class From, class To>
S3_INLINE void store_widened(To* p, const lanes<From, Arch>& v) noexcept {
    if constexpr (std::is_same_v<To, From>) {
        store<Arch>(p, v);
    } else {
        constexpr std::size_t width = sizeof(lanes<From, Arch>) / sizeof(From);
#if defined(__AVX512BW__)
        if constexpr (sizeof(From) == 2 && Arch::vector_bytes == 64) {
            constexpr auto all = static_cast<__mmask16>(-1);
            const __m512i raw = v;
            const __m256i low = _mm512_castsi512_si256(raw);
            const __m256i high = _mm512_maskz_extracti64x4_epi64(static_cast<__mmask8>(-1), raw, 1);
            _mm512_storeu_si512(p, _mm512_maskz_cvtepi16_epi32(all, low));
            _mm512_storeu_si512(p + width / 2, _mm512_maskz_cvtepi16_epi32(all, high));
            return;
        }
#endif
        alignas(64) From narrow[width];
        store<Arch>(narrow, v);
        for (std::size_t i = 0; i < width; ++i)
            p[i] = static_cast<To>(narrow[i]);
    }
}

} // namespace s3::simd
