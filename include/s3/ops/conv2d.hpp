#pragma once
// Two-dimensional convolution: the matrix product behind a gather. The columns of the product are
// output pixels; staging a column copies the pixels under the filter, or points at them. Stride,
// padding, dilation, groups; NHWC and NCHW on either side; the same outputs and epilogues as
// matmul. A 1-D convolution is a filter and an image of height 1.
//
// Errors: shapes that do not fit, options out of range, and those of matmul. On error nothing is
// written.

#include <s3/ops/gather.hpp>
#include <s3/ops/matmul.hpp>
#include <s3/ops/prepare_filter.hpp>

namespace s3 {

/// Bytes of scratch for images of this output size.
template <weight_format F, activation X, architecture Arch, kernel_choice Choice>
[[nodiscard]] std::size_t scratch_bytes(const prepared_filter<F, X, Arch, Choice>& w,
                                        std::size_t batch, const extent& out,
                                        std::size_t workers = 1) {
    const std::size_t pixels = saturating_mul(batch, saturating_mul(out.height, out.width));
    if (pixels == 0 || w.shape().out_channels == 0)
        return 0;
    std::size_t bytes = w.groups().empty() ? 0 : scratch_bytes(w.groups()[0], pixels, workers);
    w.visit_direct([&](auto k, const auto& filter) {
        const std::size_t each = whole_lines(decltype(k)::type::scratch_bytes(filter));
        bytes = std::max(bytes, saturating_add(saturating_mul(workers, each), 63));
    });
    return bytes;
}

namespace detail {

/// What all convolutions of a filter share, whichever way its weights were prepared.
template <activation X, output<X> Y>
struct convolution {
    const filter_shape& f;
    const conv_options& o;
    const image_view<const X>& x;
    const image_view<Y>& y;
    const epilogue_for<X>& e;
    std::span<const std::int64_t> abs_sums;
    std::span<const float> real_scale;
    const prepare_options& prepared_for;

