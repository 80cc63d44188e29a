#pragma once
// A small network for each kind of layer, and for each way in which it may take its input's place,
// between two tables, so that its input and its output both lie in memory. Plans, runs and exported
// headers are checked with each of them. Weights are shift3 and int8.

#include <s3/net/model.hpp>
#include <s3/pack/pack.hpp>

#include "random.hpp"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace s3::test {

/// Grows a network layer by layer, of random weights and scales that keep the bytes busy.
struct network_builder {
    net::model m = {};
    random r{1};

    [[nodiscard]] std::size_t last() const { return m.values.size() - 1; }

    void push(net::layer l, const net::value_info& out) {
        m.layers.push_back(std::move(l));
        m.values.push_back(out);
    }
    template <weight_format F>
    void conv(const char* name, std::size_t channels, extent size, conv_options o,
              std::optional<net::scaled_input> residual = {}, bool raw = false) {
        const net::value_info in = m.values[last()];
        const filter_shape shape{channels, size.height, size.width, in.channels / o.groups};
        std::vector<int> weights(channels * shape.columns());
        for (int& w : weights)
            do
                w = F::value(static_cast<unsigned>(r.below(F::codes)));
            while (F::code_of(w) < 0);
        o.padding_value = in.zero_point;
        net::convolution c{.input = last(),
                           .filter = *pack_filter<F>(weights, shape),
                           .options = o,
                           .scale = {},
                           .bias = {},
                           .residual = residual,
                           .raw = raw};
        const auto out = *output_extent(in.height, in.width, shape, o);
        const int zero_point = residual ? 0 : r.between(0, 20);
        for (std::size_t i = 0; i < channels; ++i) {
            if (!raw) // so that sums of random signs fill the range
                c.scale.push_back((1.5f + r.real()) /
                                  (static_cast<float>(F::max_value) *
                                   std::sqrt(static_cast<float>(shape.columns()))));
            c.bias.push_back(r.between(-500, 500));
        }
        push({name, std::move(c)},
             {.height = out.height,
              .width = out.width,
              .channels = channels,
              .zero_point = raw ? 0 : zero_point,
              .kind = in.kind,
              .element = raw ? net::element_type::int32 : net::element_type::uint8});
    }
    /// A table of random entries, of the last value.
    void table(const char* name) {
        net::value_info v = m.values.back();
        net::table t{last(), {}};
        for (int q = 0; q <= v.top(); ++q)
            t.entries.push_back(static_cast<std::uint8_t>(r.below(256)));
        v.bits = 8;
        push({name, std::move(t)}, v);
    }
};

struct layer_case {
    std::string name; ///< a C++ identifier
    net::model model;
    /// The first order in which the layer (number `layer`) takes the place of the value `from`.
    std::optional<net::write_order> order = {};
    std::size_t layer = 1, from = 1;
};

