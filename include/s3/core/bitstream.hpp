#pragma once
// A stream of bytes that holds codes of `Bits` bits each, without gaps: code i is made of the bits
// [i·Bits, (i+1)·Bits), and bit b of the stream is bit b%8 of byte b/8. `get` and `put` need no
// more than a freestanding compiler.

#include <s3/core/little_endian.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace s3::layout {

/// Code number `i` of a stream. Only bytes that hold bits of it are read. Precondition: Bits ≤ 8.
template <int Bits>
[[nodiscard]] constexpr unsigned get(const std::uint8_t* stream, std::size_t i) noexcept {
    const std::size_t bit = i * Bits;
    const std::uint8_t* p = stream + bit / 8;
    const unsigned shift = bit % 8;
    unsigned word = *p;
    if (shift + Bits > 8)
        word |= unsigned{p[1]} << 8;
    return (word >> shift) & ((1u << Bits) - 1);
}

/// Writes code number `i` into a stream whose bits are still zero there. Precondition: Bits ≤ 8.
template <int Bits>
constexpr void put(std::uint8_t* stream, std::size_t i, unsigned code) noexcept {
    const std::size_t bit = i * Bits;
    std::uint8_t* p = stream + bit / 8;
    const unsigned word = code << (bit % 8);
    *p = static_cast<std::uint8_t>(*p | word);
    if (bit % 8 + Bits > 8)
        p[1] = static_cast<std::uint8_t>(p[1] | word >> 8);
}

/// `count` ≤ 64 bits of a stream of `bytes` bytes, beginning with bit number `bit`, which must
/// exist. The result holds all of them if count ≤ 57 or if `bit` is a multiple of 8; bits beyond
/// the end of the stream are 0. No byte outside the stream is read.
[[nodiscard]] inline std::uint64_t take_bits(const std::uint8_t* stream, std::size_t bytes,
                                             std::size_t bit, std::size_t count) noexcept {
    const std::uint8_t* from = stream + bit / 8;
    const std::size_t left = bytes - bit / 8;
    std::uint64_t word;
    if (std::endian::native == std::endian::little && left >= 8)
        std::memcpy(&word, from, 8);
    else
        word = little_endian::load(reinterpret_cast<const std::byte*>(from), left < 8 ? left : 8);
    word >>= bit % 8;
    return count < 64 ? word & ((std::uint64_t{1} << count) - 1) : word;
}

} // namespace s3::layout