    /// The size of the output, if everything fits.
    result<extent> check() const {
        if (auto s = x.check("image"); !s)
            return s.error();
        if (auto s = y.check("y"); !s)
            return s.error();
        if (x.channels != f.in_channels * o.groups)
            return error(errc::shape_mismatch, "image.channels")
                .got(x.channels)
                .needs(f.in_channels * o.groups);
        const auto out = output_extent(x.height, x.width, f, o);
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
        if constexpr (std::integral<X>) {
            if (auto s = s3::check<Y>(e, f.out_channels, y.size()); !s)
                return s.error();
            if (auto s = check_bias<X>(abs_sums, e.bias, prepared_for.activation_bits); !s)
                return s.error();
            if (auto s = check_real_scale<Y>(e, real_scale); !s)
                return s.error();
        } else {
            if (auto s = s3::check(e, f.out_channels); !s)
                return s.error();
        }
        return *out;
    }
    /// The order in which a gather takes the output pixels, the same for all groups.
    pixel_order order(const extent& out) const {
        return pixel_order::by_edges(x.height, x.width, f, o, out);
    }
    /// Where the sums of output channels from number `first` on go.
    template <class Arch>
    auto sink(const extent& out, std::size_t first, const pixel_order* order) const {
        const std::size_t plane = out.height * out.width;
        const bool nhwc = y.order == image_order::nhwc;
        const output_map map{
            plane, plane * f.out_channels, nhwc ? f.out_channels : 1, nhwc ? 1 : plane, first,
            order};
        if constexpr (std::integral<X>)
            return integer_store<Arch, Y>{y.data.data(), map, e, real_scale};
        else
            return float_store<Arch>{y.data.data(), map, e, real_scale};
    }
    /// Computes group number g by its matrix, behind a gather that takes the output pixels in this
    /// order.
    template <weight_format F, architecture Arch, kernel_choice Choice>
    void multiply(const prepared_matrix<F, X, Arch, Choice>& group, std::size_t g,
                  const extent& out, const pixel_order& order, std::span<std::byte> scratch,
                  executor_ref ex) const {
        group.visit([&](auto k) {
            using loop = typename decltype(k)::type;
            const gather<loop::zero_point, X> source{x, f, o, out, g * f.in_channels, order};
            run<loop>(group.panels(), x.batch * out.height * out.width, source,
                      sink<Arch>(out, g * (f.out_channels / o.groups), &order), scratch, ex);
        });
    }
};

} // namespace detail

template <weight_format F, activation X, architecture Arch, kernel_choice Choice, output<X> Y>
status conv2d(const prepared_filter<F, X, Arch, Choice>& w,
              const std::type_identity_t<image_view<const X>>& x, const image_view<Y>& y,
              const epilogue_for<X>& e, std::span<std::byte> scratch, executor_ref ex = {}) {
    const conv_options& o = w.options();
    const detail::convolution<X, Y> c{w.shape(),       o, x, y, e, w.abs_sums(), w.real_scale(),
                                      w.prepared_for()};
    const auto out = c.check();
    if (!out)
        return out.error();
    if (x.order != image_order::nhwc && !w.prepared_for().any_order)
        return error(errc::unsupported, "image.order");
    if (y.size() == 0)
        return {};
    const std::size_t needed = scratch_bytes(w, x.batch, *out, ex.concurrency());
    if (scratch.size() < needed)
        return error(errc::buffer_too_small, "scratch").got(scratch.size()).needs(needed);
    const bool done =
        x.order == image_order::nhwc && w.visit_direct([&](auto k, const auto& filter) {
            using loop = typename decltype(k)::type;
            const std::size_t units = loop::units(x.batch, *out);
            const std::size_t workers = ex.concurrency();
            const std::size_t tasks = std::min(units, workers == 1 ? 1 : 4 * workers);
            const std::size_t each = whole_lines(loop::scratch_bytes(filter));
            std::byte* base = detail::align_up(scratch.data());
            ex.run(tasks, [&](std::size_t t, std::size_t worker) {
                loop::run(filter, x, *out, o, detail::piece_begin(units, tasks, t),
                          detail::piece_begin(units, tasks, t + 1),
                          c.template sink<Arch>(*out, 0, nullptr), base + worker * each);
            });
        });
    if (done)
        return {};
    const auto order = c.order(*out);
    for (std::size_t g = 0; g < o.groups; ++g)
        c.multiply(w.groups()[g], g, *out, order, scratch, ex);
    return {};
}

/// The same with scratch memory allocated for this call.
template <weight_format F, activation X, architecture Arch, kernel_choice Choice, output<X> Y>
status conv2d(const prepared_filter<F, X, Arch, Choice>& w,
              const std::type_identity_t<image_view<const X>>& x, const image_view<Y>& y,
              const epilogue_for<X>& e = {}, executor_ref ex = {}) {
    const auto out = w.output_shape(x.height, x.width);
    if (!out)
        return out.error();
    auto scratch = buffer<std::byte>::make(scratch_bytes(w, x.batch, *out, ex.concurrency()));
    if (!scratch)
        return scratch.error();
    return conv2d(w, x, y, e, scratch->span(), ex);
}

/// From packed weights of one group, with all memory in `scratch`: packed_scratch_bytes() of the
/// matrix and of as many activation vectors as there are output pixels. Prepares on the fly, for
/// the product behind a gather.
template <kernel_choice Choice = family::automatic, architecture Arch = arch::native,
          weight_format F, class X, class Y>
requires activation<std::remove_const_t<X>> && output<Y, std::remove_const_t<X>>
    status conv2d(const packed_filter<F>& filter, const image_view<X>& x, const image_view<Y>& y,
                  const conv_options& options, const epilogue_for<std::remove_const_t<X>>& e,
                  std::span<std::byte> scratch, const prepare_options& o = {},
                  executor_ref ex = {}) {
    using element = std::remove_const_t<X>;
    if (options.groups != 1)
        return error(errc::unsupported, "groups").got(options.groups).limit(1);
    if (auto s = detail::check_filter<F, element, Choice>(filter, options, o); !s)
        return s;
    const auto layout = prepared_bytes<element, Choice, Arch>(filter.matrix, o);
    if (!layout)
        return layout.error();
    if (scratch.size() < *layout)
        return error(errc::buffer_too_small, "scratch").got(scratch.size()).needs(*layout);
    const auto w = prepare_into<element, Choice, Arch>(filter.matrix, o, scratch.first(*layout));
    if (!w)
        return w.error();
    const image_view<const element> in = x;
    const detail::convolution<element, Y> c{filter.shape,  options,         in, y, e,
                                            w->abs_sums(), w->real_scale(), o};
    const auto out = c.check();
    if (!out)
        return out.error();
    if (y.size() == 0)
        return {};
    const std::size_t needed = saturating_add(
        *layout, scratch_bytes(*w, x.batch * out->height * out->width, ex.concurrency()));
    if (scratch.size() < needed)
        return error(errc::buffer_too_small, "scratch").got(scratch.size()).needs(needed);
    c.multiply(*w, 0, *out, c.order(*out), scratch.subspan(*layout), ex);
    return {};
}

/// From packed weights: prepares and allocates for this call.
template <kernel_choice Choice = family::automatic, architecture Arch = arch::native,
          weight_format F, class X, class Y>
requires activation<std::remove_const_t<X>> && output<Y, std::remove_const_t<X>>
    status conv2d(const packed_filter<F>& filter, const image_view<X>& x, const image_view<Y>& y,
                  const conv_options& options, const epilogue_for<std::remove_const_t<X>>& e = {},
                  prepare_options o = {}, executor_ref ex = {}) {
    o.any_order = x.order != image_order::nhwc;
    const auto prepared = prepare<std::remove_const_t<X>, Choice, Arch>(filter, options, o);
    if (!prepared)
        return prepared.error();
    return conv2d(*prepared, x, y, e, ex);
}

/// Weights that may be an error.
template <class T, class... Rest>
status conv2d(const result<T>&, Rest&&...) {
    static_assert(detail::never<T>, "the weights are a result: check it, and pass *weights");
    return {};
}

} // namespace s3
