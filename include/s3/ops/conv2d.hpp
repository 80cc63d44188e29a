#pragma once
// Two-dimensional convolution: the matrix product behind a gather. The columns of the product are
// output pixels; staging a column copies the pixels under the filter. Stride, padding, dilation,
// groups; NHWC and NCHW on either side; the same outputs and epilogues as matmul. Depthwise NHWC
// has a loop of its own. A 1-D convolution is a filter and an image of height 1.
//
// Errors: shapes that do not fit, options out of range, and those of matmul. On error nothing is
// written.

#include <s3/kernel/depthwise.hpp>
#include <s3/ops/matmul.hpp>

#include <vector>

namespace s3 {

template <weight_format F, activation X, architecture Arch = arch::native>
class prepared_filter {
public:
    using format = F;
    using depthwise_dot = kernel::depthwise<F, X, false>;
    using depthwise_shift = kernel::depthwise<F, X, F::is_shift>;

    [[nodiscard]] const filter_shape& shape() const noexcept { return shape_; }
    [[nodiscard]] const conv_options& options() const noexcept { return options_; }
    [[nodiscard]] std::span<const prepared_matrix<F, X, Arch>> groups() const noexcept {
        return groups_;
    }
    [[nodiscard]] const char* kernel_name() const noexcept {
        return shift_ ? "shift_add" : groups_.empty() ? "dot" : groups_[0].kernel_name();
    }
    /// Height and width of the output for an image of this size.
    [[nodiscard]] result<extent> output_shape(std::size_t height, std::size_t width) const {
        return output_extent(height, width, shape_, options_);
    }
    /// One channel per group: the weights of the loop over channels.
    [[nodiscard]] bool is_depthwise() const noexcept { return depthwise_; }
    [[nodiscard]] bool by_shifts() const noexcept { return shift_; }
    [[nodiscard]] const typename depthwise_dot::taps& dot_taps() const noexcept { return dot_; }
    [[nodiscard]] const typename depthwise_shift::taps& shift_taps() const noexcept {
        return shifts_;
    }

private:
    template <activation Y, architecture A, weight_format G>
    friend result<prepared_filter<G, Y, A>> prepare(const packed_filter<G>&, const conv_options&,
                                                    const geometry&);
    filter_shape shape_;
    conv_options options_;
    bool depthwise_ = false;
    bool shift_ = false; ///< depthwise by shifts
    std::vector<prepared_matrix<F, X, Arch>> groups_;
    typename depthwise_dot::taps dot_;
    typename depthwise_shift::taps shifts_;
};

/// Fixes kernel and layout for one convolution. Errors as for a matrix, and groups that do not
/// divide the output channels.
template <activation X = std::uint8_t, architecture Arch = arch::native, weight_format F>
[[nodiscard]] result<prepared_filter<F, X, Arch>>
prepare(const packed_filter<F>& filter, const conv_options& options, const geometry& g = {}) {
    const filter_shape& shape = filter.shape;
    if (options.groups == 0 || shape.out_channels % options.groups != 0)
        return error(errc::bad_option, "groups").got(options.groups).needs(shape.out_channels);
    if constexpr (std::integral<X>)
        if (options.padding_value < std::numeric_limits<X>::min() ||
            options.padding_value > std::numeric_limits<X>::max())
            return error(errc::bad_option, "padding_value").got(options.padding_value);
    prepared_filter<F, X, Arch> p;
    p.shape_ = shape;
    p.options_ = options;
    p.depthwise_ =
        options.groups > 1 && options.groups == shape.out_channels && shape.in_channels == 1;
    p.shift_ = p.depthwise_ && g.kernels == family::shift_add;
    if (p.shift_ && !F::is_shift)
        return error(errc::unsupported, "geometry.kernels");
    // Depthwise filters keep their groups too: NCHW images go through the gather.
    for (std::size_t i = 0, rows = shape.out_channels / options.groups; i < options.groups; ++i) {
        auto part = filter.matrix.slice(i * rows, rows);
        if (!part)
            return part.error();
        auto prepared = prepare<X, Arch>(*part, g);
        if (!prepared)
            return prepared.error();
        p.groups_.push_back(*std::move(prepared));
    }
    if (p.depthwise_ && p.shift_) {
        auto taps = kernel::depthwise<F, X, F::is_shift>::prepare(filter);
        if (!taps)
            return taps.error();
        p.shifts_ = *std::move(taps);
    } else if (p.depthwise_) {
        auto taps = kernel::depthwise<F, X, false>::prepare(filter);
        if (!taps)
            return taps.error();
        p.dot_ = *std::move(taps);
    }
    return p;
}

namespace detail {

/// Where an output pixel looks in the image.
struct pixel_window {
    std::size_t image, top, left; ///< top and left wrap below zero, as unsigned numbers do

