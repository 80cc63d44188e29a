#pragma once
// The order in which a convolution computes its output pixels. Pixels whose windows leave the image
// on the same side follow one another, so that taps which meet only padding can be skipped for all
// of them at once. In an image there come first the columns at the left edge, each from top to
// bottom, then the rows between the edges, then the columns at the right edge.

#include <s3/core/conv.hpp>

#include <algorithm>

namespace s3::detail {

struct pixel_order {
    /// An output pixel. `straight` tells how many pixels from it on lie in one line: along a row
    /// between the edges, down a column at an edge.
    struct pixel {
        std::size_t image, row, column, straight;
    };

    extent out;
    std::size_t left = 0, right = 0; ///< columns whose windows leave the image
    std::size_t top = 0, bottom = 0; ///< rows whose windows leave the image

    [[nodiscard]] static constexpr pixel_order by_edges(std::size_t height, std::size_t width,
                                                        const filter_shape& f,
                                                        const conv_options& o,
                                                        const extent& out) noexcept {
        const auto before = [](std::size_t padding, std::size_t stride, std::size_t size) {
            return std::min(size, (padding + stride - 1) / stride);
        };
        // The number of windows that reach beyond the end of the image, which are the last ones.
        const auto behind = [](std::size_t in, std::size_t reach, std::size_t padding,
                               std::size_t stride, std::size_t size) {
            const std::size_t fits = in + padding < reach ? 0 : (in + padding - reach) / stride + 1;
            return size - std::min(size, fits);
        };
        pixel_order p{out};
        p.left = before(o.padding.width, o.stride.width, out.width);
        p.top = before(o.padding.height, o.stride.height, out.height);
        p.right = std::min(out.width - p.left, behind(width, o.dilation.width * (f.width - 1) + 1,
                                                      o.padding.width, o.stride.width, out.width));
        p.bottom =
            std::min(out.height - p.top, behind(height, o.dilation.height * (f.height - 1) + 1,
                                                o.padding.height, o.stride.height, out.height));
        return p;
    }

    [[nodiscard]] constexpr pixel at(std::size_t n) const noexcept {
        const std::size_t plane = out.height * out.width, image = n / plane;
        const std::size_t inner = out.width - left - right;
        n %= plane;
        const auto edge = [&](std::size_t i, std::size_t first) {
            const std::size_t row = i % out.height;
            return pixel{image, row, first + i / out.height, out.height - row};
        };
        if (n < left * out.height)
            return edge(n, 0);
        n -= left * out.height;
        if (n < inner * out.height) {
            const std::size_t column = n % inner;
            return {image, n / inner, left + column, inner - column};
        }
        return edge(n - inner * out.height, out.width - right);
    }
    [[nodiscard]] constexpr bool is_edge(const pixel& p) const noexcept {
        return p.column < left || p.column >= out.width - right;
    }
    /// How many pixels from p on leave the image on (nearly) the same sides: the corners of an edge
    /// are not told apart from the rest of it.
    [[nodiscard]] constexpr std::size_t alike(const pixel& p) const noexcept {
        const std::size_t last = out.height - bottom;
        if (is_edge(p) || p.row < top || p.row >= last)
            return p.straight;
        return p.straight + (last - 1 - p.row) * (out.width - left - right);
    }
    /// The number that pixel n has when pixels are counted row by row.
    [[nodiscard]] constexpr std::size_t by_rows(std::size_t n) const noexcept {
        const pixel p = at(n);
        return (p.image * out.height + p.row) * out.width + p.column;
    }
};

} // namespace s3::detail
