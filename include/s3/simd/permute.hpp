#pragma once
// 16-bit lanes as a table: `permute16` finds the entries that a vector of indices names in one
// vector, or in two. `has_permute16<Arch>` tells where that is one instruction, and
// `fast_permute16<Arch>` where it is cheap beside a byte dot product. With it goes what building
// such tables needs: additions and subtractions in some lanes only, by a mask of one bit per lane.

#include <s3/simd/lanes.hpp>

namespace s3::simd {

namespace detail {
template <class Arch>
inline constexpr std::size_t width16 = Arch::vector_bytes / 2;
}

/// Lane i is table[index[i] mod width].
template <class Arch>
S3_INLINE lanes<std::uint16_t, Arch> permute16(const lanes<std::uint16_t, Arch>& table,
                                               const lanes<std::uint16_t, Arch>& index) noexcept {
    if constexpr (requires { Arch::permute16(table, index); }) {
        return Arch::permute16(table, index);
    } else {
        const detail::lane_array<std::uint16_t, Arch> entries(table), at(index);
        return detail::each_lane<std::uint16_t, Arch>(
            [&](std::size_t i) { return entries[at[i] % detail::width16<Arch>]; });
    }
}

/// Lane i is entry index[i] mod (2·width) of `low` followed by `high`.
template <class Arch>
S3_INLINE lanes<std::uint16_t, Arch> permute16(const lanes<std::uint16_t, Arch>& low,
                                               const lanes<std::uint16_t, Arch>& high,
                                               const lanes<std::uint16_t, Arch>& index) noexcept {
    if constexpr (requires { Arch::permute16(low, high, index); }) {
        return Arch::permute16(low, high, index);
    } else {
        constexpr std::size_t width = detail::width16<Arch>;
        const detail::lane_array<std::uint16_t, Arch> first(low), second(high), at(index);
        return detail::each_lane<std::uint16_t, Arch>([&](std::size_t i) {
            const std::size_t entry = at[i] % (2 * width);
            return entry < width ? first[entry] : second[entry - width];
        });
    }
}

/// sum[i] + x[i] where bit i of `where` is set, else sum[i].
template <class Arch>
S3_INLINE lanes<std::uint16_t, Arch> add_where(std::uint32_t where,
                                               const lanes<std::uint16_t, Arch>& sum,
                                               const lanes<std::uint16_t, Arch>& x) noexcept {
    if constexpr (requires { Arch::add_where(where, sum, x); }) {
        return Arch::add_where(where, sum, x);
    } else {
        const detail::lane_array<std::uint16_t, Arch> from(sum), by(x);
        return detail::each_lane<std::uint16_t, Arch>(
            [&](std::size_t i) { return from[i] + (where >> i & 1u) * by[i]; });
    }
}
/// sum[i] − x[i] where bit i of `where` is set, else sum[i].
template <class Arch>
S3_INLINE lanes<std::uint16_t, Arch> subtract_where(std::uint32_t where,
                                                    const lanes<std::uint16_t, Arch>& sum,
                                                    const lanes<std::uint16_t, Arch>& x) noexcept {
    if constexpr (requires { Arch::subtract_where(where, sum, x); })
        return Arch::subtract_where(where, sum, x);
    else
        return add_where<Arch>(where, sum, broadcast<std::uint16_t, Arch>(0) - x);
}

} // namespace s3::simd
