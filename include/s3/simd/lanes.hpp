#pragma once
// The vectors that kernels are written in, and their arithmetic. `lanes<T, Arch>` is an xsimd
// batch, or T itself on `arch::scalar`: the same operators work on both, so one kernel source
// covers every machine. Operations without an operator have names here; all work lane by lane:
//
//   load, store, broadcast       between memory and lanes (no alignment is needed)
//   as<To>                       the same bits as lanes of another type
//   to_float, nearbyint_as_int   int32 ↔ float lanes; the latter rounds to nearest, half to even,
//                                and gives any number for a float that is outside int32
//   multiply_add                 a·b + c, fused where the machine can
//   min, max, abs, sqrt, select  as their names say; select(condition, yes, no)
//   divide                       a / b of floats, rounded to nearest
//   select_bits                  takes a bit of one vector where a mask has it set, else of another
//   zip_low, zip_high            alternate the lanes of two vectors' first (or second) halves
//
// Only simd/ names xsimd. Without its batches (S3_HAS_SIMD is 0) only `arch::scalar` remains.

#include <s3/simd/arch.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace s3::simd {

namespace detail {
template <class T, class Arch>
struct lanes_of {
#if S3_HAS_SIMD
    using type = xsimd::batch<T, typename Arch::simd>;
#endif
};
template <class T>
struct lanes_of<T, arch::scalar> {
    using type = T;
};
} // namespace detail

template <class T, class Arch>
using lanes = typename detail::lanes_of<T, Arch>::type;

/// The number of 32-bit lanes of a vector, which is the number of rows of a panel.
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

template <class T>
concept scalar_lane = std::is_arithmetic_v<T>;

template <class To, scalar_lane From>
S3_INLINE To as(From v) noexcept {
    To to;
    static_assert(sizeof to == sizeof v);
    std::memcpy(&to, &v, sizeof to);
    return to;
}
S3_INLINE float to_float(std::int32_t v) noexcept {
    return static_cast<float>(v);
}
S3_INLINE std::int32_t nearbyint_as_int(float v) noexcept {
    return static_cast<std::int32_t>(std::nearbyint(v));
}
template <scalar_lane T>
S3_INLINE T multiply_add(T a, T b, T c) noexcept {
    return a * b + c;
}
template <scalar_lane T>
S3_INLINE T min(T a, T b) noexcept {
    return b < a ? b : a;
}
template <scalar_lane T>
S3_INLINE T max(T a, T b) noexcept {
    return a < b ? b : a;
}
S3_INLINE float abs(float v) noexcept {
    return std::fabs(v);
}
S3_INLINE float sqrt(float v) noexcept {
    return std::sqrt(v);
}
template <scalar_lane T>
S3_INLINE T select(bool condition, T yes, T no) noexcept {
    return condition ? yes : no;
}
// Of one lane each, a alternates with b: the first half is a, the second b.
template <scalar_lane T>
S3_INLINE T zip_low(T a, T) noexcept {
    return a;
}
template <scalar_lane T>
S3_INLINE T zip_high(T, T b) noexcept {
    return b;
}

