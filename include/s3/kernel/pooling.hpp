#pragma once
// Pooling of NHWC bytes: the largest activation under a window, or the sum Σ(q − zero_point), which
// a sink requantizes. The inner loop runs over channels. Pixels outside the image never are the
// largest, and add nothing to a sum. Precondition: every window has a pixel inside the image.
//
// Work is counted in output pixels, along rows and over images.

#include <s3/core/conv.hpp>
#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <cstdint>

namespace s3::kernel {

namespace detail {

/// Calls f with a pointer to the first channel of each pixel that is under output pixel n's window
/// and inside the image.
template <class T, class Function>
S3_INLINE void each_inside(const image_view<const T>& x, const extent& window, const extent& out,
                           const conv_options& o, std::size_t n, Function&& f) {
    const auto at = s3::detail::pixel_window::of(n, out, o);
    // Only taps inside the image are visited, however large the window is. Above or left of the
    // image, `top` and `left` wrap below zero: the first tap inside is then number 0 − top or 0 −
    // left.
    const std::size_t first_row = at.top < x.height ? 0 : 0 - at.top;
    const std::size_t first_column = at.left < x.width ? 0 : 0 - at.left;
    const std::size_t rows = std::min(window.height, x.height - at.top);
    const std::size_t columns = std::min(window.width, x.width - at.left);
    for (std::size_t kh = first_row; kh < rows; ++kh)
        for (std::size_t kw = first_column; kw < columns; ++kw)
            f(x.data.data() + x.index(at.image, at.top + kh, at.left + kw, 0));
}

} // namespace detail

/// Writes the largest activations of output pixels [begin, end) to y[pixel][channel], each pixel
/// after all of its window is read.
template <class Arch>
void max_pool(const image_view<const std::uint8_t>& x, const extent& window, const extent& out,
              const conv_options& o, std::size_t begin, std::size_t end, std::uint8_t* y) {
    using bytes = simd::lanes<std::uint8_t, Arch>;
    constexpr std::size_t width = std::is_same_v<Arch, arch::scalar> ? 1 : Arch::vector_bytes;
    for (std::size_t n = begin; n < end; ++n) {
        std::uint8_t* to = y + n * x.channels;
        std::size_t c = 0;
        for (; c + width <= x.channels; c += width) {
            bytes best = simd::broadcast<std::uint8_t, Arch>(0);
            detail::each_inside(x, window, out, o, n, [&](const std::uint8_t* from) {
                best = simd::max(best, simd::load<std::uint8_t, Arch>(from + c));
            });
            simd::store<Arch>(to + c, best);
        }
        if (c == x.channels)
            continue;
        std::uint8_t best[width] = {};
        detail::each_inside(x, window, out, o, n, [&](const std::uint8_t* from) {
            for (std::size_t i = c; i < x.channels; ++i)
                best[i - c] = std::max(best[i - c], from[i]);
        });
        std::copy_n(best, x.channels - c, to + c);
    }
}

/// Passes the sums of output pixels [begin, end) to sink(pixel, first channel, count, sums).
template <class Arch, class Sink>
void sum_pool(const image_view<const std::uint8_t>& x, const extent& window, const extent& out,
              const conv_options& o, int zero_point, std::size_t begin, std::size_t end,
              const Sink& sink) {
    constexpr std::size_t chunk = 64;
    for (std::size_t n = begin; n < end; ++n)
        for (std::size_t c = 0; c < x.channels; c += chunk) {
            const std::size_t count = std::min(chunk, x.channels - c);
            std::int32_t sums[chunk] = {};
            // A constant number of iterations lets compilers vectorise the loop.
            detail::each_inside(x, window, out, o, n, [&](const std::uint8_t* from) {
                if (count == chunk)
                    for (std::size_t i = 0; i < chunk; ++i)
                        sums[i] += from[c + i] - zero_point;
                else
                    for (std::size_t i = 0; i < count; ++i)
                        sums[i] += from[c + i] - zero_point;
            });
            sink(n, c, count, sums);
        }
}

} // namespace s3::kernel
