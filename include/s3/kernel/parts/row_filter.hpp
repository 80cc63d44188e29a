#pragma once
// The filter of a convolution that reads image rows (row_cache.hpp) instead of gathering them:
// NHWC, one group, dilation of width 1. Under every row of the filter lie kw·C contiguous bytes of
// the image, a run; runs of adjacent output pixels begin a constant distance apart.
//
// Weights are few and used often, so they are int8, decoded beforehand, four of the depth in a
// 32-bit lane:
//
//   [block of BlockRows rows][row of the filter][step of 4 bytes of the run][row of the block]
//
// The last block has a multiple of Rows rows, and runs are rounded up to RunBytes; what that adds
// is zero. For kw·C = 9 and RunBytes = 4:
//
//   | w0 w1 w2 w3 | w4 w5 w6 w7 | w8  0  0  0 |   one lane in the three steps of a filter row

#include <s3/core/conv.hpp>
#include <s3/format/activation.hpp>
#include <s3/pack/pack.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace s3::kernel {

template <std::size_t Rows, std::size_t BlockRows, std::size_t RunBytes>
struct row_filter {
    filter_shape shape;
    std::size_t distance = 0; ///< bytes from one output pixel's window to the next one's
    buffer<std::int32_t> weights;
    buffer<std::int32_t> initial; ///< what the sums of each row start from

    std::size_t run_bytes() const noexcept { return shape.width * shape.in_channels; }
    /// The steps under one row of the filter, of 4 bytes each.
    std::size_t steps() const noexcept {
        return (run_bytes() + RunBytes - 1) / RunBytes * (RunBytes / 4);
    }
    /// The steps of one row of weights.
    std::size_t depth() const noexcept { return shape.height * steps(); }
    std::size_t rows() const noexcept { return (shape.out_channels + Rows - 1) / Rows * Rows; }

    /// Fills in the filter for activations X. Errors: out_of_memory.
    template <std::integral X, weight_format F>
    status fill(const packed_filter<F>& from, const conv_options& o) {
        shape = from.shape;
        distance = o.stride.width * shape.in_channels;
        auto w = buffer<std::int32_t>::make(saturating_mul(rows(), depth()));
        auto start = buffer<std::int32_t>::make(rows());
        if (!w)
            return w.error();
        if (!start)
            return start.error();
        auto* bytes = reinterpret_cast<std::int8_t*>(w->data());
        for (std::size_t m = 0; m < shape.out_channels; ++m) {
            const std::size_t first = m / BlockRows * BlockRows;
            const std::size_t together = std::min(BlockRows, rows() - first);
            for (std::size_t r = 0, k = 0; r < shape.height; ++r)
                for (std::size_t i = 0; i < run_bytes(); ++i, ++k) {
                    const std::size_t step = r * steps() + i / 4;
                    bytes[4 * (first * depth() + step * together + m - first) + i % 4] =
                        static_cast<std::int8_t>(from.matrix.value(m, k));
                }
            // Signed activations are staged as x + 128.
            if constexpr (std::is_signed_v<X>)
                (*start)[m] = static_cast<std::int32_t>(-128 * from.matrix.sums()[m]);
        }
        weights = *std::move(w);
        initial = *std::move(start);
        return {};
    }
};

/// The rows of a filter that are of use: those at either end that meet only zeros need no products.
struct filter_rows {
    std::size_t begin, end;
};
template <std::integral X>
filter_rows rows_inside(const filter_shape& shape, const image_view<const X>& x,
                        const conv_options& o, const s3::detail::pixel_window& window) noexcept {
    filter_rows used{0, shape.height};
    if (!std::is_signed_v<X> && o.padding_value == 0) {
        while (used.begin < used.end && window.row(used.begin, o) >= x.height)
            ++used.begin;
        while (used.begin < used.end && window.row(used.end - 1, o) >= x.height)
            --used.end;
    }
    return used;
}

/// Calls lines(images, size of the output): to a 1 × 1 filter without stride and padding, all
/// images are one row.
template <std::integral X, class Function>
void as_lines(const filter_shape& shape, const image_view<const X>& x, const extent& out,
              const conv_options& o, Function&& lines) {
    if (shape.height * shape.width * o.stride.height * o.stride.width == 1 &&
        o.padding.height + o.padding.width == 0) {
        const std::size_t pixels = x.batch * out.height * out.width;
        lines(image_view<const X>{x.data, 1, 1, pixels, x.channels}, extent{1, pixels});
    } else {
        lines(x, out);
    }
}

} // namespace s3::kernel
