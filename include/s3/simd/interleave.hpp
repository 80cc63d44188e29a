#pragma once
// Interleaves four rows of bytes: to[4·i + r] = from[r][i] for i < count, r < 4. Exactly `count`
// bytes of each row are read, and 4·count bytes written. `Flip` makes unsigned bytes of signed ones
// by adding 128.

#include <s3/simd/lanes.hpp>

namespace s3::simd {

namespace detail {

/// Interleaves one vector of each row, which begins at byte `at` of the rows.
template <class Arch, bool Flip>
S3_INLINE void interleave_vectors(const std::uint8_t* const (&from)[4], std::size_t at,
                                  std::uint8_t* to) noexcept {
    lanes<std::uint8_t, Arch> v[4];
    S3_UNROLL_FOR(std::size_t r = 0; r < 4; ++r) {
        v[r] = load<std::uint8_t, Arch>(from[r] + at);
        if constexpr (Flip)
            v[r] = v[r] ^ broadcast<std::uint8_t, Arch>(128);
    }
    Arch::interleave(to + 4 * at, v[0], v[1], v[2], v[3]);
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
