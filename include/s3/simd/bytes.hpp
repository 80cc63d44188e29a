#pragma once
// Byte operations that xsimd has no name for. Each has a definition here on 16- or 32-bit lanes
// that works on every machine with vectors; `has_bytes<Arch>` tells where they take a few
// instructions. u8 and i8 are unsigned and signed bytes; a vector has the lanes in parentheses.
//
//   pair_dot       u8·i8 + u8·i8 of neighbours (int16; the caller proves that none saturates)
//   pair_dot16     i16·i16 + i16·i16 of neighbours (int32)
//   pair_sum       i16 + i16 of neighbours (int32)
//   quad_dot       acc + four neighbouring products u8·i8 (int32), exact for all inputs; of i8·i8,
//                  too, where the machine multiplies those (has_signed_dot)
//   matrix_dot     acc + x·wᵀ of vectors of 16 bytes: x has two rows of eight u8, w two of i8, and
//                  acc two of two int32: exact for all inputs
//   load_halves    eight bytes from each of two places, as one vector of 16 bytes
//   look_up16      replaces each byte by its entry in a table of 16 bytes, which the table's
//                  vector repeats in each of its 128-bit parts
//   lookup<F, Pos> the format's value for the code in bits [Pos, Pos + F::bits) of every byte

#include <s3/simd/lanes.hpp>

