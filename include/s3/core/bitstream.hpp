#pragma once
// Codes of `Bits` bits in a stream of bytes: code i is bits [i·Bits, (i+1)·Bits), bit b being bit
// b%8 of byte b/8. Needs no more than a freestanding compiler.

#include <cstddef>
#include <cstdint>

namespace s3::layout {

/// Code number `i` of a stream. Reads no byte outside it.
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

/// Writes code number `i` into a stream that is zero there.
template <int Bits>
constexpr void put(std::uint8_t* stream, std::size_t i, unsigned code) noexcept {
    const std::size_t bit = i * Bits;
    std::uint8_t* p = stream + bit / 8;
    const unsigned word = code << (bit % 8);
    *p = static_cast<std::uint8_t>(*p | word);
    if (bit % 8 + Bits > 8)
        p[1] = static_cast<std::uint8_t>(p[1] | word >> 8);
}

} // namespace s3::layout
