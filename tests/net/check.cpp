// What does not fit is refused, with the layer and the field; plans never let living values meet.

#include "../support/network.hpp"

#include <ctime>

using namespace s3;
using net::model;

namespace {

/// conv 8×8×4 → 8×8×6, max 2/2, conv 1×1 with residual, sum, raw conv over the whole image.
[[nodiscard]] model good() {
    model m;
    m.values = {{8, 8, 4, 8, 1, 3}, {8, 8, 6}, {4, 4, 6}, {4, 4, 6, 6}, {4, 4, 6}, {1, 1, 2}};
    m.values.back().element = net::element_type::int32;
    const auto conv = [](std::size_t input, std::size_t out, std::size_t size, std::size_t in) {
        net::convolution c;
        c.input = input;
        c.filter = *pack_filter<shift3>(std::vector<int>(out * size * size * in, 2),
                                        {out, size, size, in});
        c.scale.assign(out, 0.01f);
        c.bias.assign(out, 5);
        return c;
    };
    auto first = conv(0, 6, 3, 4);
    first.options = {.padding = 1, .padding_value = 3};
    auto second = conv(2, 6, 1, 6);
    second.residual = {2, 0.5f};
    second.clamp_high = 63;
    auto last = conv(4, 2, 4, 6);
    last.scale.clear();
    last.raw = true;
    m.layers.push_back({"first", std::move(first)});
    m.layers.push_back({"pool", net::pooling{.input = 1, .window = 2, .stride = 2}});
    m.layers.push_back({"second", std::move(second)});
    m.layers.push_back({"sum", net::addition{2, 3}});
    m.layers.push_back({"last", std::move(last)});
    return m;
}
[[nodiscard]] net::convolution& conv(model& m, std::size_t i) {
    return std::get<net::convolution>(m.layers[i].operation);
}

/// "layer argument" of the first thing that does not fit.
template <class Change>
[[nodiscard]] std::string refused(Change&& change) {
    model m = good();
    change(m);
    const status s = net::check(m);
    return s ? "fits" : std::to_string(s.error().index) + " " + s.error().argument;
}

} // namespace

