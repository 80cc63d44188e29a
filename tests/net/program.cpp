// Networks at random equal the interpreter byte for byte, in every architecture of this build.

#include "../support/archs.hpp"
#include "../support/layers.hpp"
#include "../support/network.hpp"

#include <numeric>

using namespace s3;

namespace {
using few = format_list<shift3, int8_weights>;
}

TEST_CASE("networks of 3-bit and int8 weights are exact") {
    test::network_suite<few, test::main_archs>(1).run(120);
}

namespace {

[[nodiscard]] net::model one_layer() {
    net::model m;
    m.values = {{4, 4, 3}, {4, 4, 2}};
    net::convolution c;
    c.filter = *pack_filter<shift3>(std::vector<int>(2 * 27, 1), {2, 3, 3, 3});
    c.options.padding = 1;
    c.scale = {0.1f, 0.2f};
    m.layers.push_back({"conv", std::move(c)});
    return m;
}

} // namespace

TEST_CASE("run names what does not fit") {
    const auto p = net::prepare<few, arch::scalar>(one_layer());
    REQUIRE(p);
    std::vector<std::uint8_t> x(96, 1), y(64);
    std::vector<std::byte> arena(p->arena_bytes(2));
    const auto named = [&](const image_view<const std::uint8_t>& in, std::span<std::uint8_t> out,
                           std::span<std::byte> memory) {
        return std::string(net::run(*p, in, out, memory).error().argument);
    };
    const image_view<const std::uint8_t> good{x, 2, 4, 4, 3};
    CHECK(net::run(*p, good, y, arena));
    CHECK(named({x, 1, 3, 4, 3}, y, arena) == "input.height");
    CHECK(named({x, 1, 4, 5, 3}, y, arena) == "input.width");
    CHECK(named({x, 1, 4, 4, 2}, y, arena) == "input.channels");
    CHECK(named({x, 3, 4, 4, 3}, y, arena) == "input");
    CHECK(named({x, 2, 4, 4, 3, image_order::nchw}, y, arena) == "input.order");
    CHECK(named(good, std::span(y).first(63), arena) == "y");
    CHECK(named(good, y, std::span(arena).first(arena.size() - 1)) == "arena");
    std::vector<std::int32_t> sums(64);
    CHECK(net::run(*p, good, std::span(sums), std::span(arena)).error().code == errc::unsupported);
    CHECK(net::run(*p, {x, 0, 4, 4, 3}, y, arena));
}

TEST_CASE("memory for batches that no memory can hold is not a small number") {
    const auto p = net::prepare<few, arch::scalar>(one_layer());
    REQUIRE(p);
    const std::size_t huge = std::numeric_limits<std::size_t>::max();
    for (const std::size_t batch : {huge, huge / 2, huge / 64, huge / 64 + 1})
        CHECK(p->arena_bytes(batch) >= huge / 64);
    CHECK(p->arena_bytes(1, huge) >= huge / 64);
}

TEST_CASE("windows far larger than the image are clipped to it") {
    for (const auto kind : {net::pooling_kind::max, net::pooling_kind::mean}) {
        const bool largest = kind == net::pooling_kind::max;
        net::model m;
        m.values = {{2, 3, 40}, {3, 3, 40}};
        net::pooling pool{.kind = kind, .window = 2800, .stride = 1400, .padding = 2799};
        pool.scale = 1.0f / 6;
        m.layers.push_back({"pool", pool});
        const auto p = net::prepare<few>(m);
        REQUIRE_MESSAGE(p, p.error().message());
        std::vector<std::uint8_t> x(m.input().size()), y(m.output().size());
        std::iota(x.begin(), x.end(), std::uint8_t{0});
        REQUIRE(net::run(*p, {x, 1, 2, 3, 40}, y));
        CHECK(y[7] == (largest ? 7 : 1));              // the first pixel alone
        CHECK(y[4 * 40 + 7] == (largest ? 207 : 107)); // all six
        CHECK(y[8 * 40 + 7] == (largest ? 207 : 62));  // the last two: (167 + 207) / 6

        // Eight million windows of eight million taps, of which one is inside.
        m.values = {{1, 1, 1}, {2896, 2896, 1}};
        std::get<net::pooling>(m.layers[0].operation) =
            net::pooling{.kind = kind, .window = 2896, .padding = 2895};
        const auto many = net::prepare<few>(m);
        REQUIRE_MESSAGE(many, many.error().message());
        x.assign(1, 9);
        y.assign(m.output().size(), 0);
        REQUIRE(net::run(*many, {x, 1, 1, 1, 1}, std::span(y)));
        CHECK(y == std::vector<std::uint8_t>(y.size(), 9));
    }
}

