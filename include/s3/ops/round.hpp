#pragma once
// Dynamic rounding of activations: a vector of floats becomes integers of −127 … 127 and a scale,
// which depends on the vector alone.
//
//   scale = max|x| / 127        x ≈ q·scale
//   q     = round(x · (127 / max|x|))     half to even
//
// where max|x| is that of the vector, or of each group of it. If max|x| is below 2⁻¹⁰⁰, all q are 0
// and the scale is 1. Both divisions and the product round as float32, so that the same integers
// come out on every machine.

#include <s3/core/bit_cast.hpp>
#include <s3/simd/lanes.hpp>
#include <s3/simd/widen.hpp>

#include <algorithm>
#include <cstdint>

namespace s3::detail {

/// The bits of the largest |x|. Numbers that are not finite have larger ones than all others.
template <class Arch>
[[nodiscard]] S3_INLINE std::int32_t largest_bits(const float* x, std::size_t count) noexcept {
    using ints = simd::lanes<std::int32_t, Arch>;
    constexpr std::size_t width = simd::width32<Arch>;
    constexpr std::int32_t size = 0x7fffffff;
    std::int32_t most = 0;
    std::size_t i = 0;
    if (count >= width) {
        const ints mask = simd::broadcast<std::int32_t, Arch>(size);
        ints all = simd::broadcast<std::int32_t, Arch>(0);
        for (; i + width <= count; i += width)
            all =
                simd::max(all, ints(simd::as<std::int32_t>(simd::load<float, Arch>(x + i)) & mask));
        const simd::detail::lane_array<std::int32_t, Arch> each(all);
        for (std::size_t l = 0; l < width; ++l)
            most = std::max(most, each[l]);
    }
    for (; i < count; ++i)
        most = std::max(most, bit_cast<std::int32_t>(x[i]) & size);
    return most;
}

/// Whether all numbers are finite.
template <class Arch>
[[nodiscard]] bool all_finite(const float* x, std::size_t count) noexcept {
    return largest_bits<Arch>(x, count) < 0x7f800000;
}

/// Rounds finite numbers to integers of a type that a kernel stages, and returns their scale.
template <class Arch, class Staged>
[[nodiscard]] float round_to_int8(const float* x, std::size_t count, Staged* to) noexcept {
    constexpr std::size_t width = simd::width32<Arch>;
    const auto most = bit_cast<float>(largest_bits<Arch>(x, count));
    const bool vanishes = most < 0x1p-100f;
    const float factor = vanishes ? 0.0f : 127 / most;
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        const auto q = simd::nearbyint_as_int(simd::load<float, Arch>(x + i) *
                                              simd::broadcast<float, Arch>(factor));
        if constexpr (sizeof(Staged) == 1)
            simd::store_bytes<Arch>(to + i, q);
        else
            simd::store<Arch>(to + i, simd::as<Staged>(q));
    }
    for (; i < count; ++i)
        to[i] = static_cast<Staged>(simd::nearbyint_as_int(x[i] * factor));
    return vanishes ? 1.0f : most / 127;
}

/// The sum of rounded numbers, modulo 2^32: many of them, if their weights are 0, may leave int32.
[[nodiscard]] inline std::uint32_t sum_of(const std::int8_t* q, std::size_t count) noexcept {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < count; ++i)
        sum += static_cast<std::uint32_t>(q[i]);
    return sum;
}

} // namespace s3::detail