TEST_CASE("a network that fits, and every way in which one does not") {
    CHECK(net::check(good()));
    CHECK(refused([](model& m) { m.layers.clear(); }) == "-1 layers");
    CHECK(refused([](model& m) { m.values.pop_back(); }) == "-1 values");
    CHECK(refused([](model& m) { m.values[0].channels = 0; }) == "-1 value.size");
    CHECK(refused([](model& m) { m.values[0].height = std::size_t(-1); }) == "-1 value.size");
    CHECK(refused([](model& m) { m.values[2].bits = 9; }) == "1 value.bits");
    CHECK(refused([](model& m) { m.values[3].scale = 0; }) == "2 value.scale");
    CHECK(refused([](model& m) { m.values[3].scale = NAN; }) == "2 value.scale");
    CHECK(refused([](model& m) { m.values[3].zero_point = 64; }) == "2 value.zero_point");
    CHECK(refused([](model& m) { m.values[1].height = 7; }) == "0 value.height");
    CHECK(refused([](model& m) { m.values[1].channels = 7; }) == "0 value.channels");
    CHECK(refused([](model& m) { m.values[2].width = 5; }) == "1 value.width");
    CHECK(refused([](model& m) { m.values[2].zero_point = 1; }) == "1 value.zero_point");
    CHECK(refused([](model& m) { m.values[2].scale = 2; }) == "1 value.scale");
    CHECK(refused([](model& m) { m.values[2].bits = 4; }) == "1 value.bits");
    CHECK(refused([](model& m) { conv(m, 0).input = 1; }) == "0 input");
    CHECK(refused([](model& m) { conv(m, 0).options.padding_value = 0; }) == "0 padding_value");
    for (const int value : {-1, 300}) // though no output sees it
        CHECK(refused([&](model& m) {
                  conv(m, 4).options.padding = 0, conv(m, 4).options.padding_value = value;
              }) == "4 padding_value");
    CHECK(refused([](model& m) { conv(m, 0).options.groups = 5; }) == "0 groups");
    CHECK(refused([](model& m) { conv(m, 0).options.groups = 2; }) == "0 filter.in_channels");
    CHECK(refused([](model& m) { conv(m, 0).options.stride = 0; }) == "0 stride");
    CHECK(refused([](model& m) { conv(m, 0).scale.pop_back(); }) == "0 scale");
    CHECK(refused([](model& m) { conv(m, 0).scale[1] = INFINITY; }) == "0 scale");
    CHECK(refused([](model& m) { conv(m, 0).bias.pop_back(); }) == "0 bias");
    CHECK(refused([](model& m) { conv(m, 0).bias[2] = INT32_MAX; }) == "0 weights.row");
    CHECK(refused([](model& m) { conv(m, 0).clamp_low = -1; }) == "0 low");
    CHECK(refused([](model& m) { conv(m, 0).clamp_high = 256; }) == "0 high");
    CHECK(refused([](model& m) { conv(m, 0).clamp_low = 9, conv(m, 0).clamp_high = 8; }) ==
          "0 low");
    CHECK(refused([](model& m) { conv(m, 0).raw = true; }) == "0 value.element");
    CHECK(refused([](model& m) { conv(m, 2).clamp_high = 64; }) == "2 high");
    CHECK(refused([](model& m) { conv(m, 2).residual->value = 3; }) == "2 residual.value");
    CHECK(refused([](model& m) { conv(m, 2).residual->value = 1; }) == "2 value.height");
    CHECK(refused([](model& m) { conv(m, 2).residual->scale = NAN; }) == "2 residual.scale");
    CHECK(refused([](model& m) { conv(m, 4).scale = {1, 1}; }) == "4 scale");
    CHECK(refused([](model& m) { conv(m, 4).residual = {0, 1}; }) == "4 residual");
    CHECK(refused([](model& m) { m.output_scale = INFINITY; }) == "4 output_scale");
    const auto pool = [](model& m) -> net::pooling& {
        return std::get<net::pooling>(m.layers[1].operation);
    };
    CHECK(refused([&](model& m) { pool(m).padding = 2; }) == "1 padding");
    CHECK(refused([&](model& m) { pool(m).window = {2, 0}; }) == "1 window");
    CHECK(refused([&](model& m) { pool(m).window = 9; }) == "1 image.height");
    CHECK(refused([&](model& m) { pool(m).input = 2; }) == "1 input");
    CHECK(refused([&](model& m) { pool(m).kind = net::pooling_kind::mean, pool(m).scale = NAN; }) ==
          "1 scale");
    const auto sum = [](model& m) -> net::addition& {
        return std::get<net::addition>(m.layers[3].operation);
    };
    CHECK(refused([&](model& m) { sum(m).a = 4; }) == "3 a");
    CHECK(refused([&](model& m) { sum(m).b = 1; }) == "3 value.height");
    CHECK(refused([&](model& m) { sum(m).b_scale = NAN; }) == "3 b_scale");
    CHECK(refused([&](model& m) { sum(m).clamp_high = 300; }) == "3 high");
    CHECK(refused([](model& m) { m.layers[0].operation = net::float_linear{}; }) == "0 weights");
    CHECK(refused([](model& m) { m.layers[4].operation = net::float_linear{4}; }) == "4 weights");
}

TEST_CASE("windows of pooling are limited, and a float layer has finite weights") {
    const std::size_t huge = std::size_t{1} << 30;
    CHECK(refused([&](model& m) {
              m.layers[1].operation =
                  net::pooling{.input = 1, .window = huge, .stride = huge, .padding = huge - 1};
          }) == "1 window");
    const auto window = [](extent size) {
        return refused([&](model& m) {
            m.layers[1].operation = net::pooling{.input = 1,
                                                 .kind = net::pooling_kind::mean,
                                                 .window = size,
                                                 .padding = {size.height - 1, size.width - 1}};
        });
    };
    CHECK(window({1 << 12, 1 << 11}) == "1 value.height"); // 2^23 taps
    CHECK(window({1 << 12, (1 << 11) + 1}) == "1 window");
    const auto with_float = [](float weight, float bias) {
        return refused([&](model& m) {
            m.layers[4].operation =
                net::float_linear{4, std::vector<float>(2 * 96, weight), {bias, bias}};
            m.values[5].element = net::element_type::float32;
        });
    };
    CHECK(with_float(1, 1) == "fits");
    CHECK(with_float(NAN, 1) == "4 weights");
    CHECK(with_float(-INFINITY, 1) == "4 weights");
    CHECK(with_float(1, NAN) == "4 bias");
}

