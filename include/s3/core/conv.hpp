#pragma once
// Shapes of a two-dimensional convolution, with PyTorch's meaning of every word:
//   out = ⌊(in + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1

#include <s3/core/view.hpp>

#include <limits>

namespace s3 {

/// A height and a width in pixels; a single number sets both.
struct extent {
    std::size_t height = 1;
    std::size_t width = 1;
    constexpr extent(std::size_t both) noexcept : height(both), width(both) {}
    constexpr extent(std::size_t h, std::size_t w) noexcept : height(h), width(w) {}
    friend constexpr bool operator==(const extent&, const extent&) = default;
};

/// Shape of a convolution's weights. `in_channels` counts the channels of one group only.
struct filter_shape {
    std::size_t out_channels = 0;
    std::size_t height = 1;
    std::size_t width = 1;
    std::size_t in_channels = 0;

    [[nodiscard]] constexpr std::size_t columns() const noexcept {
        return saturating_mul(saturating_mul(height, width), in_channels);
    }
    friend constexpr bool operator==(const filter_shape&, const filter_shape&) = default;
};

/// How a filter moves over an image.
struct conv_options {
    extent stride = 1;      ///< pixels from one window to the next
    extent padding = 0;     ///< pixels added at each side of the image
    extent dilation = 1;    ///< pixels from one tap of a window to the next
    std::size_t groups = 1; ///< sets of channels, each convolved by filters of its own
    /// The activation that the added pixels have: the one that stands for zero (the zero point).
    int padding_value = 0;
};

namespace detail {

/// The number of output pixels along one axis. Errors: a kernel, stride or dilation of 0; any of
/// the sizes above 2^31; a window that is larger than the padded image.
inline result<std::size_t> output_size(std::size_t in, std::size_t kernel, std::size_t stride,
                                       std::size_t padding, std::size_t dilation,
                                       const char* argument) {
    constexpr std::size_t limit = std::size_t{1} << 31;
    if (kernel == 0 || kernel > limit)
        return error(errc::bad_option, "filter.shape").outside(kernel, 1, limit);
    if (stride == 0 || stride > limit)
        return error(errc::bad_option, "stride").outside(stride, 1, limit);
    if (dilation == 0 || dilation > limit)
        return error(errc::bad_option, "dilation").outside(dilation, 1, limit);
    if (padding > limit)
        return error(errc::bad_option, "padding").got(padding).limit(limit);
    if (in > limit)
        return error(errc::bad_option, argument).got(in).limit(limit);
    const std::size_t reach = saturating_mul(dilation, kernel - 1);
    const std::size_t padded = saturating_add(in, saturating_mul(2, padding));
    if (padded == std::numeric_limits<std::size_t>::max())
        return error(errc::bad_option, "padding").got(padding).limit((padded - in) / 2 - 1);
    if (reach >= padded)
        return error(errc::shape_mismatch, argument).got(padded).needs(saturating_add(reach, 1));
    return (padded - reach - 1) / stride + 1;
}

/// The window of output pixel n, where n counts over the rows of an image and then over images.
/// `top` and `left` wrap below zero (size_t), so that a tap outside the image, on whichever side,
/// has a row or column that is not smaller than the image's height or width.
struct pixel_window {
    std::size_t image, top, left;

    [[nodiscard]] static constexpr pixel_window of(std::size_t n, const extent& out,
                                                   const conv_options& o) noexcept {
        const std::size_t plane = out.height * out.width;
        return of(n / plane, n % plane / out.width, n % out.width, o);
    }
    [[nodiscard]] static constexpr pixel_window
    of(std::size_t image, std::size_t row, std::size_t column, const conv_options& o) noexcept {
        return {image, row * o.stride.height - o.padding.height,
                column * o.stride.width - o.padding.width};
    }
    [[nodiscard]] constexpr std::size_t row(std::size_t tap, const conv_options& o) const noexcept {
        return top + tap * o.dilation.height;
    }
    [[nodiscard]] constexpr std::size_t column(std::size_t tap,
                                               const conv_options& o) const noexcept {
        return left + tap * o.dilation.width;
    }
};

} // namespace detail

/// Height and width of the output of a convolution, or an error that names what does not fit.
inline result<extent> output_extent(std::size_t height, std::size_t width,
                                    const filter_shape& filter, const conv_options& o) {
    const auto h = detail::output_size(height, filter.height, o.stride.height, o.padding.height,
                                       o.dilation.height, "image.height");
    if (!h)
        return h.error();
    const auto w = detail::output_size(width, filter.width, o.stride.width, o.padding.width,
                                       o.dilation.width, "image.width");
    if (!w)
        return w.error();
    return extent(*h, *w);
}

} // namespace s3
