#pragma once
// The few byte operations that xsimd has no name for, one overload set per instruction set:
//
//   lookup<F, Pos>      the format's value for the code in bits [Pos, Pos + F::bits) of every byte
//   pair_dot            u8·i8 + u8·i8 → int16 lanes (the caller proves that nothing saturates)
//   pair_sum            int16 + int16 → int32 lanes
//   quad_dot            acc + Σ of four u8·i8 → int32 lanes, exact for all inputs
//
// `has_bytes<Arch>` tells where they exist; elsewhere the 32-bit kernels serve.

#include <s3/simd/lanes.hpp>

#if defined(__SSE4_1__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace s3::simd {

#if defined(__SSE4_1__)
template <class Arch>
inline constexpr bool has_bytes = arch::has<Arch, arch::sse41>;
#elif defined(__aarch64__)
template <class Arch>
inline constexpr bool has_bytes = arch::has<Arch, arch::neon>;
#else
template <class Arch>
inline constexpr bool has_bytes = false;
#endif

/// Whether `quad_dot` is one instruction, so that 16-bit sums would not help.
template <class Arch>
inline constexpr bool has_quad_dot = false;

namespace detail {
/// Entry i: the value of the code in bits [Pos, Pos + F::bits) of i.
template <class F, int Pos, std::size_t Size>
struct byte_table_of {
    alignas(64) std::int8_t value[Size] = {};
    constexpr byte_table_of() {
        for (unsigned i = 0; i < Size; ++i)
            value[i] = static_cast<std::int8_t>(F::value(i >> Pos & (unsigned{F::codes} - 1)));
    }
};
template <class F, int Pos, std::size_t Size>
inline constexpr byte_table_of<F, Pos, Size> byte_table{};
} // namespace detail

#if defined(__SSE4_1__)

template <class Arch>
using raw = typename lanes<std::int32_t, Arch>::register_type;

namespace detail {
S3_INLINE __m128i shuffle(__m128i t, __m128i i) {
    return _mm_shuffle_epi8(t, i);
}
S3_INLINE __m128i maddubs(__m128i a, __m128i b) {
    return _mm_maddubs_epi16(a, b);
}
S3_INLINE __m128i madd(__m128i a, __m128i b) {
    return _mm_madd_epi16(a, b);
}
S3_INLINE __m128i low_bytes(__m128i a) {
    return _mm_srli_epi16(_mm_slli_epi16(a, 8), 8);
}
S3_INLINE __m128i low_signed(__m128i a) {
    return _mm_srai_epi16(_mm_slli_epi16(a, 8), 8);
}
S3_INLINE __m128i high_bytes(__m128i a) {
    return _mm_srli_epi16(a, 8);
}
S3_INLINE __m128i high_signed(__m128i a) {
    return _mm_srai_epi16(a, 8);
}
#if defined(__AVX2__)
S3_INLINE __m256i shuffle(__m256i t, __m256i i) {
    return _mm256_shuffle_epi8(t, i);
}
S3_INLINE __m256i maddubs(__m256i a, __m256i b) {
    return _mm256_maddubs_epi16(a, b);
}
S3_INLINE __m256i madd(__m256i a, __m256i b) {
    return _mm256_madd_epi16(a, b);
}
S3_INLINE __m256i low_bytes(__m256i a) {
    return _mm256_srli_epi16(_mm256_slli_epi16(a, 8), 8);
}
S3_INLINE __m256i low_signed(__m256i a) {
    return _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8);
}
S3_INLINE __m256i high_bytes(__m256i a) {
    return _mm256_srli_epi16(a, 8);
}
S3_INLINE __m256i high_signed(__m256i a) {
    return _mm256_srai_epi16(a, 8);
}
#endif
#if defined(__AVX512BW__)
S3_INLINE __m512i shuffle(__m512i t, __m512i i) {
    return _mm512_shuffle_epi8(t, i);
}
S3_INLINE __m512i maddubs(__m512i a, __m512i b) {
    return _mm512_maddubs_epi16(a, b);
}
S3_INLINE __m512i madd(__m512i a, __m512i b) {
    return _mm512_madd_epi16(a, b);
}
S3_INLINE __m512i low_bytes(__m512i a) {
    return _mm512_srli_epi16(_mm512_slli_epi16(a, 8), 8);
}
S3_INLINE __m512i low_signed(__m512i a) {
    return _mm512_srai_epi16(_mm512_slli_epi16(a, 8), 8);
}
S3_INLINE __m512i high_bytes(__m512i a) {
    return _mm512_srli_epi16(a, 8);
}
S3_INLINE __m512i high_signed(__m512i a) {
    return _mm512_srai_epi16(a, 8);
}
#endif
} // namespace detail