namespace {

/// A value of 2 × 3 × 4 and one per channel; their product, a table of it, twice as many pixels of
/// that, and their concatenation with themselves.
[[nodiscard]] model graph() {
    model m;
    m.values = {{2, 3, 4, 4},        {1, 1, 4, 6, 0.5f, 3}, {2, 3, 4, 4, 2, 1},
                {2, 3, 4, 6, 1, 63}, {4, 3, 4, 6, 1, 63},   {4, 3, 8, 7, 3, 5}};
    m.layers.push_back({"mean", net::pooling{0, net::pooling_kind::mean, {2, 3}}});
    m.layers.push_back({"product", net::multiplication{0, 1, 0.25f, 0, 15}});
    m.layers.push_back({"table", net::table{2, std::vector<std::uint8_t>(16, 63)}});
    m.layers.push_back({"larger", net::upsampling{3, {2, 1}}});
    m.layers.push_back({"both", net::concatenation{{{4, 1}, {4, 0.5f}}}});
    return m;
}
template <class L, class Change>
[[nodiscard]] std::string refused_layer(std::size_t i, Change&& change) {
    model m = graph();
    change(std::get<L>(m.layers[i].operation), m);
    const status s = net::check(m);
    return s ? "fits" : std::to_string(s.error().index) + " " + s.error().argument;
}

} // namespace