    static pixel_window of(std::size_t n, const extent& out, const conv_options& o) noexcept {
        const std::size_t plane = out.height * out.width;
        return {n / plane, n % plane / out.width * o.stride.height - o.padding.height,
                n % out.width * o.stride.width - o.padding.width};
    }
};

/// Stages the pixels under the filter, for the channels of one group.
template <int ZeroPoint, activation X>
struct gather {
    image_view<const X> x;
    filter_shape f;
    conv_options o;
    extent out;
    std::size_t first_channel;

    template <class Staged>
    void operator()(std::size_t n, std::size_t count, Staged* to, std::size_t stride) const {
        const X pad_value = static_cast<X>(o.padding_value);
        Staged pad;
        stage<ZeroPoint>(&pad_value, 1, &pad);
        for (std::size_t c = 0; c < count; ++c, to += stride) {
            const auto at = pixel_window::of(n + c, out, o);
            Staged* p = to;
            for (std::size_t kh = 0; kh < f.height; ++kh)
                for (std::size_t kw = 0; kw < f.width; ++kw, p += f.in_channels) {
                    const std::size_t h = at.top + kh * o.dilation.height;
                    const std::size_t w = at.left + kw * o.dilation.width;
                    if (h >= x.height || w >= x.width) {
                        std::fill_n(p, f.in_channels, pad);
                        continue;
                    }
                    const X* from = x.data.data() + x.index(at.image, h, w, first_channel);
                    if (x.order == image_order::nhwc)
                        stage<ZeroPoint>(from, f.in_channels, p);
                    else
                        for (std::size_t i = 0; i < f.in_channels; ++i)
                            stage<ZeroPoint>(from + i * x.height * x.width, 1, p + i);
                }
            std::fill(p, to + stride, Staged{0});
        }
    }