template <class Arch>
S3_INLINE lanes<std::int16_t, Arch> pair_dot(const lanes<std::uint8_t, Arch>& x,
                                             const lanes<std::int8_t, Arch>& w) noexcept {
    return detail::maddubs(raw<Arch>(x), raw<Arch>(w));
}
template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> pair_sum(const lanes<std::int16_t, Arch>& v) noexcept {
    return detail::madd(raw<Arch>(v), raw<Arch>(broadcast<std::int16_t, Arch>(1)));
}

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
template <>
inline constexpr bool has_quad_dot<arch::avx512_vnni> = true;
template <>
inline constexpr bool has_quad_dot<arch::avx2_vnni> = true;

namespace detail {
S3_INLINE __m256i dpbusd(__m256i acc, __m256i x, __m256i w) {
    return _mm256_dpbusd_epi32(acc, x, w);
}
S3_INLINE __m512i dpbusd(__m512i acc, __m512i x, __m512i w) {
    return _mm512_dpbusd_epi32(acc, x, w);
}
} // namespace detail
#endif

template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> quad_dot(const lanes<std::int32_t, Arch>& acc,
                                             const lanes<std::uint8_t, Arch>& x,
                                             const lanes<std::int8_t, Arch>& w) noexcept {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    if constexpr (has_quad_dot<Arch>)
        return detail::dpbusd(raw<Arch>(acc), raw<Arch>(x), raw<Arch>(w));
    else
#endif
    {
        // maddubs would saturate at two products of 255·127, so bytes widen first.
        const raw<Arch> rx = x, rw = w;
        const auto low = detail::madd(detail::low_bytes(rx), detail::low_signed(rw));
        const auto high = detail::madd(detail::high_bytes(rx), detail::high_signed(rw));
        using i32 = lanes<std::int32_t, Arch>;
        return acc + i32(low) + i32(high);
    }
}

/// The value of `F` for the code in bits [Pos, Pos + F::bits) of every byte.
template <class F, int Pos, class Arch>
S3_INLINE lanes<std::int8_t, Arch> lookup(const lanes<std::uint32_t, Arch>& v) noexcept {
#if defined(__AVX512VBMI__)
    if constexpr (arch::has<Arch, arch::avx512_vnni>) {
        // vpermb looks at six bits: a table that repeats makes the shift to bit 0 unnecessary.
        constexpr int shift = Pos + F::bits > 6 ? Pos + F::bits - 6 : 0;
        const auto index = shift == 0 ? v : v >> shift;
        const auto& table = detail::byte_table<F, Pos - shift, 64>;
        // Masked with all lanes on: gcc 12 warns of its own undefined operand otherwise.
        return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, raw<Arch>(index),
                                             _mm512_load_si512(table.value));
    } else
#endif
    {
        const auto& table = detail::byte_table<F, 0, Arch::vector_bytes>;
        const auto field = broadcast<std::uint32_t, Arch>((F::codes - 1) * 0x01010101u);
        const auto index = (Pos == 0 ? v : v >> Pos) & field;
        return detail::shuffle(raw<Arch>(load<std::int8_t, Arch>(table.value)), raw<Arch>(index));
    }
}

#elif defined(__aarch64__)

#if defined(__ARM_FEATURE_DOTPROD)
template <>
inline constexpr bool has_quad_dot<arch::neon_dot> = true;
#endif

