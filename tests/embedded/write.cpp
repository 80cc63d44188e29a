// Writes what the embedded check compiles: a network with a layer of every kind, exported twice
// (with packed weights, and with template constants where layers are small), imported networks, a
// network for each kind of layer (tests/support/layers.hpp), and for each of them images with the
// outputs that net/program.hpp gives, by kernels of either family, and its definition.
//
//   write <header>

#include <s3/export/cpp_header.hpp>
#include <s3/net/reference.hpp>
#include <s3/runtime/program.hpp>

#include "../support/checkpoint.hpp"
#include "../support/descriptions.hpp"
#include "../support/layers.hpp"

#include <algorithm>
#include <cstdio>

namespace {

using namespace s3;

constexpr std::size_t images = 3;

net::model network() {
    test::network_builder b;
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

/// The outputs of a network, of type Y, that its definition computes, if kernels of both families
/// agree; else none. A last layer in float has no definition but those kernels.
template <class Y>
std::vector<Y> outputs(const net::model& m, const std::vector<std::uint8_t>& x) {
    const net::value_info& in = m.input();
    const image_view<const std::uint8_t> view{x, images, in.height, in.width, in.channels};
    std::vector<Y> wanted(images * m.output().size()), y(wanted.size());
    for (const family kernels : {family::shift_add, family::automatic}) {
        const auto p = runtime::prepare(m, {.batch = images, .kernels = kernels});
        wanted.swap(y);
        if (!p || !p->run(view, std::span(y)))
            return {};
    }
    const auto values = net::reference::run(m, x, images);
    if (!values)
        return {};
    if constexpr (!std::is_same_v<Y, float>)
        if (!std::equal(y.begin(), y.end(), values->back().begin()))
            return {};
    return y == wanted ? y : std::vector<Y>{};
}

/// Writes networks in namespaces of their names, their images and outputs in `examples`, and a
/// function there that visits them all.
class writer {
public:
    explicit writer(std::FILE* to) : to_(to) {}

    bool add(const std::string& name, const net::model& m, std::size_t most_constants = 0) {
        test::random random(2);
        const auto x = test::bytes_at_random(images * m.input().size(), random);
        const auto header =
            exporting::cpp_header(m, {.name = name, .most_constants = most_constants});
        if (!header) {
            std::printf("%s: %s\n", name.c_str(), header.error().message().c_str());
            return false;
        }
        std::fprintf(to_, "%s\nnamespace examples {\n", header->c_str());
        array("std::uint8_t", name + "_images", x);
        bool same = false;
        switch (m.output().element) {
        case net::element_type::uint8:
            same = array("std::uint8_t", name + "_outputs", outputs<std::uint8_t>(m, x));
            break;
        case net::element_type::int32:
            same = array("std::int32_t", name + "_outputs", outputs<std::int32_t>(m, x));
            break;
        case net::element_type::float32:
            same = array("float", name + "_outputs", outputs<float>(m, x));
        }
        std::fprintf(to_, "} // namespace examples\n\n");
        if (!same)
            std::printf("%s: net::run and net::reference::run do not give the same outputs\n",
                        name.c_str());
        visits_ += "    all = same(\"" + name + "\", " + name + "::output_size, " + name +
                   "::run, " + name + "_images, " + name + "_outputs) && all;\n";
        return same;
    }
    void finish() {
        std::fprintf(to_,
                     "namespace examples {\n"
                     "/// Calls same(name, size of an output, run, images, outputs) for each.\n"
                     "template <class Function>\nbool each(Function&& same) {\n"
                     "    bool all = true;\n%s    return all;\n}\n} // namespace examples\n",
                     visits_.c_str());
    }

private:
    template <class T>
    bool array(const char* type, const std::string& name, const std::vector<T>& values) {
        std::fprintf(to_, "inline constexpr %s %s[] = {", type, name.c_str());
        for (const T v : values)
            if constexpr (std::is_same_v<T, float>)
                std::fprintf(to_, "%s,", exporting::cpp_writer::real(v).c_str());
            else
                std::fprintf(to_, "%d,", static_cast<int>(v));
        std::fprintf(to_, "};\n");
        return !values.empty();
    }

    std::FILE* to_;
    std::string visits_;
};

/// Whether some case has each kind of layer.
bool are_complete(const std::vector<test::layer_case>& cases) {
    std::vector<bool> seen(std::variant_size_v<net::layer_list::any>);
    for (const test::layer_case& c : cases)
        for (const net::layer& l : c.model.layers)
            seen[l.operation.index()] = true;
    return std::find(seen.begin(), seen.end(), false) == seen.end();
}

} // namespace

int main(int argc, char** argv) {
    std::FILE* to = argc == 2 ? std::fopen(argv[1], "w") : nullptr;
    if (to == nullptr)
        return 1;
    writer w(to);
    const net::model m = network();
    bool written = w.add("packed", m) && w.add("constants", m, 600) &&
                   w.add("mobile_net", imported(test::mobile_net)) &&
                   w.add("u_net", imported(test::u_net)) &&
                   w.add("sequence", imported(test::sequence));
    const auto cases = test::layer_cases();
    for (const test::layer_case& c : cases)
        written = written && w.add("one_" + c.name, c.model);
    if (!are_complete(cases)) {
        std::printf("a kind of layer is missing in tests/support/layers.hpp\n");
        written = false;
    }
    w.finish();
    return std::fclose(to) == 0 && written ? 0 : 1;
}
