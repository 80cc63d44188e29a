#pragma once
// A network by its definition: scalar loops, one element at a time, no kernels. Slow; what
// `net::run` must equal byte for byte, and what its users may check it against. Allocates.

#include <s3/kernel/reference.hpp>
#include <s3/net/check.hpp>

namespace s3::net::reference {

namespace detail {

struct interpreter {
    const model& m;
    std::size_t batch;
    std::vector<std::vector<std::int32_t>> values; ///< computed so far; bytes are widened

    /// Element i of value v, from its zero point on.
    [[nodiscard]] std::int32_t centered(std::size_t v, std::size_t i) const {
        return values[v][i] - m.values[v].zero_point;
    }
    [[nodiscard]] image_view<const std::int32_t> image(std::size_t v) const {
        const value_info& i = m.values[v];
        return {values[v], batch, i.height, i.width, i.channels};
    }

    void operator()(const convolution& l, const value_info& out, std::vector<std::int32_t>& y) {
        std::visit(
            [&]<class F>(const packed_filter<F>& filter) {
                std::vector<int> weights(filter.matrix.size());
                for (std::size_t i = 0; i < weights.size(); ++i)
                    weights[i] = filter.matrix.value(i / filter.matrix.columns(),
                                                     i % filter.matrix.columns());
                const image_view<std::int32_t> to{y, batch, out.height, out.width, out.channels};
                s3::reference::conv2d<int, std::int32_t, std::int32_t>(
                    weights, filter.shape, image(l.input), to, l.options);
            },
            l.filter);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t c = i % out.channels;
            if (!l.bias.empty())
                y[i] += l.bias[c];
            if (l.raw)
                continue;
            y[i] = scale_round(y[i], l.scale[c]) + out.zero_point;
            if (l.residual)
                y[i] += scale_round(centered(l.residual->value, i), l.residual->scale);
            y[i] = std::clamp(y[i], l.low, l.high);
        }
    }

    void operator()(const pooling& l, const value_info& out, std::vector<std::int32_t>& y) {
        const auto x = image(l.input);
        const image_view<std::int32_t> to{y, batch, out.height, out.width, out.channels};
        for (std::size_t n = 0; n < batch; ++n)
            for (std::size_t h = 0; h < out.height; ++h)
                for (std::size_t w = 0; w < out.width; ++w)
                    for (std::size_t c = 0; c < out.channels; ++c) {
                        std::int32_t largest = 0, sum = 0;
                        for (std::size_t i = 0; i < l.window.height; ++i)
                            for (std::size_t j = 0; j < l.window.width; ++j) {
                                const std::size_t row = h * l.stride.height + i;
                                const std::size_t column = w * l.stride.width + j;
                                if (row < l.padding.height || column < l.padding.width ||
                                    row - l.padding.height >= x.height ||
                                    column - l.padding.width >= x.width)
                                    continue;
                                const std::size_t at =
                                    x.index(n, row - l.padding.height, column - l.padding.width, c);
                                largest = std::max(largest, x.data[at]);
                                sum += centered(l.input, at);
                            }
                        const std::int32_t mean = scale_round(sum, l.scale) + out.zero_point;
                        y[to.index(n, h, w, c)] =
                            l.kind == pooling_kind::max ? largest : std::clamp(mean, 0, out.top());
                    }
    }

    void operator()(const addition& l, const value_info& out, std::vector<std::int32_t>& y) {
        for (std::size_t i = 0; i < y.size(); ++i)
            y[i] = std::clamp(scale_round(centered(l.a, i), l.a_scale) + out.zero_point +
                                  scale_round(centered(l.b, i), l.b_scale),
                              l.low, l.high);
    }

    void operator()(const float_linear&, const value_info&, std::vector<std::int32_t>&) {}
};

} // namespace detail

/// All values of a network whose input is `x`, value 0, [batch][height][width][channels]; bytes are
/// widened. A float_linear leaves zeros. Errors: those of `check`, and an input of another size.
inline result<std::vector<std::vector<std::int32_t>>>
run(const model& m, std::span<const std::uint8_t> x, std::size_t batch) {
    if (auto s = check(m); !s)
        return s.error();
    if (x.size() != saturating_mul(batch, m.input().size()))
        return error(errc::shape_mismatch, "input")
            .got(x.size())
            .needs(saturating_mul(batch, m.input().size()));
    detail::interpreter step{m, batch, {}};
    step.values.emplace_back(x.begin(), x.end());
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const value_info& out = m.values[i + 1];
        std::vector<std::int32_t> y(batch * out.size());
        std::visit([&](const auto& l) { step(l, out, y); }, m.layers[i].operation);
        step.values.push_back(std::move(y));
    }
    return std::move(step.values);
}

} // namespace s3::net::reference
