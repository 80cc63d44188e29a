#pragma once
// Pooling of NHWC bytes: the largest activation under a window, or the sum of Σ(q − zero_point),
// which a sink requantizes. Channels are the inner loop. A window has at least one pixel inside the
// image; what is outside never wins, and counts as the zero point in a sum.
//
// Work is counted in output pixels, over images and rows.

#include <s3/core/conv.hpp>
#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <cstdint>

namespace s3::kernel {

namespace detail {

/// Calls f with the first channel of every pixel under output pixel n's window.
template <class Function>
S3_INLINE void each_inside(const image_view<const std::uint8_t>& x, const extent& window,
                           const extent& out, const conv_options& o, std::size_t n, Function&& f) {
    const auto at = s3::detail::pixel_window::of(n, out, o);
    // Only taps inside are visited, however large a window may be. Above or left of the image,
    // numbers below zero wrap: such a window begins at its tap 0 − top, 0 − left.
    const std::size_t first_row = at.top < x.height ? 0 : 0 - at.top;
    const std::size_t first_column = at.left < x.width ? 0 : 0 - at.left;
    const std::size_t rows = std::min(window.height, x.height - at.top);
    const std::size_t columns = std::min(window.width, x.width - at.left);
    for (std::size_t kh = first_row; kh < rows; ++kh)
        for (std::size_t kw = first_column; kw < columns; ++kw)
            f(x.data.data() + x.index(at.image, at.top + kh, at.left + kw, 0));
}

} // namespace detail

/// y[pixel][channel], pixels [begin, end).
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
        std::fill(to + c, to + x.channels, std::uint8_t{0});
        detail::each_inside(x, window, out, o, n, [&](const std::uint8_t* from) {
            for (std::size_t i = c; i < x.channels; ++i)
                to[i] = std::max(to[i], from[i]);
        });
    }
}

/// Sums of pixels [begin, end) to `sink(pixel, first channel, count, sums)`.
template <class Arch, class Sink>
void sum_pool(const image_view<const std::uint8_t>& x, const extent& window, const extent& out,
              const conv_options& o, int zero_point, std::size_t begin, std::size_t end,
              const Sink& sink) {
    constexpr std::size_t chunk = 64;
    for (std::size_t n = begin; n < end; ++n)
        for (std::size_t c = 0; c < x.channels; c += chunk) {
            const std::size_t count = std::min(chunk, x.channels - c);
            std::int32_t sums[chunk] = {};
            // A constant number of iterations lets compilers make vectors of the loop.
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
