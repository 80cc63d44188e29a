#pragma once
// What a network must keep to before it runs; a model from a file is checked here. An error's index
// is the layer, where there is one (value i + 1 is described with layer i); it names the field.
//
//   * inputs are earlier values; shapes agree; sizes stay below 2^31 per image
//   * bits are 1 … 8, steps positive, zero points and limits within the bits, numbers finite
//   * padding is the input's zero point
//   * Σ|w|·(largest activation) + |bias| fits int32, by each row's real Σ|w|
//   * `raw` and float_linear are the last layer's alone

#include <s3/core/is_finite.hpp>
#include <s3/net/model.hpp>

#include <cstdlib>

namespace s3::net {

namespace detail {

inline status check_value(const value_info& v) {
    constexpr std::size_t limit = std::size_t{1} << 31;
    if (v.size() == 0 || v.size() > limit)
        return error(errc::bad_option, "value.size").got(v.size()).limit(limit);
    if (v.bits < 1 || v.bits > 8)
        return error(errc::bad_option, "value.bits").got(v.bits).limit(8);
    if (!is_finite(v.step) || !(v.step > 0))
        return error(errc::bad_option, "value.step").got(v.step);
    if (v.zero_point < 0 || v.zero_point > v.top())
        return error(errc::bad_option, "value.zero_point").got(v.zero_point).limit(v.top());
    return {};
}

inline status check_size(const extent& got, const extent& wanted) {
    if (got.height != wanted.height)
        return error(errc::shape_mismatch, "value.height").got(got.height).needs(wanted.height);
    if (got.width != wanted.width)
        return error(errc::shape_mismatch, "value.width").got(got.width).needs(wanted.width);
    return {};
}
inline status check_channels(std::size_t got, std::size_t wanted) {
    if (got != wanted)
        return error(errc::shape_mismatch, "value.channels").got(got).needs(wanted);
    return {};
}
[[nodiscard]] inline extent size_of(const value_info& v) {
    return {v.height, v.width};
}

inline status check_limits(std::int32_t low, std::int32_t high, const value_info& out) {
    if (low < 0 || low > high)
        return error(errc::bad_option, "low").got(low).limit(high);
    if (high > out.top())
        return error(errc::bad_option, "high").got(high).limit(out.top());
    return {};
}
inline status check_scale(float scale, const char* argument) {
    if (!is_finite(scale))
        return error(errc::not_finite, argument);
    return {};
}
inline status check_input(std::size_t value, std::size_t layer, const char* argument) {
    if (value > layer)
        return error(errc::bad_option, argument).got(value).limit(layer);
    return {};
}
/// The first failure of some statuses, all of which are cheap.
inline status first_of(std::initializer_list<status> all) {
    for (const status& s : all)
        if (!s)
            return s;
    return {};
}

/// Every row's largest sum fits int32.
inline status check_depth(std::span<const std::int64_t> abs_sums,
                          const std::vector<std::int32_t>& bias, int largest) {
    constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();
    for (std::size_t m = 0; m < abs_sums.size(); ++m) {
        const std::int64_t room = limit - (bias.empty() ? 0 : std::abs(std::int64_t{bias[m]}));
        if (room < 0 || abs_sums[m] > room / largest)
            return error(errc::depth_exceeded, "weights.row")
                .got(abs_sums[m])
                .limit(room / largest);
    }
    return {};
}

inline status check_layer(const model& m, std::size_t i, const convolution& l) {
    if (auto s = check_input(l.input, i, "input"); !s)
        return s;
    const value_info &in = m.values[l.input], &out = m.values[i + 1];
    const filter_shape& f = shape_of(l.filter);
    const conv_options& o = l.options;
    const auto [rows, columns] = std::visit(
        [](const auto& p) { return std::pair(p.matrix.rows(), p.matrix.columns()); }, l.filter);
    if (rows != f.out_channels || columns != f.columns())
        return error(errc::shape_mismatch, "filter.shape").got(columns).needs(f.columns());
    if (o.groups == 0 || o.groups > f.out_channels || f.out_channels % o.groups != 0)
        return error(errc::bad_option, "groups").got(o.groups).limit(f.out_channels);
    if (in.channels != saturating_mul(f.in_channels, o.groups))
        return error(errc::shape_mismatch, "filter.in_channels")
            .got(saturating_mul(f.in_channels, o.groups))
            .needs(in.channels);
    const bool padded = o.padding.height != 0 || o.padding.width != 0;
    if (padded && o.padding_value != in.zero_point)
        return error(errc::bad_option, "padding_value").got(o.padding_value).needs(in.zero_point);
    const auto size = output_extent(in.height, in.width, f, o);
    if (!size)
        return size.error();
    if (auto s = first_of(
            {check_size(size_of(out), *size), check_channels(out.channels, f.out_channels)});
        !s)
        return s;
    if (!l.bias.empty() && l.bias.size() != rows)
        return error(errc::shape_mismatch, "bias").got(l.bias.size()).needs(rows);
    if (auto s = std::visit(
            [&](const auto& p) { return check_depth(p.matrix.abs_sums(), l.bias, in.top()); },
            l.filter);
        !s)
        return s;
    if (l.raw) {
        if (i + 1 != m.layers.size())
            return error(errc::unsupported, "raw");
        if (!l.scale.empty() || l.residual)
            return error(errc::unsupported, l.residual ? "residual" : "scale");
        return check_scale(m.output_scale, "output_scale");
    }
    if (l.scale.size() != rows)
        return error(errc::shape_mismatch, "scale").got(l.scale.size()).needs(rows);
    for (const float scale : l.scale)
        if (auto s = check_scale(scale, "scale"); !s)
            return s;
    if (l.residual) {
        if (auto s = check_input(l.residual->value, i, "residual.value"); !s)
            return s;
        const value_info& r = m.values[l.residual->value];
        if (auto s = first_of({check_size(size_of(r), size_of(out)),
                               check_channels(r.channels, out.channels),
                               check_scale(l.residual->scale, "residual.scale")});
            !s)
            return s;
    }
    return check_limits(l.low, l.high, out);
}

inline status check_layer(const model& m, std::size_t i, const pooling& l) {
    if (auto s = check_input(l.input, i, "input"); !s)
        return s;
    const value_info &in = m.values[l.input], &out = m.values[i + 1];
    // So every window has a pixel inside the image.
    if (l.padding.height >= l.window.height)
        return error(errc::bad_option, "padding").got(l.padding.height).limit(l.window.height);
    if (l.padding.width >= l.window.width)
        return error(errc::bad_option, "padding").got(l.padding.width).limit(l.window.width);
    const auto size = output_extent(in.height, in.width, {1, l.window.height, l.window.width, 1},
                                    {.stride = l.stride, .padding = l.padding});
    if (!size)
        return size.error();
    if (auto s =
            first_of({check_size(size_of(out), *size), check_channels(out.channels, in.channels)});
        !s)
        return s;
    if (l.kind == pooling_kind::max) {
        if (out.step != in.step)
            return error(errc::bad_option, "value.step").got(out.step).needs(in.step);
        if (out.zero_point != in.zero_point)
            return error(errc::bad_option, "value.zero_point")
                .got(out.zero_point)
                .needs(in.zero_point);
        if (out.bits < in.bits)
            return error(errc::bad_option, "value.bits").got(out.bits).limit(in.bits);
        return {};
    }
    constexpr std::size_t limit = std::size_t{1} << 23;
    if (saturating_mul(l.window.height, l.window.width) > limit)
        return error(errc::depth_exceeded, "window")
            .got(saturating_mul(l.window.height, l.window.width))
            .limit(limit);
    return check_scale(l.scale, "scale");
}

inline status check_layer(const model& m, std::size_t i, const addition& l) {
    if (auto s = first_of({check_input(l.a, i, "a"), check_input(l.b, i, "b")}); !s)
        return s;
    const value_info& out = m.values[i + 1];
    for (const std::size_t v : {l.a, l.b})
        if (auto s = first_of({check_size(size_of(m.values[v]), size_of(out)),
                               check_channels(m.values[v].channels, out.channels)});
            !s)
            return s;
    return first_of({check_scale(l.a_scale, "a_scale"), check_scale(l.b_scale, "b_scale"),
                     check_limits(l.low, l.high, out)});
}

inline status check_layer(const model& m, std::size_t i, const float_linear& l) {
    if (i + 1 != m.layers.size())
        return error(errc::unsupported, "float_linear");
    if (auto s = check_input(l.input, i, "input"); !s)
        return s;
    const value_info& out = m.values[i + 1];
    if (auto s = check_size(size_of(out), 1); !s)
        return s;
    const std::size_t count = saturating_mul(out.channels, m.values[l.input].size());
    if (l.weights.size() != count)
        return error(errc::shape_mismatch, "weights").got(l.weights.size()).needs(count);
    if (!l.bias.empty() && l.bias.size() != out.channels)
        return error(errc::shape_mismatch, "bias").got(l.bias.size()).needs(out.channels);
    return {};
}

} // namespace detail

inline status check(const model& m) {
    if (m.layers.empty())
        return error(errc::bad_option, "layers").got(0);
    if (m.values.size() != m.layers.size() + 1)
        return error(errc::shape_mismatch, "values")
            .got(m.values.size())
            .needs(m.layers.size() + 1);
    if (auto s = detail::check_value(m.input()); !s)
        return s;
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        status s = detail::check_value(m.values[i + 1]);
        if (s)
            s = std::visit([&](const auto& l) { return detail::check_layer(m, i, l); },
                           m.layers[i].operation);
        if (!s)
            return s.error().at(i);
    }
    return {};
}

} // namespace s3::net
