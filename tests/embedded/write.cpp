// Writes what the embedded check compiles: a network with a layer of every kind, exported twice
// (with packed weights, and with template constants where layers are small), and images with the
// outputs that net/program.hpp gives, by kernels of either family, and its definition.
//
//   write <header>

#include <s3/export/cpp_header.hpp>
#include <s3/net/program.hpp>
#include <s3/net/reference.hpp>

#include "../support/random.hpp"

#include <cmath>
#include <cstdio>

namespace {

using namespace s3;

constexpr std::size_t images = 3;

/// Grows a network layer by layer, of random weights and scales that keep the bytes busy.
struct builder {
    net::model m;
    test::random random{1};

    std::size_t last() const { return m.values.size() - 1; }

    void push(net::layer l, const net::value_info& out) {
        m.layers.push_back(std::move(l));
        m.values.push_back(out);
    }
    template <weight_format F>
    void conv(const char* name, std::size_t channels, std::size_t size, conv_options o,
              std::optional<net::scaled_input> residual = {}, bool raw = false) {
        const net::value_info in = m.values[last()];
        const filter_shape shape{channels, size, size, in.channels / o.groups};
        std::vector<int> weights(channels * shape.columns());
        for (int& w : weights)
            do
                w = F::value(static_cast<unsigned>(random.below(F::codes)));
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
        const int zero_point = residual ? 0 : random.between(0, 20);
        for (std::size_t i = 0; i < channels; ++i) {
            if (!raw) // so that sums of random signs fill the range
                c.scale.push_back((1.5f + random.real()) /
                                  (static_cast<float>(F::max_value) *
                                   std::sqrt(static_cast<float>(shape.columns()))));
            c.bias.push_back(random.between(-500, 500));
        }
        push({name, std::move(c)},
             {.height = out.height,
              .width = out.width,
              .channels = channels,
              .zero_point = raw ? 0 : zero_point,
              .element = raw ? net::element_type::int32 : net::element_type::uint8});
    }
};

net::model network() {
    builder b;
    b.m.values.push_back({9, 7, 3, 8, 1, 5});
    b.conv<int8_weights>("first", 6, 3, {.stride = 1, .padding = 1});
    b.conv<shift3>("grouped", 8, 3, {.stride = 1, .padding = 1, .groups = 2});
    const std::size_t skip = b.last();
    b.conv<dense4>("dilated", 8, 3, {.padding = 2, .dilation = 2});
    b.conv<shift5>("wide", 8, 1, {}, net::scaled_input{skip, 0.7f});
    b.push({"sum", net::addition{skip, b.last(), 0.5f, 0.75f, 3, 250}}, {9, 7, 8, 8, 1, 3});
    b.conv<shift4>("depthwise", 8, 3, {.stride = 2, .padding = 1, .groups = 8});
    b.push({"largest", net::pooling{b.last(), net::pooling_kind::max, 2, 2, 1, 1}},
           {3, 3, 8, 8, 1, b.m.values.back().zero_point});
    const std::size_t largest = b.last();
    b.push({"factors", net::pooling{largest, net::pooling_kind::mean, 3, 1, 0, 1.0f / 9}},
           {1, 1, 8, 8, 1, 10});
    b.push({"product", net::multiplication{largest, b.last(), 0.05f, 7, 251}},
           {3, 3, 8, 8, 1, 120});
    net::table t{b.last(), {}};
    for (unsigned q = 0; q < 256; ++q)
        t.entries.push_back(static_cast<std::uint8_t>(q * q / 256));
    b.push({"table", std::move(t)}, {3, 3, 8, 8, 1, 9});
    b.push({"squares", net::multiplication{b.last(), b.last(), 0.004f}}, {3, 3, 8});
    b.push({"both", net::concatenation{{{b.last(), 1}, {largest, 1.3f}, {b.last(), -0.5f}}}},
           {3, 3, 24, 8, 1, 0});
    b.push({"larger", net::upsampling{b.last(), {1, 3}}}, {3, 9, 24});
    b.push({"mean", net::pooling{b.last(), net::pooling_kind::mean, {3, 9}, 1, 0, 1.0f / 27}},
           {1, 1, 24, 8, 1, 10});
    b.conv<shift2>("last", 5, 1, {}, {}, true);
    return std::move(b.m);
}

/// The sums of a network, if its kernels of both families and the interpreter agree on them.
std::optional<std::vector<std::int32_t>> outputs(const net::model& m,
                                                 const std::vector<std::uint8_t>& x) {
    using used = format_list<int8_weights, shift2, shift3, shift4, shift5, dense4>;
    const auto values = net::reference::run(m, x, images);
    if (!values)
        return {};
    const net::value_info& in = m.input();
    const image_view<const std::uint8_t> view{x, images, in.height, in.width, in.channels};
    for (const family kernels : {family::automatic, family::shift_add}) {
        const auto p = net::prepare<used>(m, {.batch = images, .kernels = kernels});
        std::vector<std::int32_t> y(values->back().size());
        if (!p || !net::run(*p, view, std::span(y)) || y != values->back())
            return {};
    }
    return values->back();
}

template <class T>
void array(std::FILE* to, const char* type, const char* name, const std::vector<T>& values) {
    std::fprintf(to, "inline constexpr %s %s[] = {", type, name);
    for (const T v : values)
        std::fprintf(to, "%d,", static_cast<int>(v));
    std::fprintf(to, "};\n");
}

} // namespace

int main(int argc, char** argv) {
    const net::model m = network();
    test::random random(2);
    std::vector<std::uint8_t> x(images * m.input().size());
    for (auto& v : x)
        v = static_cast<std::uint8_t>(random());
    const auto y = outputs(m, x);
    if (!y) {
        std::puts("net::run and net::reference::run do not give the same outputs");
        return 1;
    }
    const auto packed = exporting::cpp_header(m, {.name = "packed"});
    const auto constants = exporting::cpp_header(m, {.name = "constants", .most_constants = 600});
    std::FILE* to = argc == 2 ? std::fopen(argv[1], "w") : nullptr;
    if (!packed || !constants || to == nullptr)
        return 1;
    std::fprintf(to, "%s\n%s\nnamespace examples {\n", packed->c_str(), constants->c_str());
    array(to, "std::uint8_t", "images", x);
    array(to, "std::int32_t", "outputs", *y);
    std::fprintf(to, "} // namespace examples\n");
    return std::fclose(to) == 0 ? 0 : 1;
}