TEST_CASE("a sequence is convolved along its length") {
    net::model m;
    m.values = {{1, 6, 2}, {1, 5, 1}};
    for (auto& v : m.values)
        v.kind = net::value_kind::sequence;
    m.values[1].element = net::element_type::int32;
    net::convolution c;
    c.filter = *pack_filter<shift3>(std::vector<int>{1, 2, -1, 4}, {1, 1, 2, 2});
    c.raw = true;
    m.layers.push_back({"along", std::move(c)});
    const auto p = net::prepare<few, arch::scalar>(m);
    REQUIRE_MESSAGE(p, p.error().message());
    const std::vector<std::uint8_t> x{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    std::vector<std::int32_t> y(5);
    REQUIRE(net::run(*p, {x, 1, 1, 6, 2}, std::span(y)));
    CHECK(y == std::vector<std::int32_t>{18, 30, 42, 54, 66});
}

TEST_CASE("a product of a value with one per channel, then a table, larger, beside itself") {
    net::model m;
    m.values = {{2, 1, 2, 8, 1, 10},  {1, 1, 2, 8, 1, 4},   {2, 1, 2, 8, 1, 100},
                {2, 1, 2, 8, 1, 100}, {2, 2, 2, 8, 1, 100}, {2, 2, 4, 8, 1, 50}};
    m.layers.push_back({"mean", net::pooling{0, net::pooling_kind::mean, {2, 1}, 1, 0, 0.5f}});
    m.layers.push_back({"product", net::multiplication{0, 1, 0.5f, 0, 255}});
    net::table reversed{2, {}};
    for (int q = 255; q >= 0; --q)
        reversed.entries.push_back(static_cast<std::uint8_t>(q));
    m.layers.push_back({"table", std::move(reversed)});
    m.layers.push_back({"larger", net::upsampling{3, {1, 2}}});
    m.layers.push_back({"both", net::concatenation{{{4, 1}, {4, -0.25f}}}});
    const auto p = net::prepare<few>(m);
    REQUIRE_MESSAGE(p, p.error().message());
    CHECK(p->plan().offset[2] == p->plan().offset[3]); // a table takes its input's place
    const std::vector<std::uint8_t> x{10, 30, 16, 9};
    std::vector<std::uint8_t> y(16);
    REQUIRE(net::run(*p, {x, 1, 2, 1, 2}, std::span(y)));
    // Differences {0, 20}, {6, −1} with means 3 and 9.5, which rounds to 10 (half to even).
    // Products, halved: 0, 100, 9, −5; so 100, 200, 109, 95; reversed 155, 55, 146, 160. Of what
    // exceeds 100, a quarter is taken from 50: −13.75, 11.25, −11.5, −15.
    CHECK(y == std::vector<std::uint8_t>{105, 5, 36, 61, 105, 5, 36, 61, //
                                         96, 110, 38, 35, 96, 110, 38, 35});
}

TEST_CASE("layers that take the place of their inputs compute what their definitions do") {
    for (const test::layer_case& l : test::layer_cases()) {
        CAPTURE(l.name);
        REQUIRE_MESSAGE(net::check(l.model), net::check(l.model).error().message());
        const auto in_place = [&](const net::memory_plan& p) {
            return p.offset[l.layer + 1] == p.offset[l.from];
        };
        for (const auto order :
             {net::write_order::any, net::write_order::in_turn, net::write_order::exported})
            CHECK(in_place(net::plan(l.model, {.order = order})) == (l.order && order >= *l.order));
        if (l.model.output().element == net::element_type::float32)
            continue; // which has no definition to compare with
        const auto p = net::prepare<few>(l.model);
        REQUIRE_MESSAGE(p, p.error().message());
        CHECK(in_place(p->plan(1)) == (l.order && *l.order <= net::write_order::in_turn));
        CHECK(in_place(p->plan(2)) == (l.order && *l.order == net::write_order::any));
        CHECK(p->arena_bytes(1) <= p->arena_bytes(1, 2));
        for (const std::size_t batch : {1u, 3u}) {
            test::random r(batch);
            const net::value_info& in = l.model.input();
            std::vector<std::uint8_t> x(batch * in.size());
            for (auto& q : x)
                q = static_cast<std::uint8_t>(r());
            const auto values = net::reference::run(l.model, x, batch);
            REQUIRE(values);
            std::vector<float> y(values->back().size()), wanted;
            for (const std::int32_t q : values->back())
                wanted.push_back(l.model.output().element == net::element_type::uint8
                                     ? static_cast<float>(q - l.model.output().zero_point)
                                     : static_cast<float>(q));
            REQUIRE(net::run(*p, {x, batch, in.height, in.width, in.channels}, y));
            CHECK(y == wanted);
        }
    }
}

TEST_CASE("a plan finds the room that a pooled value leaves behind, for one worker alone") {
    net::model m; // as ResNet-18 begins
    m.values = {{56, 56, 3}, {56, 56, 16}, {28, 28, 16}, {28, 28, 16}, {28, 28, 16}, {28, 28, 4}};
    const auto conv = [&](const char* name, std::size_t from, std::size_t channels) {
        net::convolution c;
        c.input = from;
        c.filter = *pack_filter<shift3>(std::vector<int>(channels * m.values[from].channels, 1),
                                        {channels, 1, 1, m.values[from].channels});
        c.scale.assign(channels, 0.1f);
        m.layers.push_back({name, std::move(c)});
    };
    conv("stem", 0, 16);
    m.layers.push_back({"pooled", net::pooling{1, net::pooling_kind::max, 3, 2, 1}});
    conv("inner", 2, 16);
    m.layers.push_back({"sum", net::addition{2, 3}});
    conv("last", 4, 4);
    const auto p = net::prepare<few, arch::scalar>(m);
    REQUIRE_MESSAGE(p, p.error().message());
    const std::size_t large = m.values[1].bytes(), small = m.values[2].bytes();
    CHECK(p->plan(1).bytes == large); // and "inner" lies in what the pooling no longer needs
    CHECK(p->plan(1).least == large);
    CHECK(p->plan(2).bytes == large + small);
    CHECK(m.layers[p->plan(2).largest_layer].name == "pooled");
}

TEST_CASE("activations beyond the promised bits are refused") {
    net::model m = one_layer();
    m.values[0].bits = 6;
    const auto p = net::prepare<few, arch::scalar>(m);
    REQUIRE(p);
    std::vector<std::uint8_t> x(48, 63), y(32);
    CHECK(net::run(*p, {x, 1, 4, 4, 3}, std::span(y)));
    x[7] = 64;
    const auto refused = net::run(*p, {x, 1, 4, 4, 3}, std::span(y));
    CHECK(std::string(refused.error().argument) == "input");
    CHECK(refused.error().index == 7);
}

TEST_CASE("a format that is not compiled in is refused at its layer") {
    const auto p = net::prepare<format_list<int8_weights>, arch::scalar>(one_layer());
    CHECK(p.error().code == errc::unsupported);
    CHECK(p.error().index == 0);
}

TEST_CASE("a last layer in float") {
    net::model m;
    m.values = {{2, 1, 2, 8, 0.5f, 10}, {.channels = 2, .element = net::element_type::float32}};
    m.layers.push_back({"float", net::float_linear{0, {1, 2, 3, 4, 0, 0, 0, -1}, {100, 0}}});
    const auto p = net::prepare<few, arch::scalar>(m);
    REQUIRE(p);
    const std::vector<std::uint8_t> x{12, 10, 14, 20};
    std::vector<float> y(2);
    REQUIRE(net::run(*p, {x, 1, 2, 1, 2}, std::span(y)));
    CHECK(y == std::vector<float>{127, -5}); // 1·1 + 3·2 + 4·5 + 100; −5
    std::vector<std::uint8_t> bytes(2);
    CHECK_FALSE(net::run(*p, {x, 1, 2, 1, 2}, std::span(bytes)));
}
