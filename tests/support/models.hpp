#pragma once
// Small models that have every kind of layer between them, for tests of model files.

#include <s3/net/model.hpp>
#include <s3/pack/pack.hpp>

#include "random.hpp"
#include "weights.hpp"

namespace s3::test {

template <class F>
net::convolution convolution(std::size_t input, const filter_shape& shape, int zero_point,
                             std::uint64_t seed) {
    random r(seed);
    const auto weights = random_weights<F>(r, shape.out_channels * shape.columns());
    net::convolution c;
    c.input = input;
    c.filter = *pack_filter<F>(weights, shape);
    c.options.padding_value = zero_point;
    for (std::size_t m = 0; m < shape.out_channels; ++m) {
        c.scale.push_back(r.real() / 100);
        c.bias.push_back(r.between(-1000, 1000));
    }
    return c;
}

/// Convolutions, poolings and a sum.
inline net::model sample() {
    net::model m;
    m.values = {{6, 5, 3, 8, 1.0f / 255, 7},
                {6, 5, 4, 6, 0.1f, 3},
                {6, 5, 4, 8, 0.3f, 0},
                {6, 5, 4, 8, 0.25f, 128},
                {3, 2, 4, 8, 0.25f, 128},
                {1, 1, 4, 8, 0.2f, 0},
                {.channels = 10, .element = net::element_type::int32}};
    auto first = convolution<int8_weights>(0, {4, 3, 3, 3}, 7, 1);
    first.options.padding = 1;
    first.clamp_high = 63;
    first.clamp_low = 3;
    auto second = convolution<shift3>(1, {4, 3, 3, 4}, 3, 2);
    second.options.padding = 1;
    second.residual = net::scaled_input{1, 0.3f};
    auto last = convolution<dense2>(5, {10, 1, 1, 4}, 0, 3);
    last.raw = true;
    last.scale.clear();
    m.layers.push_back({"first", std::move(first)});
    m.layers.push_back({"second", std::move(second)});
    m.layers.push_back({"sum", net::addition{1, 2, 0.5f, 1.5f, 0, 255}});
    m.layers.push_back({"largest", net::pooling{3, net::pooling_kind::max, 2, 2, {0, 0}, 1}});
    m.layers.push_back({"mean", net::pooling{4, net::pooling_kind::mean, {3, 2}, 1, 0, 0.2f}});
    m.layers.push_back({"last", std::move(last)});
    m.output_scale = 0.01f;
    return m;
}

/// The layers without weights that came after those.
inline net::model graph() {
    net::model m;
    m.values = {{2, 3, 4, 4},        {1, 1, 4, 6, 0.5f, 3}, {2, 3, 4, 4, 2, 1}, {2, 3, 4, 6, 1, 60},
                {4, 3, 4, 6, 1, 60}, {4, 3, 8, 7, 3, 5},    {7, 6, 8, 7, 3, 5}};
    net::table squares{2, {}};
    for (unsigned q = 0; q < 16; ++q)
        squares.entries.push_back(static_cast<std::uint8_t>(q * q / 4));
    m.layers.push_back({"mean", net::pooling{0, net::pooling_kind::mean, {2, 3}}});
    m.layers.push_back({"product", net::multiplication{0, 1, 0.25f, 1, 15}});
    m.layers.push_back({"squares", std::move(squares)});
    m.layers.push_back({"larger", net::upsampling{3, {2, 1}}});
    m.layers.push_back({"both", net::concatenation{{{4, 1}, {4, 0.5f}}}});
    m.layers.push_back({"border", net::padding{5, {1, 0}, {2, 3}}});
    return m;
}

} // namespace s3::test
