#pragma once
// 16-bit lanes as a table: `permute16` replaces each index of a vector by the entry that it names
// in a table of one vector, or of two. `has_permute16<Arch>` tells where that is one instruction,
// and `fast_permute16<Arch>` where it is cheap beside a byte dot product. The masked additions and
// subtractions that building such tables needs are here as well.

#include <s3/simd/lanes.hpp>

namespace s3::simd {

namespace detail {
template <class Arch>
inline constexpr std::size_t width16 = Arch::vector_bytes / 2;
}

/// Lane i of the result is table[index[i] mod width], where width is the number of 16-bit lanes.
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

/// Lane i of the result is entry index[i] mod (2·width) of the table `low` followed by `high`.
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

/// Lane i of the result is sum[i] + x[i] if bit i of `where` is set, else sum[i].
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
/// Lane i of the result is sum[i] − x[i] if bit i of `where` is set, else sum[i].
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
