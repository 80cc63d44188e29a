#pragma once
// The columns of a convolution's matrix product, an activation_source of the kernels. A column is
// the window of an output pixel: copied in the order of the filter's taps, or pointed at in the
// image where that holds activations as the kernel would stage them.

#include <s3/format/activation.hpp>
#include <s3/ops/pixel_order.hpp>
#include <s3/ops/run.hpp>

namespace s3::detail {

/// `first_channel` is the image channel at which the channels of the group begin.
template <int ZeroPoint, activation X>
struct gather {
    image_view<const X> x;
    filter_shape f;
    conv_options o;
    extent out;
    std::size_t first_channel;
    pixel_order order;

    template <class Staged>
    void operator()(std::size_t n, std::size_t count, Staged* to, std::size_t stride) const {
        const X pad_value = static_cast<X>(o.padding_value);
        Staged pad;
        stage<ZeroPoint>(&pad_value, 1, &pad);
        for (std::size_t c = 0; c < count; ++c, to += stride) {
            Staged* p = to;
            each_tap(n + c, [&](const X* from) {
                if (from == nullptr)
                    std::fill_n(p, f.in_channels, pad);
                else if (x.order == image_order::nhwc)
                    stage<ZeroPoint>(from, f.in_channels, p);
                else
                    for (std::size_t i = 0; i < f.in_channels; ++i)
                        stage<ZeroPoint>(from + i * x.height * x.width, 1, p + i);
                p += f.in_channels;
            });
            std::fill(p, to + stride, Staged{0});
        }
    }

    /// One segment per tap if the channels of a pixel can be read in place: they must be
    /// contiguous, whole steps, and of the type that the kernel stages. It is 0 for few channels,
    /// because copying those is faster.
    template <class Staged>
    [[nodiscard]] std::size_t segments() const noexcept {
        const bool readable = std::is_same_v<X, Staged> && x.order == image_order::nhwc &&
                              f.in_channels >= 16 && f.in_channels % 4 == 0;
        return readable ? f.height * f.width : 0;
    }
    /// Writes the pointers of one line of output pixels at a time: under a tap, the pixels of a
    /// line lie equally far apart in the image.
    template <class Staged>
    void point(std::size_t n, std::size_t count, const Staged** table, Staged* outside) const {
        if constexpr (std::is_same_v<X, Staged>) {
            std::fill_n(outside, f.in_channels, static_cast<X>(o.padding_value));
            for (std::size_t c = 0; c < count;) {
                const auto p = order.at(n + c);
                const std::size_t length = std::min(p.straight, count - c);
                const auto window = pixel_window::of(p.image, p.row, p.column, o);
                const Staged** to = table + c;
                for (std::size_t kh = 0; kh < f.height; ++kh)
                    for (std::size_t kw = 0; kw < f.width; ++kw, to += count)
                        point_line(window.image, window.row(kh, o), window.column(kw, o),
                                   order.is_edge(p), length, to, outside);
                c += length;
            }
        }
    }
    /// Whether padding adds nothing to any sum.
    [[nodiscard]] bool ignores_padding() const noexcept { return o.padding_value == 0; }
    /// How many columns from n on have padding under (nearly) the same taps.
    [[nodiscard]] std::size_t alike(std::size_t n) const noexcept {
        return order.alike(order.at(n));
    }

private:
    /// Writes the pointers for a line of `length` output pixels under one tap, which meets the
    /// first pixel at (h, w). The line goes down the image, or else along a row.
    template <class Staged>
    void point_line(std::size_t image, std::size_t h, std::size_t w, bool down, std::size_t length,
                    const Staged** to, const Staged* outside) const {
        if (w >= x.width || (!down && h >= x.height)) {
            // Between the edges, a tap lies above or below the image for the whole row, or for no
            // part of it.
            std::fill_n(to, length, outside);
            return;
        }
        if (down) {
            for (std::size_t i = 0; i < length; ++i, h += o.stride.height)
                to[i] =
                    h < x.height ? x.data.data() + x.index(image, h, w, first_channel) : outside;
            return;
        }
        const Staged* from = x.data.data() + x.index(image, h, w, first_channel);
        const std::size_t step = o.stride.width * x.channels;
        for (std::size_t i = 0; i < length; ++i)
            to[i] = from + i * step;
    }

    /// Calls the function, for each tap of column n's window, with a pointer to the first channel
    /// under it, or null if the tap lies outside the image.
    template <class Function>
    S3_INLINE void each_tap(std::size_t n, Function&& function) const {
        const auto p = order.at(n);
        const auto window = pixel_window::of(p.image, p.row, p.column, o);
        for (std::size_t kh = 0; kh < f.height; ++kh)
            for (std::size_t kw = 0; kw < f.width; ++kw) {
                const std::size_t h = window.row(kh, o), w = window.column(kw, o);
                function(h < x.height && w < x.width
                             ? x.data.data() + x.index(window.image, h, w, first_channel)
                             : nullptr);
            }
    }
};

} // namespace s3::detail
