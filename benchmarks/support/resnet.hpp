#pragma once
// Residual networks (He et al. 2015) with random weights, as integer networks: ResNet-18 and -50 at
// 224 × 224 × 3, ResNet-20 and -56 at 32 × 32 × 3. The first convolution and the last layer have
// int8 weights, the others format F; batch norms count as folded. Scales are chosen so that
// activations neither die out nor saturate; the logits mean nothing.

#include "data.hpp"

#include <s3/net/model.hpp>

#include <cmath>
#include <string>

namespace s3::bench {

struct resnet_options {
    int depth = 18;
    int bits = 8; ///< of all activations but the input's
};

template <weight_format F>
class resnet_maker {
public:
    explicit resnet_maker(const resnet_options& o) : options_(o) {}

    [[nodiscard]] net::model make() {
        const bool small = options_.depth == 20 || options_.depth == 56;
        bottleneck_ = options_.depth == 50;
        const std::size_t size = small ? 32 : 224;
        m_.values = {{size, size, 3, 8, 1, 128}};
        std::size_t x = small ? convolve<int8_weights>("first", 0, 16, 3, 1)
                              : convolve<int8_weights>("first", 0, 64, 7, 2);
        if (!small)
            x = pool("pool", x, {.window = 3, .stride = 2, .padding = 1});
        const std::size_t counts[][4] = {{2, 2, 2, 2}, {3, 4, 6, 3}, {3, 3, 3, 0}, {9, 9, 9, 0}};
        const auto& blocks = counts[options_.depth == 18   ? 0
                                    : options_.depth == 50 ? 1
                                    : options_.depth == 20 ? 2
                                                           : 3];
        for (std::size_t stage = 0, channels = small ? 16 : 64; stage < 4; ++stage, channels *= 2)
            for (std::size_t i = 0; i < blocks[stage]; ++i)
                x = block("stage" + std::to_string(stage + 1) + "." + std::to_string(i), x,
                          channels, stage > 0 && i == 0 ? 2 : 1);
        const net::value_info last = m_.values[x];
        x = pool("mean", x,
                 {.kind = net::pooling_kind::mean,
                  .window = {last.height, last.width},
                  .scale = 1.0f / static_cast<float>(last.height * last.width)});
        convolve<int8_weights>("last", x, small ? 10 : 1000, 1, 1, {}, true);
        return std::move(m_);
    }

private:
    [[nodiscard]] std::size_t push(std::string name, net::value_info v,
                                   net::layer_list::any operation) {
        m_.values.push_back(v);
        m_.layers.push_back({std::move(name), std::move(operation)});
        return m_.layers.size();
    }
    [[nodiscard]] std::size_t pool(std::string name, std::size_t input, net::pooling p) {
        p.input = input;
        net::value_info v = m_.values[input];
        const extent out =
            require(output_extent(v.height, v.width, {1, p.window.height, p.window.width, 1},
                                  {.stride = p.stride, .padding = p.padding}));
        v.height = out.height;
        v.width = out.width;
        return push(std::move(name), v, p);
    }

    struct ending {
        bool rectified = true;
        std::optional<net::scaled_input> residual = {};
    };
    template <weight_format G>
    std::size_t convolve(std::string name, std::size_t input, std::size_t channels,
                         std::size_t size, std::size_t stride, const ending& end = {},
                         bool raw = false) {
        const net::value_info in = m_.values[input];
        net::convolution c;
        c.input = input;
        const filter_shape f{channels, size, size, in.channels};
        c.options = {.stride = stride, .padding = size / 2, .padding_value = in.zero_point};
        const extent out = require(output_extent(in.height, in.width, f, c.options));
        net::value_info v{out.height, out.width, channels, options_.bits, 1, 0};
        if (!end.rectified)
            v.zero_point = (v.top() + 1) / 2;
        auto weights = random_weights<G>(channels, f.columns());
        double squares = 0;
        for (unsigned code = 0, n = 0; code < unsigned{G::codes}; ++code)
            if (G::valid(code))
                squares += (G::value(code) * G::value(code) - squares) / ++n;
        // A quarter of the range for the root mean square, on either side.
        const double likely = std::sqrt(squares * static_cast<double>(f.columns())) * in.top() / 4;
        c.scale.assign(raw ? 0 : channels, static_cast<float>(v.top() / 4.0 / likely));
        // Whatever the input's zero point adds is taken away.
        for (std::size_t m = 0; m < channels; ++m)
            c.bias.push_back(static_cast<std::int32_t>(-in.zero_point * weights.sums()[m]));
        c.filter = packed_filter<G>{std::move(weights), f};
        c.residual = end.residual;
        c.clamp_high = v.top();
        c.raw = raw;
        v.element = raw ? net::element_type::int32 : net::element_type::uint8;
        return push(std::move(name), v, std::move(c));
    }

    [[nodiscard]] std::size_t block(const std::string& name, std::size_t x, std::size_t channels,
                                    std::size_t stride) {
        const std::size_t out = bottleneck_ ? 4 * channels : channels;
        std::size_t skip = x;
        if (stride != 1 || m_.values[x].channels != out)
            skip = convolve<F>(name + ".skip", x, out, 1, stride, {.rectified = false});
        const ending sum{.residual = net::scaled_input{skip, 0.5f}};
        if (!bottleneck_)
            return convolve<F>(name + ".b", convolve<F>(name + ".a", x, channels, 3, stride), out,
                               3, 1, sum);
        const std::size_t a = convolve<F>(name + ".a", x, channels, 1, 1);
        return convolve<F>(name + ".c", convolve<F>(name + ".b", a, channels, 3, stride), out, 1, 1,
                           sum);
    }

    resnet_options options_;
    bool bottleneck_ = false;
    net::model m_;
};

template <weight_format F>
[[nodiscard]] net::model resnet(const resnet_options& o) {
    return resnet_maker<F>(o).make();
}

/// Multiply-accumulates of one image.
[[nodiscard]] inline double macs(const net::model& m, std::size_t layer) {
    const auto* conv = std::get_if<net::convolution>(&m.layers[layer].operation);
    if (conv == nullptr)
        return 0;
    const auto& f = net::shape_of(conv->filter);
    const auto& out = m.values[layer + 1];
    return static_cast<double>(f.columns()) * static_cast<double>(out.size());
}
[[nodiscard]] inline double macs(const net::model& m) {
    double sum = 0;
    for (std::size_t i = 0; i < m.layers.size(); ++i)
        sum += macs(m, i);
    return sum;
}

/// Weights of one network, each of them a float elsewhere.
[[nodiscard]] inline std::size_t weights(const net::model& m) {
    std::size_t sum = 0;
    for (const auto& l : m.layers)
        if (const auto* conv = std::get_if<net::convolution>(&l.operation))
            sum += std::visit([](const auto& f) { return f.matrix.size(); }, conv->filter);
    return sum;
}

} // namespace s3::bench
