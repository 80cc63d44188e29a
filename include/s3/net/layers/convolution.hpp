#pragma once
// A convolution with packed weights and an epilogue (ops/epilogue.hpp). A linear layer is one, too:
// of a 1 × 1 image or, after a flatten, with a filter as large as the image.
//
//   y = clamp(round((Σ w·q + bias)·scale) + zero point of y
//             + round((residual − its zero point)·its scale), clamp_low, clamp_high)
//
// or, if `raw`, Σ w·q + bias as int32. Each row's real Σ|w|, times the largest q, plus |bias| must
// fit int32. Pixels outside the image are the input's zero point.

#include <s3/kernel/reference.hpp>
#include <s3/net/filter.hpp>
#include <s3/net/layer.hpp>
#include <s3/ops/conv2d.hpp>

namespace s3::net {

/// A convolution in a program: its kernel is chosen and its weights are laid out.
template <class Formats, architecture Arch>
struct prepared_convolution {
    template <class F>
    using prepared = prepared_filter<F, std::uint8_t, Arch, family::any>;

    value_id input = {};
    typename Formats::template as<std::variant, prepared> filter;
    std::vector<float> scale;
    std::vector<std::int32_t> bias;
    std::optional<scaled_input> residual;
    std::int32_t clamp_low, clamp_high;

    [[nodiscard]] const char* kernel_name() const {
        return std::visit([](const auto& f) { return f.kernel_name(); }, filter);
    }
    [[nodiscard]] std::size_t scratch_bytes(const value_info& out, std::size_t batch,
                                            std::size_t workers) const {
        return std::visit(
            [&](const auto& f) { return s3::scratch_bytes(f, batch, out.image_size(), workers); },
            filter);
    }

    template <class Y>
    requires(std::is_same_v<Y, std::uint8_t> || std::is_same_v<Y, std::int32_t>) status
        run(const run_site<Arch>& s, Y* y)
    const {
        const value_info& out = s.out();
        epilogue e{.bias = bias};
        if constexpr (sizeof(Y) == 1) {
            e.scale = scale;
            e.zero_point = out.zero_point;
            e.clamp_low = clamp_low;
            e.clamp_high = clamp_high;
            if (residual) {
                e.residual = s.bytes(residual->value);
                e.residual_scale = residual->scale;
                e.residual_zero_point = s[residual->value].zero_point;
            }
        }
        const image_view<Y> to{
            {y, s.batch * out.size()}, s.batch, out.height, out.width, out.channels};
        return std::visit(
            [&](const auto& f) { return conv2d(f, s.image(input), to, e, s.scratch, s.ex); },
            filter);
    }
};

struct convolution {
    value_id input = {};
    /// Its weights count as the integers that they are. The scales and the exponent offset that it
    /// records are not applied: they are a part of `scale`.
    any_filter filter;
    conv_options options;           ///< whose padding_value is the input's zero point
    std::vector<float> scale;       ///< per output channel; empty if `raw`
    std::vector<std::int32_t> bias; ///< per output channel, or empty
    std::optional<scaled_input> residual;
    /// Limits of the output bytes, within their bits. ReLU sets clamp_low = zero_point; ReLU6 sets
    /// clamp_high as well.
    std::int32_t clamp_low = 0;
    std::int32_t clamp_high = 255;
    bool raw = false; ///< int32 sums plus bias instead of bytes

    static constexpr std::array names{"convolution"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("input", l.input);
        f("stride", l.options.stride);
        f("padding", l.options.padding);
        f("dilation", l.options.dilation);
        f("groups", l.options.groups);
        f("residual", l.residual);
        f("low", l.clamp_low);
        f("high", l.clamp_high);
        f("raw", l.raw);
        f("weight", l.filter);
        f("scale", l.scale);
        f("bias", l.bias);
    }
    void complete(std::span<const value_info> values) {
        if (input < values.size())
            options.padding_value = values[input].zero_point;
    }

    [[nodiscard]] element_type element() const noexcept {
        return raw ? element_type::int32 : element_type::uint8;
    }

