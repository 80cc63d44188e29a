#pragma once
// Each 32-bit lane shifted by a count of its own; 32 or more leave 0. And bytes widened to lanes.
// `has_lane_shift<Arch>` tells where both are one instruction.

#include <s3/simd/bytes.hpp>

namespace s3::simd {

#if defined(__AVX2__)
template <class Arch>
inline constexpr bool has_lane_shift = arch::has<Arch, arch::avx2>;
#elif defined(__aarch64__)
template <class Arch>
inline constexpr bool has_lane_shift = arch::has<Arch, arch::neon>;
#else
template <class Arch>
inline constexpr bool has_lane_shift = false;
#endif

#if defined(__AVX2__)

namespace detail {
S3_INLINE __m256i lane_shift(__m256i v, __m256i counts) {
    return _mm256_sllv_epi32(v, counts);
}
#if defined(__AVX512F__)
S3_INLINE __m512i lane_shift(__m512i v, __m512i counts) {
    // Masked with all lanes on: gcc 12 warns of its own undefined operand otherwise.
    return _mm512_maskz_sllv_epi32(static_cast<__mmask16>(-1), v, counts);
}
#endif
} // namespace detail

template <class Arch>
S3_INLINE lanes<std::uint32_t, Arch> lane_shift(const lanes<std::uint32_t, Arch>& v,
                                                const lanes<std::uint32_t, Arch>& counts) noexcept {
    return detail::lane_shift(raw<Arch>(v), raw<Arch>(counts));
}
template <class Arch, class X>
S3_INLINE lanes<std::uint32_t, Arch> widen_bytes(const X* p) noexcept {
#if defined(__AVX512F__)
    if constexpr (Arch::vector_bytes == 64) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
        if constexpr (std::is_signed_v<X>)
            return _mm512_maskz_cvtepi8_epi32(static_cast<__mmask16>(-1), v);
        else
            return _mm512_maskz_cvtepu8_epi32(static_cast<__mmask16>(-1), v);
    } else
#endif
    {
        const __m128i v = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
        if constexpr (std::is_signed_v<X>)
            return _mm256_cvtepi8_epi32(v);
        else
            return _mm256_cvtepu8_epi32(v);
    }
}

#elif defined(__aarch64__)

template <class Arch>
S3_INLINE lanes<std::uint32_t, Arch> lane_shift(const lanes<std::uint32_t, Arch>& v,
                                                const lanes<std::uint32_t, Arch>& counts) noexcept {
    return vshlq_u32(uint32x4_t(v), vreinterpretq_s32_u32(uint32x4_t(counts)));
}
template <class Arch, class X>
S3_INLINE lanes<std::uint32_t, Arch> widen_bytes(const X* p) noexcept {
    std::uint32_t four;
    std::memcpy(&four, p, 4);
    const uint8x8_t v = vreinterpret_u8_u32(vdup_n_u32(four));
    if constexpr (std::is_signed_v<X>)
        return vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(v)))));
    else
        return vmovl_u16(vget_low_u16(vmovl_u8(v)));
}

#else

// Named so that kernels for other machines parse; never called without `has_lane_shift`.
template <class Arch>
lanes<std::uint32_t, Arch> lane_shift(const lanes<std::uint32_t, Arch>&,
                                      const lanes<std::uint32_t, Arch>&) = delete;
template <class Arch, class X>
lanes<std::uint32_t, Arch> widen_bytes(const X*) = delete;

#endif

} // namespace s3::simd
