#pragma once
// Integers as files hold them: the least significant byte first, on every machine.

#include <cstddef>
#include <cstdint>

namespace s3::little_endian {

/// Writes the `bytes` ≤ 8 least significant bytes of a value.
constexpr void store(std::byte* to, std::uint64_t value, std::size_t bytes) noexcept {
    for (std::size_t i = 0; i < bytes; ++i)
        to[i] = static_cast<std::byte>(value >> (8 * i) & 255);
}
/// Reads a value of `bytes` ≤ 8 bytes.
[[nodiscard]] constexpr std::uint64_t load(const std::byte* from, std::size_t bytes) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;)
        value = value << 8 | static_cast<std::uint64_t>(from[i]);
    return value;
}

} // namespace s3::little_endian
