// Writes what the embedded check compiles: a network with a layer of every kind, exported twice
// (with packed weights, and with template constants where layers are small), imported networks, and
// for each of them images with the outputs that net/program.hpp gives, by kernels of either family,
// and its definition.
//
//   write <header>

#include <s3/export/cpp_header.hpp>
#include <s3/net/program.hpp>
#include <s3/net/reference.hpp>

#include "../support/checkpoint.hpp"
#include "../support/descriptions.hpp"

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
    b.push({"border", net::padding{b.last(), {1, 0}, {0, 2}}}, {4, 11, 24});
    b.push({"mean", net::pooling{b.last(), net::pooling_kind::mean, {4, 11}, 1, 0, 1.0f / 44}},
           {1, 1, 24, 8, 1, 10});
    b.conv<shift2>("last", 5, 1, {}, {}, true);
    return std::move(b.m);
}

net::model imported(const char* text) {
    const auto d = importing::parse(text);
    test::random random(3);
    const auto x = test::bytes_at_random(8 * d->height * d->width * d->channels, random);
    const auto c = test::checkpoint_for(*d, x, random);
    auto done = importing::import_network(c.file, *d, {.samples = x});
    return std::move(done->model);
}

/// Whether kernels of both families and the interpreter agree on the outputs of a network, which
/// have the type Y.
template <class Y>
bool agree(const net::model& m, const std::vector<std::uint8_t>& x,
           const std::vector<std::int32_t>& outputs) {
    using used = format_list<int8_weights, shift2, shift3, shift4, shift5, dense4>;
    const net::value_info& in = m.input();
    const image_view<const std::uint8_t> view{x, images, in.height, in.width, in.channels};
    for (const family kernels : {family::automatic, family::shift_add}) {
        const auto p = net::prepare<used>(m, {.batch = images, .kernels = kernels});
        std::vector<Y> y(outputs.size());
        if (!p || !net::run(*p, view, std::span(y)) ||
            !std::equal(y.begin(), y.end(), outputs.begin()))
            return false;
    }
    return true;
}

template <class T>
void array(std::FILE* to, const char* type, const std::string& name, const std::vector<T>& values) {
    std::fprintf(to, "inline constexpr std::%s %s[] = {", type, name.c_str());
    for (const T v : values)
        std::fprintf(to, "%d,", static_cast<int>(v));
    std::fprintf(to, "};\n");
}

/// Writes a network in a namespace of that name, and its images and outputs in `examples`.
bool write(std::FILE* to, const std::string& name, const net::model& m,
           std::size_t most_constants = 0) {
    test::random random(2);
    const auto x = test::bytes_at_random(images * m.input().size(), random);
    const auto values = net::reference::run(m, x, images);
    const bool bytes = m.output().element == net::element_type::uint8;
    if (!values || !(bytes ? agree<std::uint8_t>(m, x, values->back())
                           : agree<std::int32_t>(m, x, values->back()))) {
        std::printf("%s: net::run and net::reference::run do not give the same outputs\n",
                    name.c_str());
        return false;
    }
    const auto header = exporting::cpp_header(m, {.name = name, .most_constants = most_constants});
    if (!header)
        return false;
    std::fprintf(to, "%s\nnamespace examples {\n", header->c_str());
    array(to, "uint8_t", name + "_images", x);
    array(to, bytes ? "uint8_t" : "int32_t", name + "_outputs", values->back());
    std::fprintf(to, "} // namespace examples\n\n");
    return true;
}

} // namespace

int main(int argc, char** argv) {
    std::FILE* to = argc == 2 ? std::fopen(argv[1], "w") : nullptr;
    if (to == nullptr)
        return 1;
    const net::model m = network();
    const bool written = write(to, "packed", m) && write(to, "constants", m, 600) &&
                         write(to, "mobile_net", imported(test::mobile_net)) &&
                         write(to, "u_net", imported(test::u_net)) &&
                         write(to, "sequence", imported(test::sequence));
    return std::fclose(to) == 0 && written ? 0 : 1;
}
