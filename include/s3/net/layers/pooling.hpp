#pragma once
// The largest or the mean activation under a window. Global pooling has a window as large as the
// image.
//
//   max    y = q of the largest; padding never wins. y has the scale and zero point of the input
//   mean   y = clamp(round(Σ(q − zero point of the input)·scale) + zero point of y) to y's bits;
//          padding counts as zero point, and counts in the divisor, which is a part of `scale`

#include <s3/kernel/pooling.hpp>
#include <s3/net/layer.hpp>
#include <s3/ops/store.hpp>

namespace s3::net {

enum class pooling_kind : unsigned char { max, mean };

struct pooling {
    value_id input = {};
    pooling_kind kind = pooling_kind::max;
    extent window = 1;
    extent stride = 1;
    extent padding = 0;
    float scale = 1; ///< `mean` only: scale of the input / (scale of y · window area)

    static constexpr std::array names{"max_pooling", "mean_pooling"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("input", l.input);
        f("window", l.window);
        f("stride", l.stride);
        f("padding", l.padding);
        f("scale", l.scale);
    }

    result<value_info> infer(const layer_site& s) const {
        if (window.height == 0 || window.width == 0)
            return error(errc::bad_option, "window").got(0).limit(1);
        // These limits make sure that every window has a pixel inside the image.
        if (padding.height >= window.height)
            return error(errc::bad_option, "padding").got(padding.height).limit(window.height - 1);
        if (padding.width >= window.width)
            return error(errc::bad_option, "padding").got(padding.width).limit(window.width - 1);
        constexpr std::size_t limit = std::size_t{1} << 23; // bytes that a sum may add up
        const std::size_t area = saturating_mul(window.height, window.width);
        if (area > limit)
            return error(errc::depth_exceeded, "window").got(area).limit(limit);
        const value_info& in = s[input];
        const auto size = output_extent(in.height, in.width, {1, window.height, window.width, 1},
                                        {.stride = stride, .padding = padding});
        if (!size)
            return size.error();
        return detail::resized(in, *size, in.channels);
    }
    status check(const layer_site& s) const {
        return kind == pooling_kind::mean ? detail::check_scale(scale, "scale")
                                          : detail::check_same_numbers(s.out(), s[input]);
    }

    /// From the first pixel to the last, y may be written over the input if no window begins before
    /// the place of its own output: no later window then reads what was overwritten.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site& s, write_order order) const {
        const value_info &in = s[input], &out = s.out();
        if (order == write_order::any || out.size() > in.size())
            return {};
        // The first pixel of a window minus the number of its output is a sum of a part for the
        // rows and one for the columns. Each is least where windows leave the padding, or at the
        // end.
        const auto least = [](std::size_t count, std::size_t step, std::size_t pad,
                              std::size_t row_in, std::size_t row_out) {
            std::int64_t difference = 0;
            for (const std::size_t i : {pad / step, pad / step + 1, count - 1}) {
                const std::size_t first = i * step < pad ? 0 : i * step - pad;
                if (i < count)
                    difference = std::min(difference, static_cast<std::int64_t>(first * row_in) -
                                                          static_cast<std::int64_t>(i * row_out));
            }
            return difference;
        };
        const std::int64_t rows =
            least(out.height, stride.height, padding.height, in.width, out.width);
        const std::int64_t columns = least(out.width, stride.width, padding.width, 1, 1);
        if (rows + columns < 0)
            return {};
        return {input};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        const value_info &in = s[input], &out = s.out();
        const auto x = s.image(input);
        const conv_options o{.stride = stride, .padding = padding};
        const epilogue e{
            .scale = {&scale, 1}, .zero_point = out.zero_point, .clamp_high = out.top()};
        const s3::detail::integer_store<Arch, std::uint8_t> sink{y, {1, out.channels, 0, 1, 0}, e};
        s.in_pieces(s.batch * out.height * out.width, [&](std::size_t begin, std::size_t end) {
            if (kind == pooling_kind::max)
                kernel::max_pool<Arch>(x, window, out.image_size(), o, begin, end, y);
            else
                kernel::sum_pool<Arch>(x, window, out.image_size(), o, in.zero_point, begin, end,
                                       sink);
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        const auto x = s.image(input);
        const auto to = s.output(y);
        const conv_options o{.stride = stride, .padding = padding};
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t pixel = i / to.channels, c = i % to.channels;
            const auto at = s3::detail::pixel_window::of(pixel, s.out().image_size(), o);
            std::int32_t largest = 0, sum = 0;
            for (std::size_t t = 0; t < window.height * window.width; ++t) {
                const std::size_t h = at.row(t / window.width, o),
                                  w = at.column(t % window.width, o);
                if (h >= x.height || w >= x.width)
                    continue;
                const std::size_t from = x.index(at.image, h, w, c);
                largest = std::max(largest, x.data[from]);
                sum += s.centered(input, from);
            }
            y[i] = kind == pooling_kind::max
                       ? largest
                       : std::clamp(scale_round(sum, scale) + s.out().zero_point, 0, s.out().top());
        }
    }

    template <class Writer>
    void emit(Writer& w) const {
        const std::string shape = w.list({window.height, window.width, stride.height, stride.width,
                                          padding.height, padding.width});
        if (kind == pooling_kind::max)
            w.call("max_pool", {shape, w.shape(input), w.shape_out(), w.value(input), w.result()});
        else
            w.call("mean_pool", {shape, w.shape(input), w.shape_out(), w.value(input),
                                 w.number(w[input].zero_point), w.real(scale),
                                 w.range(0, w.out().top()), w.result()});
    }
};

} // namespace s3::net
