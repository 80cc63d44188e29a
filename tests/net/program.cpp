// Networks at random equal the interpreter byte for byte, in every architecture of this build.

#include "../support/archs.hpp"
#include "../support/network.hpp"

using namespace s3;

TEST_CASE("networks of 3-bit, ternary and int8 weights are exact") {
    test::network_suite<format_list<shift3, ternary, int8_weights>, test::main_archs>(1).run(120);
}

namespace {

using few = format_list<shift3, int8_weights>;

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
    CHECK(net::run(*p, good, std::span(y), std::span(arena)));
    CHECK(named({x, 1, 3, 4, 3}, y, arena) == "input.height");
    CHECK(named({x, 1, 4, 5, 3}, y, arena) == "input.width");
    CHECK(named({x, 1, 4, 4, 2}, y, arena) == "input.channels");
    CHECK(named({x, 3, 4, 4, 3}, y, arena) == "input");
    CHECK(named({x, 2, 4, 4, 3, image_order::nchw}, y, arena) == "input.order");
    CHECK(named(good, std::span(y).first(63), arena) == "y");
    CHECK(named(good, y, std::span(arena).first(arena.size() - 1)) == "arena");
    std::vector<std::int32_t> sums(64);
    CHECK(net::run(*p, good, std::span(sums), std::span(arena)).error().code == errc::unsupported);
    CHECK(net::run(*p, {x, 0, 4, 4, 3}, std::span(y), std::span(arena)));
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