template <class Arch>
S3_INLINE lanes<std::int16_t, Arch> pair_dot(const lanes<std::uint8_t, Arch>& x,
                                             const lanes<std::int8_t, Arch>& w) noexcept {
    const uint8x16_t rx = x;
    const int8x16_t rw = w;
    const auto wide = [](uint8x8_t v) { return vreinterpretq_s16_u16(vmovl_u8(v)); };
    const int16x8_t low = vmulq_s16(wide(vget_low_u8(rx)), vmovl_s8(vget_low_s8(rw)));
    const int16x8_t high = vmulq_s16(wide(vget_high_u8(rx)), vmovl_s8(vget_high_s8(rw)));
    return vpaddq_s16(low, high);
}
template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> pair_sum(const lanes<std::int16_t, Arch>& v) noexcept {
    return vpaddlq_s16(int16x8_t(v));
}
template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> quad_dot(const lanes<std::int32_t, Arch>& acc,
                                             const lanes<std::uint8_t, Arch>& x,
                                             const lanes<std::int8_t, Arch>& w) noexcept {
    const uint8x16_t rx = x;
    const int8x16_t rw = w;
#if defined(__ARM_FEATURE_DOTPROD)
    if constexpr (has_quad_dot<Arch>) {
#if defined(__ARM_FEATURE_MATMUL_INT8)
        return vusdotq_s32(int32x4_t(acc), rx, rw);
#else
        // Only signed bytes with signed ones: x = (x mod 128) + 64·[x ≥ 128] + 64·[x ≥ 128].
        const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(rx, vdupq_n_u8(127)));
        const int8x16_t half = vreinterpretq_s8_u8(vshlq_n_u8(vshrq_n_u8(rx, 7), 6));
        return vdotq_s32(vdotq_s32(vdotq_s32(int32x4_t(acc), rw, half), rw, half), rw, low);
#endif
    }
#endif
    const auto wide = [](uint8x8_t v) { return vreinterpretq_s16_u16(vmovl_u8(v)); };
    const int16x8_t w_low = vmovl_s8(vget_low_s8(rw)), w_high = vmovl_s8(vget_high_s8(rw));
    const int16x8_t x_low = wide(vget_low_u8(rx)), x_high = wide(vget_high_u8(rx));
    const int32x4_t a = vpaddq_s32(vmull_s16(vget_low_s16(x_low), vget_low_s16(w_low)),
                                   vmull_high_s16(x_low, w_low));
    const int32x4_t b = vpaddq_s32(vmull_s16(vget_low_s16(x_high), vget_low_s16(w_high)),
                                   vmull_high_s16(x_high, w_high));
    return vaddq_s32(int32x4_t(acc), vpaddq_s32(a, b));
}
template <class F, int Pos, class Arch>
S3_INLINE lanes<std::int8_t, Arch> lookup(const lanes<std::uint32_t, Arch>& v) noexcept {
    const auto field = broadcast<std::uint32_t, Arch>((F::codes - 1) * 0x01010101u);
    const auto index = (Pos == 0 ? v : v >> Pos) & field;
    return vqtbl1q_s8(vld1q_s8(detail::byte_table<F, 0, 16>.value),
                      vreinterpretq_u8_u32(uint32x4_t(index)));
}

#else

// Named so that kernels for other machines parse; never called without `has_bytes`.
template <class Arch>
lanes<std::int16_t, Arch> pair_dot(const lanes<std::uint8_t, Arch>&,
                                   const lanes<std::int8_t, Arch>&) = delete;
template <class Arch>
lanes<std::int32_t, Arch> pair_sum(const lanes<std::int16_t, Arch>&) = delete;
template <class Arch>
lanes<std::int32_t, Arch> quad_dot(const lanes<std::int32_t, Arch>&,
                                   const lanes<std::uint8_t, Arch>&,
                                   const lanes<std::int8_t, Arch>&) = delete;
template <class F, int Pos, class Arch>
lanes<std::int8_t, Arch> lookup(const lanes<std::uint32_t, Arch>&) = delete;

#endif

} // namespace s3::simd
