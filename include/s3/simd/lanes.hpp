#pragma once
// The vectors that kernels are written in. `lanes<T, Arch>` is an xsimd batch, or T itself on
// `arch::scalar`: the same operators serve both, so that one kernel source covers every machine.
// Only what xsimd spells differently between its versions, or lacks, has a name here.

#include <s3/simd/arch.hpp>

#include <cstdint>
#include <cstring>
#include <utility>

namespace s3::simd {

namespace detail {
template <class T, class Arch>
struct lanes_of {
    using type = xsimd::batch<T, typename Arch::simd>;
};
template <class T>
struct lanes_of<T, arch::scalar> {
    using type = T;
};
} // namespace detail

template <class T, class Arch>
using lanes = typename detail::lanes_of<T, Arch>::type;

/// Number of 32-bit lanes: rows of a panel.
template <class Arch>
inline constexpr std::size_t width32 = Arch::vector_bytes / 4;

template <class T, class Arch>
S3_INLINE lanes<T, Arch> load(const T* p) noexcept {
    if constexpr (std::is_same_v<Arch, arch::scalar>)
        return *p;
    else
        return lanes<T, Arch>::load_unaligned(p);
}
template <class Arch, class T>
S3_INLINE void store(T* p, const lanes<T, Arch>& v) noexcept {
    if constexpr (std::is_same_v<Arch, arch::scalar>)
        *p = v;
    else
        v.store_unaligned(p);
}
template <class T, class Arch>
S3_INLINE lanes<T, Arch> broadcast(T value) noexcept {
    return lanes<T, Arch>(value);
}

/// The same vector, surely in a register: what is used several times, compilers may read from
/// memory each time.
template <class V>
S3_INLINE V in_register(const V& v) noexcept {
#if defined(__GNUC__) && defined(__SSE2__)
    if constexpr (!std::is_arithmetic_v<V>) {
        typename V::register_type r = v;
        asm("" : "+v"(r));
        return r;
    }
#endif
    return v;
}

/// a·b + c, fused where the machine can.
template <class V>
S3_INLINE V multiply_add(const V& a, const V& b, const V& c) noexcept {
    if constexpr (std::is_arithmetic_v<V>)
        return a * b + c;
    else
        return xsimd::fma(a, b, c);
}

#if S3_HAS_SIMD
/// The same bits as lanes of another type.
template <class To, class From, class A>
S3_INLINE xsimd::batch<To, A> as(const xsimd::batch<From, A>& v) noexcept {
    if constexpr (std::is_same_v<To, From>)
        return v;
    else
#if XSIMD_VERSION_MAJOR >= 11
        return xsimd::bitwise_cast<To>(v);
#else
        return xsimd::bitwise_cast<xsimd::batch<To, A>>(v);
#endif
}
#endif
template <class To, class From>
requires std::is_arithmetic_v<From> S3_INLINE To as(From v)
noexcept {
    To to;
    static_assert(sizeof to == sizeof v);
    std::memcpy(&to, &v, sizeof to);
    return to;
}

/// int32 lanes → float lanes.
template <class V>
S3_INLINE auto to_float(const V& v) noexcept {
    if constexpr (std::is_arithmetic_v<V>)
        return static_cast<float>(v);
    else
        return xsimd::to_float(v);
}

/// Whether `store_bytes` of one vector takes lanes as unsigned numbers and saturates them.
template <class Arch, class T>
#if defined(__AVX512F__) && defined(__AVX512BW__)
inline constexpr bool store_saturates = Arch::vector_bytes == 64 && std::is_unsigned_v<T>;
#else
inline constexpr bool store_saturates = false;
#endif

/// Stores int32 lanes, all within T but where they saturate, as bytes.
template <class Arch, class T>
requires(sizeof(T) == 1) S3_INLINE
    void store_bytes(T* to, const lanes<std::int32_t, Arch>& v) noexcept {
#if defined(__AVX512F__) && defined(__AVX512BW__)
    if constexpr (Arch::vector_bytes == 64) {
        constexpr auto all = static_cast<__mmask16>(-1);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), store_saturates<Arch, T>
                                                             ? _mm512_maskz_cvtusepi32_epi8(all, v)
                                                             : _mm512_maskz_cvtepi32_epi8(all, v));
        return;
    }
#endif
    alignas(64) std::int32_t wide[width32<Arch>];
    store<Arch>(wide, v);
    for (std::size_t i = 0; i < width32<Arch>; ++i)
        to[i] = static_cast<T>(wide[i]);
}

/// The same of four vectors, one behind the other.
template <class Arch, class T>
requires(sizeof(T) == 1) S3_INLINE
    void store_bytes(T* to, const lanes<std::int32_t, Arch> (&v)[4]) noexcept {
#if defined(__AVX512BW__)
    if constexpr (Arch::vector_bytes == 64) {
        const __m512i low = _mm512_packs_epi32(v[0], v[1]), high = _mm512_packs_epi32(v[2], v[3]);
        // Packing interleaves the vectors by 128 bits.
        const __m512i order =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const __m512i packed =
            std::is_signed_v<T> ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
        _mm512_storeu_si512(
            to, _mm512_maskz_permutexvar_epi32(static_cast<__mmask16>(-1), order, packed));
        return;
    }
#endif
#if defined(__AVX2__)
    if constexpr (Arch::vector_bytes == 32) {
        const __m256i low = _mm256_packs_epi32(v[0], v[1]), high = _mm256_packs_epi32(v[2], v[3]);
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256i packed =
            std::is_signed_v<T> ? _mm256_packs_epi16(low, high) : _mm256_packus_epi16(low, high);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                            _mm256_permutevar8x32_epi32(packed, order));
        return;
    }
#endif
#if defined(__SSE4_1__)
    if constexpr (Arch::vector_bytes == 16) {
        const __m128i low = _mm_packs_epi32(v[0], v[1]), high = _mm_packs_epi32(v[2], v[3]);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), std::is_signed_v<T>
                                                             ? _mm_packs_epi16(low, high)
                                                             : _mm_packus_epi16(low, high));
        return;
    }
#endif
    for (std::size_t i = 0; i < 4; ++i)
        store_bytes<Arch>(to + i * width32<Arch>, v[i]);
}

/// Bits of `a` where `mask` is set, else bits of `b`: one instruction on AVX-512, unless compilers
/// make the complement of a constant another constant.
template <class V>
S3_INLINE V select_bits(const V& mask, const V& a, const V& b) noexcept {
    const V m = sizeof(V) == 64 ? in_register(mask) : mask;
    return (a & m) | (b & ~m);
}

/// Calls f(std::integral_constant<int, 0>), …, f(std::integral_constant<int, N − 1>).
template <int N, class Function>
S3_INLINE void unrolled(Function&& f) noexcept {
    [&]<int... I>(std::integer_sequence<int, I...>) S3_INLINE_LAMBDA {
        (f(std::integral_constant<int, I>{}), ...);
    }
    (std::make_integer_sequence<int, N>{});
}

} // namespace s3::simd
