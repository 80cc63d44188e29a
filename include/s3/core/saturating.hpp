#pragma once
// Sizes of buffers that cannot wrap around: what does not fit std::size_t becomes its largest
// value, which no buffer has. So a size that is computed from a hostile shape is refused where a
// buffer of that size is asked for or compared.

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

/// The next multiple of 64, which is a line of the cache; SIZE_MAX where that does not fit.
[[nodiscard]] constexpr std::size_t whole_lines(std::size_t bytes) noexcept {
    constexpr std::size_t top = std::numeric_limits<std::size_t>::max();
    return bytes > top - 63 ? top : (bytes + 63) / 64 * 64;
}

} // namespace s3