    result<value_info> infer(const layer_site& s) const {
        const value_info& in = s[input];
        const filter_shape& f = shape_of(filter);
        if (auto st = std::visit([](const auto& p) { return s3::detail::check_shape(p); }, filter);
            !st)
            return st.error();
        const std::size_t groups = options.groups;
        if (groups == 0 || groups > f.out_channels || f.out_channels % groups != 0)
            return error(errc::bad_option, "groups").got(groups).divides(f.out_channels);
        const std::size_t channels = saturating_mul(f.in_channels, groups);
        if (in.channels != channels)
            return error(errc::shape_mismatch, "filter.in_channels")
                .got(channels)
                .needs(in.channels);
        const auto size = output_extent(in.height, in.width, f, options);
        if (!size)
            return size.error();
        return detail::resized(in, *size, f.out_channels);
    }
    status check(const layer_site& s) const {
        const value_info &in = s[input], &out = s.out();
        const bool padded = options.padding.height != 0 || options.padding.width != 0;
        if (padded && options.padding_value != in.zero_point)
            return error(errc::bad_option, "padding_value")
                .got(options.padding_value)
                .needs(in.zero_point);
        // Without padding no output sees the value, but `prepare` and exported code keep it as a
        // byte.
        if (options.padding_value < 0 || options.padding_value > in.top())
            return error(errc::bad_option, "padding_value")
                .outside(options.padding_value, 0, in.top());
        if (!bias.empty() && bias.size() != out.channels)
            return error(errc::shape_mismatch, "bias").got(bias.size()).needs(out.channels);
        if (auto fits = check_sums(in.top()); !fits)
            return fits;
        if (raw && (residual || !scale.empty()))
            return error(errc::unsupported, residual ? "residual" : "scale");
        if (raw)
            return {};
        if (scale.size() != out.channels)
            return error(errc::shape_mismatch, "scale").got(scale.size()).needs(out.channels);
        for (const float one : scale)
            if (auto finite = detail::check_scale(one, "scale"); !finite)
                return finite;
        if (residual)
            if (auto fits =
                    detail::first_of({detail::check_shape(s[residual->value], out),
                                      detail::check_scale(residual->scale, "residual.scale")});
                !fits)
                return fits;
        return detail::check_limits(clamp_low, clamp_high, out);
    }

    /// The residual is read element by element, just before the same element of y is written. An
    /// exported depthwise convolution writes a channel when it has read it.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site& s, write_order order) const {
        std::vector<value_id> all;
        if (residual && residual->value != input)
            all.push_back(residual->value);
        const value_info &in = s[input], &out = s.out();
        const bool by_channels = options.groups == in.channels && out.channels == in.channels;
        if (order == write_order::exported && by_channels && out.size() <= in.size() &&
            !(residual && residual->value == input))
            all.push_back(input);
        return all;
    }

    template <class Formats, architecture Arch>
    using prepared = prepared_convolution<Formats, Arch>;

    template <class Formats, architecture Arch>
    result<prepared_convolution<Formats, Arch>> prepare(const layer_site& s,
                                                        const program_options& o) const {
        return std::visit(
            [&]<weight_format F>(
                const packed_filter<F>& f) -> result<prepared_convolution<Formats, Arch>> {
                if constexpr (Formats::template has<F>) {
                    prepare_options fitting = fitting_options<F>(s, o);
                    if (s.index < o.layer_kernels.size())
                        fitting.kernel = std::string_view(o.layer_kernels[s.index]);
                    auto p = s3::prepare<std::uint8_t, family::any, Arch>(f, options, fitting);
                    if (!p)
                        return p.error();
                    return prepared_convolution<Formats, Arch>{
                        input,    *std::move(p),       scale,     bias,
                        residual, raw ? 0 : clamp_low, clamp_high};
                } else {
                    return error(errc::unsupported, "format").got(F::bits);
                }
            },
            filter);
    }

    /// The name of the kernel that measures as the fastest; measure(filter, convolution options,
    /// images, size, options) is `s3::tune`.
    template <class Formats, class Measure>
    result<const char*> tune(const layer_site& s, const program_options& o,
                             Measure&& measure) const {
        return std::visit(
            [&]<weight_format F>(const packed_filter<F>& f) -> result<const char*> {
                if constexpr (Formats::template has<F>)
                    return measure(f, options, o.batch, s[input].image_size(),
                                   fitting_options<F>(s, o));
                else
                    return error(errc::unsupported, "format").got(F::bits);
            },
            filter);
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        std::visit(
            [&]<class F>(const packed_filter<F>& f) {
                const std::size_t columns = f.matrix.columns();
                std::vector<int> weights(f.matrix.size());
                for (std::size_t i = 0; i < weights.size(); ++i)
                    weights[i] = f.matrix.value(i / columns, i % columns);
                s3::reference::conv2d<int, std::int32_t, std::int32_t>(
                    weights, f.shape, s.image(input), s.output(y), options);
            },
            filter);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t c = i % s.out().channels;
            if (!bias.empty())
                y[i] += bias[c];
            if (raw)
                continue;
            y[i] = scale_round(y[i], scale[c]) + s.out().zero_point;
            if (residual)
                y[i] += scale_round(s.centered(residual->value, i), residual->scale);
            y[i] = std::clamp(y[i], clamp_low, clamp_high);
        }
    }

    template <class Writer>
    void emit(Writer& w) const {
        std::visit([&](const auto& f) { emit_format(w, f); }, filter);
    }