[[nodiscard]] inline std::vector<layer_case> layer_cases() {
    using net::pooling_kind;
    using net::value_kind;
    using net::write_order;
    constexpr auto nowhere = std::optional<write_order>{};
    std::vector<layer_case> all;
    network_builder b;
    const auto begin = [&](std::size_t height, std::size_t width, std::size_t channels,
                           value_kind kind = value_kind::image) {
        b.m = {};
        b.m.values.push_back({height, width, channels, 8, 1, 5, kind});
        b.table("first");
        b.m.values.back().zero_point = 9;
    };
    const auto end = [&](const char* name, std::optional<write_order> order, std::size_t layer = 1,
                         std::size_t from = 1) {
        if (b.m.output().element == net::element_type::uint8)
            b.table("last");
        all.push_back({name, std::move(b.m), order, layer, from});
    };
    // The type of a value like the last one, of another size.
    const auto like = [&](std::size_t height, std::size_t width, std::size_t channels) {
        net::value_info v = b.m.values.back();
        v.height = height;
        v.width = width;
        v.channels = channels;
        return v;
    };
    const auto pool = [&](pooling_kind kind, extent window, extent stride, extent padding) {
        const net::value_info in = b.m.values.back();
        const auto size = *output_extent(in.height, in.width, {1, window.height, window.width, 1},
                                         {.stride = stride, .padding = padding});
        const auto area = static_cast<float>(window.height * window.width);
        net::value_info v = like(size.height, size.width, in.channels);
        if (kind == pooling_kind::mean)
            v.zero_point = 30;
        b.push({"pooling", net::pooling{b.last(), kind, window, stride, padding, 1 / area}}, v);
    };

    begin(5, 6, 8);
    b.conv<shift3>("packed", 7, 3, {.padding = 1});
    end("convolution", nowhere);
    begin(5, 6, 8);
    b.conv<int8_weights>("wide", 6, {1, 2}, {.stride = {2, 1}, .dilation = 2, .groups = 2});
    end("convolution_in_groups", nowhere);
    begin(5, 6, 8);
    b.conv<int8_weights>("inner", 8, 1, {});
    b.conv<shift3>("with residual", 8, 3, {.padding = 1}, net::scaled_input{1, 0.7f});
    end("convolution_with_residual", write_order::any, 2, 1);
    begin(5, 6, 8);
    b.conv<shift3>("sums", 3, {5, 6}, {}, {}, true);
    end("convolution_to_int32", nowhere);
    begin(7, 6, 8);
    b.conv<shift3>("depthwise", 8, 3, {.padding = 1, .groups = 8});
    end("depthwise", write_order::exported);
    begin(7, 6, 8);
    b.conv<int8_weights>("depthwise", 8, 3, {.stride = 2, .padding = 1, .groups = 8});
    end("depthwise_with_stride", write_order::exported);
    begin(7, 6, 8);
    b.conv<shift3>("depthwise", 8, 3, {.padding = 1, .groups = 8}, net::scaled_input{1, 0.5f});
    end("depthwise_with_its_input", nowhere);
    begin(7, 6, 8);
    b.conv<shift3>("depthwise", 8, 1, {.padding = 1, .groups = 8});
    end("depthwise_that_grows", nowhere);

    begin(7, 8, 37);
    pool(pooling_kind::max, 2, 2, 0);
    end("max_pooling", write_order::in_turn);
    begin(7, 9, 67);
    pool(pooling_kind::max, 3, 2, 1);
    end("max_pooling_with_padding", write_order::in_turn);
    begin(7, 9, 5);
    pool(pooling_kind::max, 3, 1, 1);
    end("max_pooling_that_looks_back", nowhere);
    begin(6, 9, 5);
    pool(pooling_kind::max, {2, 3}, {2, 1}, {0, 1});
    end("max_pooling_that_looks_left", nowhere);
    begin(7, 8, 70);
    pool(pooling_kind::mean, 2, 2, 0);
    end("mean_pooling", write_order::in_turn);
    begin(7, 9, 5);
    pool(pooling_kind::mean, 3, 1, 0);
    end("mean_pooling_that_overlaps", write_order::in_turn);
    begin(7, 8, 70);
    pool(pooling_kind::mean, {7, 8}, 1, 0);
    end("mean_of_everything", write_order::in_turn);

    begin(5, 6, 9);
    b.conv<shift3>("inner", 9, 1, {});
    b.push({"sum", net::addition{1, 2, 0.5f, 0.75f, 3, 250}}, like(5, 6, 9));
    end("addition", write_order::any, 2, 2);
    begin(5, 6, 9);
    b.push({"twice", net::addition{1, 1, 0.5f, 0.75f, 3, 250}}, like(5, 6, 9));
    end("addition_of_one_value", write_order::any);
    begin(5, 6, 9);
    pool(pooling_kind::mean, {5, 6}, 1, 0);
    b.push({"product", net::multiplication{1, 2, 0.05f, 7, 251}}, like(5, 6, 9));
    end("multiplication_per_channel", write_order::any, 2, 1);
    begin(5, 6, 9);
    b.conv<shift3>("inner", 9, 1, {});
    b.push({"product", net::multiplication{1, 2, 0.004f}}, like(5, 6, 9));
    b.push({"again", net::addition{1, 3, 0.5f, 0.5f}}, like(5, 6, 9));
    end("multiplication", write_order::any, 2, 2);
    begin(5, 6, 9);
    b.table("table");
    end("table", write_order::any);
    begin(5, 6, 9);
    b.push({"both", net::concatenation{{{1, 1}, {1, -0.5f}}}}, like(5, 6, 18));
    end("concatenation", nowhere);
    begin(5, 6, 9);
    b.push({"larger", net::upsampling{1, {2, 3}}}, like(10, 18, 9));
    end("upsampling", write_order::in_turn);
    begin(5, 6, 9);
    b.push({"border", net::padding{1, {1, 0}, {2, 3}}}, like(8, 9, 9));
    end("padding", write_order::in_turn);
    begin(5, 6, 9);
    b.push({"border", net::padding{1, {0, 2}, {1, 0}}}, like(6, 8, 9));
    end("padding_to_the_left", write_order::in_turn);
    begin(5, 6, 9);
    net::float_linear f{1, {}, {0.5f, -1, 0, 2}};
    for (std::size_t i = 0; i < 4 * 5 * 6 * 9; ++i)
        f.weights.push_back(static_cast<float>(b.r.between(-8, 8))); // whose sums are exact
    b.push({"real", std::move(f)}, {.channels = 4, .element = net::element_type::float32});
    end("float_linear", nowhere);

    begin(1, 20, 4, value_kind::sequence);
    b.conv<shift3>("along", 4, {1, 3}, {.padding = {0, 1}});
    end("sequence", nowhere);
    begin(1, 20, 4, value_kind::sequence);
    pool(pooling_kind::max, {1, 2}, {1, 2}, 0);
    end("sequence_pooled", write_order::in_turn);
    begin(1, 20, 4, value_kind::sequence);
    b.push({"past", net::padding{1, {0, 3}, 0}}, like(1, 23, 4));
    end("sequence_padded", write_order::in_turn);
    return all;
}

} // namespace s3::test
