#pragma once
// Four rows of bytes → one of four-byte groups: to[4·i + r] = from[r][i]. Exactly `count` bytes of
// each row are read, and 4·count written; `Flip` moves signed bytes to unsigned (x + 128).

#include <s3/simd/bytes.hpp>
#include <s3/simd/registers.hpp>

namespace s3::simd {

namespace detail {

#if defined(__SSE4_1__)
/// What unpacks within 16-byte lanes must be given so that groups come out in order.
S3_INLINE __m128i before_unpack(__m128i v) {
    return v;
}
S3_INLINE __m128i unpack8(__m128i a, __m128i b, bool high) {
    return high ? _mm_unpackhi_epi8(a, b) : _mm_unpacklo_epi8(a, b);
}
S3_INLINE __m128i unpack16(__m128i a, __m128i b, bool high) {
    return high ? _mm_unpackhi_epi16(a, b) : _mm_unpacklo_epi16(a, b);
}
#if defined(__AVX2__)
S3_INLINE __m256i before_unpack(__m256i v) {
    return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
S3_INLINE __m256i unpack8(__m256i a, __m256i b, bool high) {
    return high ? _mm256_unpackhi_epi8(a, b) : _mm256_unpacklo_epi8(a, b);
}
S3_INLINE __m256i unpack16(__m256i a, __m256i b, bool high) {
    return high ? _mm256_unpackhi_epi16(a, b) : _mm256_unpacklo_epi16(a, b);
}
#endif
#if defined(__AVX512BW__)
S3_INLINE __m512i before_unpack(__m512i v) {
    // Masked with all lanes on: gcc 12 warns of its own undefined operand otherwise.
    return _mm512_maskz_permutexvar_epi32(
        static_cast<__mmask16>(-1),
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), v);
}
S3_INLINE __m512i unpack8(__m512i a, __m512i b, bool high) {
    return high ? _mm512_unpackhi_epi8(a, b) : _mm512_unpacklo_epi8(a, b);
}
S3_INLINE __m512i unpack16(__m512i a, __m512i b, bool high) {
    return high ? _mm512_unpackhi_epi16(a, b) : _mm512_unpacklo_epi16(a, b);
}
#endif
#endif

/// One vector of each row, from element `at` on.
template <class Arch, bool Flip>
S3_INLINE void interleave_vectors(const std::uint8_t* const (&from)[4], std::size_t at,
                                  std::uint8_t* to) noexcept {
    lanes<std::uint8_t, Arch> v[4];
    S3_UNROLL_FOR(std::size_t r = 0; r < 4; ++r) {
        v[r] = load<std::uint8_t, Arch>(from[r] + at);
        if constexpr (Flip)
            v[r] = v[r] ^ broadcast<std::uint8_t, Arch>(128);
    }
    to += 4 * at;
#if defined(__SSE4_1__)
    raw<Arch> p[4];
    S3_UNROLL_FOR(std::size_t r = 0; r < 4; ++r)
        p[r] = before_unpack(raw<Arch>(v[r]));
    S3_UNROLL_FOR(std::size_t h = 0; h < 2; ++h) {
        const auto first = unpack8(p[0], p[1], h != 0), second = unpack8(p[2], p[3], h != 0);
        S3_UNROLL_FOR(std::size_t q = 0; q < 2; ++q)
            store<Arch>(to + (2 * h + q) * Arch::vector_bytes,
                        lanes<std::uint8_t, Arch>(unpack16(first, second, q != 0)));
    }
#elif defined(__aarch64__)
    vst4q_u8(to,
             uint8x16x4_t{uint8x16_t(v[0]), uint8x16_t(v[1]), uint8x16_t(v[2]), uint8x16_t(v[3])});
#endif
}

} // namespace detail

template <class Arch, bool Flip>
S3_INLINE void interleave(const std::uint8_t* const (&from)[4], std::size_t count,
                          std::uint8_t* to) noexcept {
    std::size_t i = 0;
    if constexpr (has_bytes<Arch>) {
        using narrower = half<Arch>;
        for (; i + Arch::vector_bytes <= count; i += Arch::vector_bytes)
            detail::interleave_vectors<Arch, Flip>(from, i, to);
        if constexpr (has_bytes<narrower>) {
            const std::uint8_t* const rest[4] = {from[0] + i, from[1] + i, from[2] + i,
                                                 from[3] + i};
            return interleave<narrower, Flip>(rest, count - i, to + 4 * i);
        }
    }
    for (; i < count; ++i)
        for (std::size_t r = 0; r < 4; ++r)
            to[4 * i + r] = static_cast<std::uint8_t>(from[r][i] ^ (Flip ? 128 : 0));
}

} // namespace s3::simd