TEST_CASE("products, tables, upsampling and concatenations that do not fit") {
    CHECK(net::check(graph()));
    const auto product = [](auto change) { return refused_layer<net::multiplication>(1, change); };
    CHECK(product([](auto& l, model&) { l.b = 2; }) == "1 b");
    CHECK(product([](auto& l, model&) { l.b = 0; }) == "fits"); // a square
    CHECK(product([](auto& l, model&) { l.a = 1, l.b = 0; }) == "1 value.height");
    CHECK(product([](auto&, model& m) { m.values[1].channels = 3; }) == "0 value.channels");
    CHECK(product([](auto& l, model& m) {
              m.layers[0].operation = net::pooling{0, net::pooling_kind::mean, {1, 3}, {2, 1}};
              l.b = 1;
          }) == "fits");
    CHECK(product([](auto&, model& m) {
              m.layers[0].operation = net::pooling{0, net::pooling_kind::mean, {1, 3}};
              m.values[1].height = 2;
          }) == "1 value.width");
    CHECK(product([](auto& l, model&) { l.scale = NAN; }) == "1 scale");
    CHECK(product([](auto& l, model&) { l.clamp_high = 16; }) == "1 high");
    CHECK(product([](auto& l, model&) { l.clamp_low = -1; }) == "1 low");
    const auto table = [](auto change) { return refused_layer<net::table>(2, change); };
    CHECK(table([](auto& l, model&) { l.entries.pop_back(); }) == "2 table");
    CHECK(table([](auto& l, model&) { l.entries.push_back(0); }) == "2 table");
    CHECK(table([](auto& l, model&) { l.entries.clear(); }) == "2 table");
    CHECK(table([](auto& l, model&) { l.entries[15] = 64; }) == "2 table");
    CHECK(table([](auto& l, model&) { l.input = 3; }) == "2 input");
    CHECK(table([](auto&, model& m) { m.values[3].channels = 5; }) == "2 value.channels");
    const auto larger = [](auto change) { return refused_layer<net::upsampling>(3, change); };
    CHECK(larger([](auto& l, model&) { l.factor = {0, 1}; }) == "3 factor");
    CHECK(larger([](auto& l, model&) { l.factor = {2, 0}; }) == "3 factor");
    CHECK(larger([](auto& l, model&) { l.factor = {std::size_t(-1), 1}; }) == "3 value.height");
    CHECK(larger([](auto& l, model&) { l.factor = {2, 2}; }) == "3 value.width");
    CHECK(larger([](auto&, model& m) { m.values[4].scale = 2; }) == "3 value.scale");
    CHECK(larger([](auto&, model& m) { m.values[4].zero_point = 0; }) == "3 value.zero_point");
    CHECK(larger([](auto&, model& m) {
              m.values[4].bits = 5, m.values[4].zero_point = m.values[3].zero_point = 9;
          }) == "3 value.bits");
    const auto padded = [](extent before, extent after, auto change) {
        return refused_layer<net::upsampling>(3, [&](auto&, model& m) {
            m.layers[3].operation = net::padding{3, before, after};
            change(m);
        });
    };
    CHECK(padded({2, 0}, {0, 0}, [](model&) {}) == "fits");
    CHECK(padded({1, 0}, {1, 0}, [](model&) {}) == "fits");
    CHECK(padded({1, 0}, {0, 0}, [](model&) {}) == "3 value.height");
    CHECK(padded({1, 1}, {1, 0}, [](model&) {}) == "3 value.width");
    CHECK(padded({std::size_t(-1), 0}, {3, 0}, [](model&) {}) == "3 value.height");
    CHECK(padded({2, 0}, {0, 0}, [](model& m) { m.values[4].scale = 2; }) == "3 value.scale");
    const auto both = [](auto change) { return refused_layer<net::concatenation>(4, change); };
    CHECK(both([](auto& l, model&) { l.inputs.clear(); }) == "4 inputs");
    CHECK(both([](auto& l, model&) { l.inputs.pop_back(); }) == "4 value.channels");
    CHECK(both([](auto& l, model&) { l.inputs[1].value = 5; }) == "4 inputs");
    CHECK(both([](auto& l, model&) { l.inputs[1].value = 3; }) == "4 value.height");
    CHECK(both([](auto& l, model&) { l.inputs[1].scale = INFINITY; }) == "4 inputs.scale");
    CHECK(both([](auto& l, model& m) {
              m.layers[3].operation = net::table{3, std::vector<std::uint8_t>(64)};
              m.values[4].height = 2;
              m.values[5].height = 2;
              l.inputs[1].value = 1;
          }) == "4 value.height");
}

TEST_CASE("operations are counted before a network runs, under windows inside the image") {
    model m = good();
    const auto& first = std::get<net::convolution>(m.layers[0].operation);
    const std::size_t columns =
        std::visit([](const auto& f) { return f.shape.columns(); }, first.filter);
    // Two convolutions, a window of 2 × 2, a sum, and a convolution over the whole image.
    CHECK(net::operations(m) ==
          8 * 8 * 6 * columns + 4 * 4 * 6 * 4 + 4 * 4 * 6 * 6 + 4 * 4 * 6 + 2 * 4 * 4 * 6);
    const std::size_t without = net::operations(m) - 4 * 4 * 6 * 4;
    m.layers[1].operation = net::pooling{.input = 1, .window = 2000};
    CHECK(net::operations(m) == without + 4 * 4 * 6 * 8 * 8);
}

TEST_CASE("layers read bytes of earlier values alone") {
    const auto inner = [](net::element_type e) {
        return refused([&](model& m) {
            conv(m, 2).raw = true;
            conv(m, 2).scale.clear();
            conv(m, 2).residual.reset();
            m.values[3].element = e;
        });
    };
    CHECK(inner(net::element_type::uint8) == "2 value.element");
    CHECK(inner(net::element_type::int32) == "3 b");
    CHECK(refused([](model& m) { m.values[0].element = net::element_type::int32; }) ==
          "-1 value.element");
    CHECK(refused([](model& m) { m.values[1].kind = net::value_kind::sequence; }) ==
          "0 value.kind");
}