private:
    template <weight_format F>
    [[nodiscard]] prepare_options fitting_options(const layer_site& s,
                                                  const program_options& o) const {
        const value_info& out = s.out();
        const bool has_family = F::is_shift || o.kernels != family::shift_add;
        return {.batch = saturating_mul(o.batch, out.height * out.width),
                .kernels = has_family ? o.kernels : family::automatic,
                .activation_bits = s[input].bits,
                .integers_only = true,
                .kernel = {}};
    }
    status check_sums(int largest) const {
        const auto abs_sums = std::visit([](const auto& p) { return p.matrix.abs_sums(); }, filter);
        for (std::size_t m = 0; m < abs_sums.size(); ++m) {
            const std::int64_t room = std::numeric_limits<std::int32_t>::max() -
                                      (bias.empty() ? 0 : std::abs(std::int64_t{bias[m]}));
            if (room < 0 || abs_sums[m] > room / largest)
                return error(errc::depth_exceeded, "weights.row")
                    .got(abs_sums[m])
                    .limit(room / largest);
        }
        return {};
    }

    /// Writes weights as an array or, if they are few enough, as a template constant.
    template <class Writer, weight_format F>
    void emit_format(Writer& w, const packed_filter<F>& f) const {
        const auto& matrix = f.matrix;
        const bool in_place = w.in_place(input); // and so depthwise
        // s3::constant proves sums for bytes up to 255, whatever bits activations have.
        const bool provable(check_sums(255));
        const bool constant = F::is_shift && options.groups == 1 && !in_place && provable &&
                              w.as_constants(matrix.size());
        const std::string finish = "{" + (raw ? "nullptr" : w.array("float", "scale", scale)) +
                                   ", " + w.array("std::int32_t", "bias", bias) + ", " +
                                   w.number(options.padding_value) + ", " +
                                   w.range(clamp_low, clamp_high) + "}";
        const std::string window =
            w.list({f.shape.height, f.shape.width, options.stride.height, options.stride.width,
                    options.padding.height, options.padding.width, options.dilation.height,
                    options.dilation.width});
        std::vector<std::string> arguments;
        std::string parameter = F::cpp_name;
        if (constant) {
            std::vector<int> values;
            for (std::size_t r = 0; r < matrix.rows(); ++r)
                for (std::size_t k = 0; k < matrix.columns(); ++k)
                    values.push_back(matrix.value(r, k));
            parameter = w.constant_matrix("weights", matrix.rows(), matrix.columns(), values);
            arguments = {finish, window, w.shape(input), w.shape_out(), w.value(input)};
        } else {
            const bool wide = F::min_value < -128 || F::max_value > 127;
            const std::size_t row_bytes = matrix.columns() * (wide ? 4 : 1);
            const std::size_t kept_bytes = in_place ? w.out().height * w.out().width : 0;
            const std::string scratch = w.scratch(row_bytes + kept_bytes);
            const std::string row =
                "reinterpret_cast<s3::embedded::unpacked<" + parameter + ">*>(" + scratch + ")";
            arguments = {w.array("std::uint8_t", "weights", matrix.stream()), finish, window};
            if (!in_place)
                arguments.push_back(w.number(options.groups));
            for (const std::string& a : {w.shape(input), w.shape_out(), w.value(input), row})
                arguments.push_back(a);
            if (in_place)
                arguments.push_back(scratch + " + " + w.number(row_bytes));
        }
        if (!in_place)
            arguments.push_back(w.result());
        if (residual)
            arguments.push_back(w.scaled(residual->value, residual->scale));
        w.call((in_place ? "depthwise_in_place<" : "conv2d<") + parameter + ">", arguments);
    }
};

} // namespace s3::net
