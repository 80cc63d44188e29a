#pragma once
// Element-wise loops over float spans. A loop's body is written once, generic over its lane type V:
// a SIMD vector for the bulk of a span, and float for its tail, or for all of it where there is no
// SIMD. Loads and stores are unaligned, and nothing outside the spans is touched.

#include <s3/core/bit_cast.hpp>
#include <s3/core/is_finite.hpp>
#include <s3/simd/lanes.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace s3::detail::lanes {

template <class V>
[[nodiscard]] S3_INLINE V load(const float* p) noexcept {
    if constexpr (std::is_same_v<V, float>)
        return *p;
    else
        return V::load_unaligned(p);
}

template <class V>
S3_INLINE void store(float* p, const V& v) noexcept {
    if constexpr (std::is_same_v<V, float>)
        *p = v;
    else
        v.store_unaligned(p);
}

using simd::abs, simd::select, simd::sqrt;

/// The bits of |v|. They compare as magnitudes do; those of a NaN are above those of infinity.
[[nodiscard]] S3_INLINE std::uint32_t magnitude_bits(float v) noexcept {
    return bit_cast<std::uint32_t>(v) & 0x7fffffffu;
}
inline constexpr std::uint32_t infinity_bits = 0x7f800000u;

/// Calls body(k) for k = 0 … N − 1, where k is a compile-time constant, so that arrays of lanes
/// stay in registers.
template <std::size_t N, class Body>
S3_INLINE void unroll(Body&& body) {
    [&]<std::size_t... K>(std::index_sequence<K...>) S3_INLINE_LAMBDA {
        (body(std::integral_constant<std::size_t, K>{}), ...);
    }
    (std::make_index_sequence<N>{});
}

/// Whether all lanes of all of `x` are finite. Under -ffast-math a vector may be called finite
/// although it is not; a plain float of the tail never is.
template <class V, std::size_t N>
[[nodiscard]] S3_INLINE bool all_finite(const std::array<V, N>& x) noexcept {
    if constexpr (std::is_same_v<V, float>) {
        bool good = true;
        for (const float v : x)
            good &= is_finite(v);
        return good;
    } else {
        // 0·x is NaN if x is not finite. That takes one operation for each x, where comparisons
        // take three.
        const V zero(0.0f);
        V sum = zero;
        unroll<N>([&](auto k) S3_INLINE_LAMBDA { sum = fma(x[k], zero, sum); });
        return all(sum == zero);
    }
}

/// Calls body(V{}, i) for the lanes of `size` elements, each beginning at element i, until a call
/// returns false. Returns the i of that call, or `size`.
template <class Arch, class Body>
S3_INLINE std::size_t for_each_while(std::size_t size, Body&& body) {
    std::size_t i = 0;
    constexpr std::size_t width = simd::width32<Arch>;
    if constexpr (width > 1)
        for (const std::size_t bulk = size - size % width; i < bulk; i += width)
            if (!body(simd::broadcast<float, Arch>(0), i))
                return i;
    for (; i < size; ++i)
        if (!body(0.0f, i))
            return i;
    return size;
}

/// Calls body(V{}, i) for the lanes of `size` elements, each beginning at element i.
template <class Arch, class Body>
S3_INLINE void for_each(std::size_t size, Body&& body) {
    for_each_while<Arch>(size, [&]<class V>(const V& v, std::size_t i) S3_INLINE_LAMBDA {
        body(v, i);
        return true;
    });
}

} // namespace s3::detail::lanes
