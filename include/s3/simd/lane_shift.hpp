#pragma once
// Shifts each lane of 32 or 16 bits left by a count of its own; a count of the lane's width or more
// gives 0. `has_lane_shift<Arch>` tells where one instruction does it for 32-bit lanes.

#include <s3/simd/lanes.hpp>

namespace s3::simd {

template <class Arch>
S3_INLINE lanes<std::uint32_t, Arch> lane_shift(const lanes<std::uint32_t, Arch>& v,
                                                const lanes<std::uint32_t, Arch>& counts) noexcept {
    if constexpr (requires { Arch::lane_shift(v, counts); }) {
        return Arch::lane_shift(v, counts);
    } else {
        const detail::lane_array<std::uint32_t, Arch> from(v), by(counts);
        return detail::each_lane<std::uint32_t, Arch>(
            [&](std::size_t i) { return by[i] < 32 ? from[i] << by[i] : 0; });
    }
}

template <class Arch>
S3_INLINE lanes<std::uint16_t, Arch>
lane_shift16(const lanes<std::uint16_t, Arch>& v,
             const lanes<std::uint16_t, Arch>& counts) noexcept {
    if constexpr (requires { Arch::lane_shift16(v, counts); }) {
        return Arch::lane_shift16(v, counts);
    } else {
        const detail::lane_array<std::uint16_t, Arch> from(v), by(counts);
        return detail::each_lane<std::uint16_t, Arch>(
            [&](std::size_t i) { return by[i] < 16 ? unsigned{from[i]} << by[i] : 0u; });
    }
}

} // namespace s3::simd