TEST_CASE("planning takes a moment, however many values live at once") {
    model m;
    m.values.assign(1, {4, 4, 4});
    constexpr std::size_t count = 6000; // a chain, then sums that keep it alive
    for (std::size_t i = 0; i < count; ++i) {
        m.values.push_back({4, 4, 4});
        const std::size_t b = i < count / 2 ? 0 : count - i;
        m.layers.push_back({"sum" + std::to_string(i), net::addition{i, b}});
    }
    REQUIRE(net::check(m));
    const std::clock_t begin = std::clock();
    const auto p = net::plan(m);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    CHECK(p.bytes >= count / 2 * 64);
    CHECK(seconds < 5); // of the processor; a cubic plan takes minutes
}

TEST_CASE("depth is proved from the rows' real sums and the input's bits") {
    model m;
    m.values = {{1, 1, 4608}, {1, 1, 1}};
    net::convolution c;
    std::vector<int> w(4608, 1);
    w[0] = 1 << 14;
    c.filter = *pack_filter<shift5>(w, {1, 1, 1, 4608});
    c.scale = {0.001f};
    m.layers.push_back({"linear", std::move(c)});
    CHECK(net::check(m)); // far from 4608·2^14·255
    conv(m, 0).filter = *pack_filter<shift5>(std::vector<int>(4608, 1 << 12), {1, 1, 1, 4608});
    CHECK(net::check(m).error().code == errc::depth_exceeded);
    CHECK(net::check(m).error().index == 0);
    m.values[0].bits = 6;
    CHECK(net::check(m));
}

TEST_CASE("a residual gives its place to the output unless the convolution reads it, too") {
    model m = good();
    REQUIRE(conv(m, 2).residual->value == conv(m, 2).input);
    const auto may = [&] { return net::detail::replaceable(m, 2, net::write_order::any); };
    CHECK(may().empty());
    conv(m, 2).residual->value = 1;
    CHECK(may() == std::vector<net::value_id>{1});
    conv(m, 2).residual.reset();
    CHECK(may().empty());
}

TEST_CASE("values that live at the same time do not meet in memory") {
    test::random r(5);
    std::size_t saved = 0, tight = 0;
    for (int n = 0; n < 300; ++n) {
        const model m = test::network_maker<format_list<shift2>>(r).make(1 + r.below(12));
        const auto order = static_cast<net::write_order>(n % 3);
        const std::vector<std::size_t> scratch(m.layers.size(), n % 2 == 0 ? 100 : 0);
        const auto p = net::plan(m, {.order = order, .scratch = scratch});
        std::size_t all = 0;
        const auto bytes = [&](std::size_t v) { return m.values[v].bytes(); };
        const auto last_use = [&](std::size_t v) {
            std::size_t last = v;
            for (std::size_t i = 0; i < m.layers.size(); ++i)
                net::detail::each_input_of(m.layers[i], [&](std::size_t u) {
                    if (u == v)
                        last = i + 1;
                });
            return last;
        };
        for (std::size_t v = 1; v < m.values.size(); ++v) {
            all += bytes(v);
            CHECK(p.offset[v] % 64 == 0);
            CHECK(p.offset[v] + bytes(v) <= p.bytes);
            for (std::size_t u = 1; u < v; ++u) {
                const bool meet =
                    p.offset[u] < p.offset[v] + bytes(v) && p.offset[v] < p.offset[u] + bytes(u);
                if (!meet || last_use(u) < v)
                    continue;
                // Only some layers may take the place of what they read last, and exactly that
                // place.
                const auto may = net::detail::replaceable(m, v - 1, order);
                CHECK(last_use(u) == v);
                CHECK(p.offset[u] == p.offset[v]);
                CHECK(std::find(may.begin(), may.end(), u) != may.end());
            }
        }
        for (std::size_t i = 0; i < scratch.size(); ++i)
            for (std::size_t v = 1; v < m.values.size(); ++v) {
                const bool meet = p.offset[v] < p.scratch[i] + scratch[i] &&
                                  p.scratch[i] < p.offset[v] + bytes(v);
                CHECK_FALSE((meet && v <= i + 1 && last_use(v) >= i + 1));
            }
        CHECK(p.least <= p.bytes);
        saved += p.bytes < all;
        tight += p.bytes == p.least;
    }
    CHECK(saved > 100);
    CHECK(tight > 200);
}