#if S3_HAS_SIMD
#if !defined(__clang__)
// GCC 12's own _mm512_sqrt_ps reads a variable that it leaves undefined on purpose (PR 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
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
template <class A>
S3_INLINE xsimd::batch<float, A> to_float(const xsimd::batch<std::int32_t, A>& v) noexcept {
    return xsimd::to_float(v);
}
template <class A>
S3_INLINE xsimd::batch<std::int32_t, A> nearbyint_as_int(const xsimd::batch<float, A>& v) noexcept {
    return xsimd::nearbyint_as_int(v);
}
template <class T, class A>
S3_INLINE xsimd::batch<T, A> multiply_add(const xsimd::batch<T, A>& a, const xsimd::batch<T, A>& b,
                                          const xsimd::batch<T, A>& c) noexcept {
    return xsimd::fma(a, b, c);
}
template <class T, class A>
S3_INLINE xsimd::batch<T, A> min(const xsimd::batch<T, A>& a,
                                 const xsimd::batch<T, A>& b) noexcept {
    return xsimd::min(a, b);
}
template <class T, class A>
S3_INLINE xsimd::batch<T, A> max(const xsimd::batch<T, A>& a,
                                 const xsimd::batch<T, A>& b) noexcept {
    return xsimd::max(a, b);
}
template <class A>
S3_INLINE xsimd::batch<float, A> abs(const xsimd::batch<float, A>& v) noexcept {
    return xsimd::abs(v);
}
template <class A>
S3_INLINE xsimd::batch<float, A> sqrt(const xsimd::batch<float, A>& v) noexcept {
    return xsimd::sqrt(v);
}
template <class T, class A>
S3_INLINE xsimd::batch<T, A> select(const xsimd::batch_bool<T, A>& condition,
                                    const xsimd::batch<T, A>& yes,
                                    const xsimd::batch<T, A>& no) noexcept {
    return xsimd::select(condition, yes, no);
}
template <class T, class A>
S3_INLINE xsimd::batch<T, A> zip_low(const xsimd::batch<T, A>& a,
                                     const xsimd::batch<T, A>& b) noexcept {
    return xsimd::zip_lo(a, b);
}
template <class T, class A>
S3_INLINE xsimd::batch<T, A> zip_high(const xsimd::batch<T, A>& a,
                                      const xsimd::batch<T, A>& b) noexcept {
    return xsimd::zip_hi(a, b);
}
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

/// Bits of `a` where `mask` is set, else bits of `b`.
template <class Arch, class V>
S3_INLINE V select_bits(const V& mask, const V& a, const V& b) noexcept {
    if constexpr (requires { Arch::select_bits(mask, a, b); })
        return Arch::select_bits(mask, a, b);
    else
        return (a & mask) | (b & ~mask);
}

/// Calls f(std::integral_constant<int, 0>), …, f(std::integral_constant<int, N − 1>).
template <int N, class Function>
S3_INLINE void unrolled(Function&& f) noexcept {
    [&]<int... I>(std::integer_sequence<int, I...>) S3_INLINE_LAMBDA {
        (f(std::integral_constant<int, I>{}), ...);
    }
    (std::make_integer_sequence<int, N>{});
}

namespace detail {
/// A vector whose lane i is value(i), computed lane by lane through memory: the definition of a
/// primitive for machines on which nothing better is known.
template <class T, class Arch, class Function>
S3_INLINE lanes<T, Arch> each_lane(Function&& value) noexcept {
    constexpr std::size_t width = sizeof(lanes<T, Arch>) / sizeof(T);
    alignas(64) T all[width];
    for (std::size_t i = 0; i < width; ++i)
        all[i] = static_cast<T>(value(i));
    return load<T, Arch>(all);
}
/// The lanes of a vector, copied to memory so that each can be read by its number.
template <class T, class Arch>
struct lane_array {
    static constexpr std::size_t width = sizeof(lanes<T, Arch>) / sizeof(T);
    alignas(64) T value[width];

    explicit S3_INLINE lane_array(const lanes<T, Arch>& v) noexcept { store<Arch>(value, v); }
    S3_INLINE T operator[](std::size_t i) const noexcept { return value[i]; }
};
} // namespace detail

/// On Arm, xsimd's own division of floats only comes near (as of 8.1).
template <class Arch>
S3_INLINE lanes<float, Arch> divide(const lanes<float, Arch>& a,
                                    const lanes<float, Arch>& b) noexcept {
    if constexpr (requires { Arch::divide(a, b); }) {
        return Arch::divide(a, b);
    } else {
#if defined(__aarch64__)
        const detail::lane_array<float, Arch> above(a), below(b);
        return detail::each_lane<float, Arch>([&](std::size_t i) { return above[i] / below[i]; });
#else
        return a / b;
#endif
    }
}

} // namespace s3::simd