namespace s3::simd {

namespace detail {
/// A table whose entry i is the value of the code in bits [Pos, Pos + F::bits) of i.
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

/// The lanes with even (or odd) numbers of a vector with twice as many lanes, each widened to twice
/// its size, with sign extension where `To` is signed.
template <class To, class Arch, class V>
S3_INLINE lanes<To, Arch> even_lanes(const V& v) noexcept {
    constexpr int bits = 4 * sizeof(To);
    return lanes<To, Arch>(lanes<To, Arch>(as<To>(v)) << bits) >> bits;
}
template <class To, class Arch, class V>
S3_INLINE lanes<To, Arch> odd_lanes(const V& v) noexcept {
    return lanes<To, Arch>(as<To>(v)) >> static_cast<int>(4 * sizeof(To));
}
} // namespace detail

template <class Arch>
S3_INLINE lanes<std::int16_t, Arch> pair_dot(const lanes<std::uint8_t, Arch>& x,
                                             const lanes<std::int8_t, Arch>& w) noexcept {
    if constexpr (requires { Arch::pair_dot(x, w); }) {
        return Arch::pair_dot(x, w);
    } else {
        using u16 = std::uint16_t;
        using i16 = std::int16_t;
        return as<i16>(detail::even_lanes<u16, Arch>(x)) * detail::even_lanes<i16, Arch>(w) +
               as<i16>(detail::odd_lanes<u16, Arch>(x)) * detail::odd_lanes<i16, Arch>(w);
    }
}

template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> pair_dot16(const lanes<std::int16_t, Arch>& a,
                                               const lanes<std::int16_t, Arch>& b) noexcept {
    if constexpr (requires { Arch::pair_dot16(a, b); }) {
        return Arch::pair_dot16(a, b);
    } else {
        using i32 = std::int32_t;
        return detail::even_lanes<i32, Arch>(a) * detail::even_lanes<i32, Arch>(b) +
               detail::odd_lanes<i32, Arch>(a) * detail::odd_lanes<i32, Arch>(b);
    }
}

template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> pair_sum(const lanes<std::int16_t, Arch>& v) noexcept {
    if constexpr (requires { Arch::pair_sum(v); })
        return Arch::pair_sum(v);
    else
        return pair_dot16<Arch>(v, broadcast<std::int16_t, Arch>(1));
}

template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> quad_dot(const lanes<std::int32_t, Arch>& acc,
                                             const lanes<std::uint8_t, Arch>& x,
                                             const lanes<std::int8_t, Arch>& w) noexcept {
    if constexpr (requires { Arch::quad_dot(acc, x, w); }) {
        return Arch::quad_dot(acc, x, w);
    } else {
        // A 16-bit sum would saturate at two products of 255·127, so bytes widen first.
        using u16 = std::uint16_t;
        using i16 = std::int16_t;
        const auto low = pair_dot16<Arch>(as<i16>(detail::even_lanes<u16, Arch>(x)),
                                          detail::even_lanes<i16, Arch>(w));
        const auto high = pair_dot16<Arch>(as<i16>(detail::odd_lanes<u16, Arch>(x)),
                                           detail::odd_lanes<i16, Arch>(w));
        return acc + low + high;
    }
}

template <class Arch>
inline constexpr bool has_signed_dot = requires(const lanes<std::int32_t, Arch>& acc,
                                                const lanes<std::int8_t, Arch>& bytes) {
    Arch::signed_dot(acc, bytes, bytes);
};
template <class Arch>
requires has_signed_dot<Arch> S3_INLINE lanes<std::int32_t, Arch>
quad_dot(const lanes<std::int32_t, Arch>& acc, const lanes<std::int8_t, Arch>& x,
         const lanes<std::int8_t, Arch>& w)
noexcept {
    return Arch::signed_dot(acc, x, w);
}

template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> matrix_dot(const lanes<std::int32_t, Arch>& acc,
                                               const lanes<std::uint8_t, Arch>& x,
                                               const lanes<std::int8_t, Arch>& w) noexcept {
    static_assert(Arch::vector_bytes == 16);
    if constexpr (requires { Arch::matrix_dot(acc, x, w); }) {
        return Arch::matrix_dot(acc, x, w);
    } else {
        const detail::lane_array<std::uint8_t, Arch> a(x);
        const detail::lane_array<std::int8_t, Arch> b(w);
        return acc + detail::each_lane<std::int32_t, Arch>([&](std::size_t i) {
                   std::int32_t sum = 0;
                   for (std::size_t k = 0; k < 8; ++k)
                       sum += a[i / 2 * 8 + k] * b[i % 2 * 8 + k];
                   return sum;
               });
    }
}

template <class Arch>
S3_INLINE lanes<std::uint8_t, Arch> load_halves(const std::uint8_t* low,
                                                const std::uint8_t* high) noexcept {
    static_assert(Arch::vector_bytes == 16);
    if constexpr (requires { Arch::load_halves(low, high); }) {
        return Arch::load_halves(low, high);
    } else {
        alignas(16) std::uint8_t both[16];
        std::memcpy(both, low, 8);
        std::memcpy(both + 8, high, 8);
        return load<std::uint8_t, Arch>(both);
    }
}

/// Precondition: all indices are at most 15.
template <class Arch>
S3_INLINE lanes<std::uint8_t, Arch> look_up16(const lanes<std::uint8_t, Arch>& table,
                                              const lanes<std::uint8_t, Arch>& index) noexcept {
    if constexpr (requires { Arch::look_up16(table, index); }) {
        return Arch::look_up16(table, index);
    } else {
        const detail::lane_array<std::uint8_t, Arch> entries(table), at(index);
        return detail::each_lane<std::uint8_t, Arch>([&](std::size_t i) { return entries[at[i]]; });
    }
}

template <class F, int Pos, class Arch>
S3_INLINE lanes<std::int8_t, Arch> lookup(const lanes<std::uint32_t, Arch>& v) noexcept {
    if constexpr (requires { Arch::look_up64(v, v); }) {
        // This look-up uses the lowest six bits of each index. Where the field lies within them,
        // the table is indexed by all six bits (entries repeat for bits around the field), which
        // saves the shift.
        constexpr int shift = Pos + F::bits > 6 ? Pos + F::bits - 6 : 0;
        const auto index = shift == 0 ? v : v >> shift;
        const auto table =
            load<std::int8_t, Arch>(detail::byte_table<F, Pos - shift, Arch::vector_bytes>.value);
        return Arch::look_up64(table, index);
    } else {
        const auto field = broadcast<std::uint32_t, Arch>((F::codes - 1) * 0x01010101u);
        const auto index = (Pos == 0 ? v : v >> Pos) & field;
        const auto table =
            load<std::int8_t, Arch>(detail::byte_table<F, 0, Arch::vector_bytes>.value);
        return as<std::int8_t>(look_up16<Arch>(as<std::uint8_t>(table), as<std::uint8_t>(index)));
    }
}

} // namespace s3::simd
