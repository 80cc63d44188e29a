#pragma once
// Finished sums of whole pixels, [pixel][row], on their way to a sink as in ops/store.hpp. Sinks
// that can take several pixels in one call specialise `pixel_sink`.

#include <s3/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace s3::kernel {

/// Hands the sums of `columns` adjacent columns, `stride` apart, to a sink.
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

template <class Sink>
struct pixel_sink {
    const Sink& sink;
    std::size_t rows;

    /// `memory` is 64-byte aligned and has pixel_sink_bytes(rows) bytes.
    pixel_sink(const Sink& s, std::size_t r, std::byte*) noexcept : sink(s), rows(r) {}

    void operator()(std::size_t n, std::size_t count, const std::int32_t* sums) const {
        store_columns(sink, n, count, 0, rows, sums, rows);
    }
};

/// Pixels that together have whole vectors of rows on any machine; one, where rows are many.
constexpr std::size_t pixel_group(std::size_t rows) noexcept {
    return rows > 64 ? 1 : std::lcm(std::size_t{16}, rows) / rows;
}
/// Room for a scale, a bias and a shift per row of a group.
constexpr std::size_t pixel_sink_bytes(std::size_t rows) noexcept {
    return pixel_group(rows) * rows * 9 / 64 * 64 + 64;
}

} // namespace s3::kernel