    /// The taps, where the channels of a pixel are contiguous and whole steps; few channels are
    /// sooner copied.
    template <class Staged>
    [[nodiscard]] std::size_t segments() const noexcept {
        const bool readable = std::is_same_v<X, Staged> && x.order == image_order::nhwc &&
                              f.in_channels >= 16 && f.in_channels % 4 == 0;
        return readable ? f.height * f.width : 0;
    }
    template <class Staged>
    void point(std::size_t n, std::size_t count, const Staged** table, Staged* outside) const {
        if constexpr (std::is_same_v<X, Staged>) {
            std::fill_n(outside, f.in_channels, static_cast<X>(o.padding_value));
            for (std::size_t c = 0; c < count; ++c) {
                const auto at = pixel_window::of(n + c, out, o);
                const Staged** to = table + c;
                for (std::size_t kh = 0; kh < f.height; ++kh)
                    for (std::size_t kw = 0; kw < f.width; ++kw, to += count) {
                        const std::size_t h = at.top + kh * o.dilation.height;
                        const std::size_t w = at.left + kw * o.dilation.width;
                        *to = h < x.height && w < x.width
                                  ? x.data.data() + x.index(at.image, h, w, first_channel)
                                  : outside;
                    }
            }
        }
    }
};

template <class Depthwise, class Taps, activation X, class Sink>
void run_depthwise(const Taps& taps, const image_view<const X>& x, const filter_shape& f,
                   const conv_options& o, const extent& out, std::size_t n_begin, std::size_t n_end,
                   const Sink& sink) {
    using sum = typename Depthwise::sum;
    constexpr std::size_t chunk = Depthwise::chunk;
    for (std::size_t n = n_begin; n < n_end; ++n) {
        const auto at = pixel_window::of(n, out, o);
        for (std::size_t c = 0; c < x.channels; c += chunk) {
            const std::size_t count = std::min(chunk, x.channels - c);
            sum acc[chunk] = {};
            for (std::size_t kh = 0, t = c; kh < f.height; ++kh)
                for (std::size_t kw = 0; kw < f.width; ++kw, t += x.channels) {
                    const std::size_t h = at.top + kh * o.dilation.height;
                    const std::size_t w = at.left + kw * o.dilation.width;
                    const sum* value = taps.value.data() + t;
                    const std::int32_t* shift =
                        taps.shift.size() == 0 ? nullptr : taps.shift.data() + t;
                    if (h >= x.height || w >= x.width) {
                        if (o.padding_value != 0)
                            Depthwise::pad(acc, o.padding_value, value, shift, count);
                        continue;
                    }
                    const X* from = x.data.data() + x.index(at.image, h, w, c);
                    if (count == chunk)
                        Depthwise::accumulate(acc, from, value, shift);
                    else
                        Depthwise::accumulate(acc, from, value, shift, count);
                }
            sink(n, c, count, acc);
        }
    }
}

} // namespace detail

/// Bytes of scratch for images of this output size.
template <weight_format F, activation X, architecture Arch>
[[nodiscard]] std::size_t scratch_bytes(const prepared_filter<F, X, Arch>& w, std::size_t batch,
                                        const extent& out, std::size_t workers = 1) {
    const std::size_t pixels = saturating_mul(batch, saturating_mul(out.height, out.width));
    return w.groups().empty() ? 0 : scratch_bytes(w.groups()[0], pixels, workers);
}

template <weight_format F, activation X, architecture Arch, output<X> Y,
          executor Executor = inline_executor>
[[nodiscard]] status conv2d(const prepared_filter<F, X, Arch>& w, const image_view<const X>& x,
                            const image_view<Y>& y, const epilogue_for<X>& e,
                            std::span<std::byte> scratch, Executor ex = {}) {
    const filter_shape& f = w.shape();
    const conv_options& o = w.options();
    if (auto s = x.check("image"); !s)
        return s;
    if (auto s = y.check("y"); !s)
        return s;
    if (x.channels != f.in_channels * o.groups)
        return error(errc::shape_mismatch, "image.channels")
            .got(x.channels)
            .needs(f.in_channels * o.groups);
    const auto out = w.output_shape(x.height, x.width);
    if (!out)
        return out.error();
    if (y.batch != x.batch)
        return error(errc::shape_mismatch, "y.batch").got(y.batch).needs(x.batch);
    if (y.height != out->height)
        return error(errc::shape_mismatch, "y.height").got(y.height).needs(out->height);
    if (y.width != out->width)
        return error(errc::shape_mismatch, "y.width").got(y.width).needs(out->width);
    if (y.channels != f.out_channels)
        return error(errc::shape_mismatch, "y.channels").got(y.channels).needs(f.out_channels);
    const std::size_t rows = f.out_channels / o.groups;
    if constexpr (std::integral<X>) {
        if (auto s = check<Y>(e, f.out_channels, y.size()); !s)
            return s;
        for (std::size_t g = 0; g < o.groups; ++g) {
            const auto bias = e.bias.size() > 1 ? e.bias.subspan(g * rows, rows) : e.bias;
            if (auto s = detail::check_bias<X>(w.groups()[g].abs_sums(), bias); !s)
                return s;
        }
    } else {
        if (auto s = check(e, f.out_channels); !s)
            return s;
    }
    const std::size_t needed = scratch_bytes(w, x.batch, *out, ex.concurrency());
    if (scratch.size() < needed)
        return error(errc::buffer_too_small, "scratch").got(scratch.size()).needs(needed);

    const std::size_t plane = out->height * out->width, pixels = x.batch * plane;
    const bool nhwc = y.order == image_order::nhwc;
    const auto sink = [&](std::size_t first, std::span<const float> real_scale) {
        const detail::output_map map{plane, plane * f.out_channels, nhwc ? f.out_channels : 1,
                                     nhwc ? 1 : plane, first};
        if constexpr (std::integral<X>) {
            (void)real_scale;
            return detail::integer_store<Arch, Y>{y.data.data(), map, e};
        } else {
            return detail::float_store<Arch>{y.data.data(), map, e, real_scale};
        }
    };
    if (w.is_depthwise() && x.order == image_order::nhwc && std::integral<X>) {
        const std::size_t tasks = std::min(pixels, 4 * ex.concurrency());
        const auto store = sink(0, {});
        ex.run(tasks, [&](std::size_t t, std::size_t) {
            const std::size_t begin = pixels * t / tasks, end = pixels * (t + 1) / tasks;
            using filter = prepared_filter<F, X, Arch>;
            if (w.by_shifts())
                detail::run_depthwise<typename filter::depthwise_shift>(w.shift_taps(), x, f, o,
                                                                        *out, begin, end, store);
            else
                detail::run_depthwise<typename filter::depthwise_dot>(w.dot_taps(), x, f, o, *out,
                                                                      begin, end, store);
        });
        return {};
    }
    for (std::size_t g = 0; g < o.groups; ++g) {
        const auto& group = w.groups()[g];
        group.visit([&](auto k) {
            using kernel = typename decltype(k)::type;
            const detail::gather<kernel::zero_point, X> source{x, f, o, *out, g * f.in_channels};
            detail::run<kernel>(group.panels(), pixels, source, sink(g * rows, group.real_scale()),
                                scratch, ex);
        });
    }
    return {};
}

/// The same with scratch memory allocated for this call.
template <weight_format F, activation X, architecture Arch, output<X> Y,
          executor Executor = inline_executor>
[[nodiscard]] status conv2d(const prepared_filter<F, X, Arch>& w, const image_view<const X>& x,
                            const image_view<Y>& y, const epilogue_for<X>& e = {},
                            Executor ex = {}) {
    const auto out = w.output_shape(x.height, x.width);
    if (!out)
        return out.error();
    auto scratch = buffer<std::byte>::make(scratch_bytes(w, x.batch, *out, ex.concurrency()));
    if (!scratch)
        return scratch.error();
    return conv2d(w, x, y, e, scratch->span(), ex);
}

/// From packed weights: prepares and allocates for this call.
template <architecture Arch = arch::native, weight_format F, activation X, output<X> Y>
[[nodiscard]] status conv2d(const packed_filter<F>& filter, const image_view<const X>& x,
                            const image_view<Y>& y, const conv_options& options,
                            const epilogue_for<X>& e = {}, const geometry& g = {}) {
    const auto prepared = prepare<X, Arch>(filter, options, g);
    if (!prepared)
        return prepared.error();
    return conv2d(*prepared, x, y, e);
}

} // namespace s3
