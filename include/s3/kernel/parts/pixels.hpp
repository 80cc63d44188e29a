#pragma once
// Finished sums of whole pixels, [pixel][row], on their way to a sink (ops/store.hpp). Sinks that
// can take several pixels in one call specialise `pixel_sink`.

#include <s3/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace s3::kernel {

/// Hands a sink the sums of `columns` adjacent columns from n on, for rows [row, row + rows). The
/// sums of neighbouring columns are `stride` elements apart.
template <class Sink>
S3_INLINE void store_columns(const Sink& sink, std::size_t n, std::size_t columns, std::size_t row,
                             std::size_t rows, const std::int32_t* sums, std::size_t stride) {
    constexpr std::size_t most = 64;
    std::size_t at[most];
    for (std::size_t c = 0; c < columns; c += most) {
        const std::size_t some = std::min(most, columns - c);
        sink.place(n + c, some, at);
        sink(at, some, row, rows, sums + c * stride, stride);
    }
}

/// Hands a sink the sums of all rows of several pixels.
template <class Sink>
struct pixel_sink {
    const Sink& sink;
    std::size_t rows;

    /// `memory` is aligned to 64 bytes and has pixel_sink_bytes(rows) bytes; this version needs
    /// none.
    pixel_sink(const Sink& s, std::size_t r, std::byte*) noexcept : sink(s), rows(r) {}

    void operator()(std::size_t n, std::size_t count, const std::int32_t* sums) const {
        store_columns(sink, n, count, 0, rows, sums, rows);
    }
};

/// The number of pixels that together fill whole vectors with their rows, on any machine; 1 if
/// there are many rows.
constexpr std::size_t pixel_group(std::size_t rows) noexcept {
    return rows > 64 ? 1 : std::lcm(std::size_t{16}, rows) / rows;
}
/// Bytes for a float scale, an int32 bias and a uint8 shift per row of a group of pixels.
constexpr std::size_t pixel_sink_bytes(std::size_t rows) noexcept {
    return pixel_group(rows) * rows * 9 / 64 * 64 + 64;
}

} // namespace s3::kernel
