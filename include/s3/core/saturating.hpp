#pragma once
// Arithmetic for sizes of buffers that cannot wrap around: a result that does not fit std::size_t
// becomes SIZE_MAX, a size that no buffer has. A size computed from a hostile shape is therefore
// refused when a buffer of it is requested or compared with it.

#include <cstddef>
#include <limits>

namespace s3 {

/// a · b, or SIZE_MAX where that does not fit.
[[nodiscard]] constexpr std::size_t saturating_mul(std::size_t a, std::size_t b) noexcept {
    constexpr std::size_t top = std::numeric_limits<std::size_t>::max();
    return b != 0 && a > top / b ? top : a * b;
}

/// a + b, or SIZE_MAX where that does not fit.
[[nodiscard]] constexpr std::size_t saturating_add(std::size_t a, std::size_t b) noexcept {
    constexpr std::size_t top = std::numeric_limits<std::size_t>::max();
    return a > top - b ? top : a + b;
}

/// `bytes` rounded up to whole cache lines of 64 bytes, or SIZE_MAX where that does not fit.
[[nodiscard]] constexpr std::size_t whole_lines(std::size_t bytes) noexcept {
    constexpr std::size_t top = std::numeric_limits<std::size_t>::max();
    return bytes > top - 63 ? top : (bytes + 63) / 64 * 64;
}

} // namespace s3
