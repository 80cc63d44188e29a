// Which kernel is the fastest is measured: by the caller's clock, among those that serve, within
// the time allowed; and a kernel that is named serves, or is refused.

#include <s3/net/tune.hpp>
#include <s3/pack/quantize.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using namespace s3;

namespace {

const tune_options brief{.seconds = 0.002};

[[nodiscard]] packed_matrix<shift2> some_matrix() {
    return *pack<shift2>(std::vector<int>(std::size_t{256} * 96, 1), 256, 96);
}
[[nodiscard]] packed_filter<shift3> some_filter() {
    return *pack_filter<shift3>(std::vector<int>(std::size_t{64} * 9 * 64, 1), {64, 3, 3, 64});
}

} // namespace

TEST_CASE("what is measured can be given back, and then serves") {
    const auto w = some_matrix();
    prepare_options o{.batch = 40};
    const auto fastest = tune<std::uint8_t, family::any>(w, o, brief);
    REQUIRE(fastest);
    o.kernel = *fastest;
    const auto p = prepare<std::uint8_t, family::any>(w, o);
    REQUIRE(p);
    CHECK(std::string_view(p->kernel_name()) == *fastest);
    std::vector<std::int32_t> y(40 * 256);
    CHECK(matmul(*p, std::vector<std::uint8_t>(40 * 96, 3), y));
    CHECK(y == std::vector<std::int32_t>(y.size(), 3 * 96));
}

TEST_CASE("weights whose scales integers do not meet are measured, too") {
    const std::vector<float> real(4 * 40, 0.3f);
    for (const auto granularity : {scale_per::tensor, scale_per::row}) {
        const auto w =
            *quantize<shift3>(real, 4, 40, {.granularity = granularity, .scale = scale_kind::real});
        const auto fastest = tune<std::uint8_t>(w, {.batch = 4}, brief);
        REQUIRE(fastest);
        CHECK(prepare<std::uint8_t>(w, {.batch = 4, .kernel = *fastest}));
    }
}

TEST_CASE("scales of groups, which no product applies, are refused as prepare refuses them") {
    auto w = *quantize<shift3>(
        std::vector<float>(4 * 64, 0.3f), 4, 64,
        {.granularity = scale_per::group, .scale = scale_kind::real, .group = 32});
    CHECK(tune<std::uint8_t>(w, {}, brief).error().message() ==
          prepare<std::uint8_t>(w).error().message());
    const auto f = packed_filter<shift3>{std::move(w), {4, 1, 1, 64}};
    CHECK(tune<std::uint8_t>(f, conv_options(), 1, {3, 3}, prepare_options(), brief)
              .error()
              .message() == prepare<std::uint8_t>(f, conv_options()).error().message());
}

TEST_CASE("only kernels of the wanted family take part") {
    const auto w = some_matrix();
    for (const family f : {family::dot, family::shift_add}) {
        const auto fastest = tune<std::uint8_t, family::any>(w, {.batch = 4, .kernels = f}, brief);
        REQUIRE(fastest);
        CHECK(std::string_view(*fastest).starts_with(f == family::dot ? "dot" : "shift_add"));
    }
    const auto integers = *pack<int8_weights>(std::vector<int>(16, 1), 4, 4);
    const auto none = tune<std::uint8_t, family::any>(
        integers, {.batch = 4, .kernels = family::shift_add}, brief);
    CHECK(none.error().code == errc::unsupported);
}

TEST_CASE("the caller's clock decides, and ends the measurement") {
    // Each look at this clock takes longer than the one before, so the first to run is the fastest.
    const auto w = some_matrix();
    double time = 0, step = 1;
    int looks = 0;
    const auto slower = [&] {
        ++looks;
        return time += step *= 2;
    };
    const prepare_options o{.batch = 40};
    const auto first = tune<std::uint8_t, family::any>(w, o, brief, slower);
    REQUIRE(first);
    CHECK(looks < 50);
    // Of all that take part, the one that ran first.
    std::string expected;
    kernel::candidates<family::any, kernel::products<shift2, std::uint8_t, arch::native>>::each(
        [&](auto k) {
            prepare_options one = o;
            one.kernel = decltype(k)::type::name;
            if (expected.empty() && prepare<std::uint8_t, family::any>(w, one))
                expected = decltype(k)::type::name;
        });
    CHECK(expected == *first);
}

TEST_CASE("activations, outputs and scratch can lie in the caller's memory") {
    const auto w = some_matrix();
    const prepare_options o{.batch = 40};
    std::vector<std::byte> memory(100);
    tune_options t = brief;
    t.memory = memory;
    const auto refused = tune<std::uint8_t, family::any>(w, o, t);
    REQUIRE(!refused);
    CHECK(refused.error().code == errc::buffer_too_small);
    CHECK(std::string_view(refused.error().argument) == "options.memory");
    memory.resize(std::size_t{1} << 22);
    t.memory = memory;
    CHECK(tune<std::uint8_t, family::any>(w, o, t));
    CHECK(tune<std::uint8_t, family::any>(some_filter(), {.padding = 1}, 1, extent(6), {}, t));
    t.memory = t.memory.first(1000);
    CHECK(tune<std::uint8_t, family::any>(some_filter(), {.padding = 1}, 1, extent(6), {}, t)
              .error()
              .code == errc::buffer_too_small);
}

TEST_CASE("direct convolutions and products take part alike") {
    const auto f = some_filter();
    const conv_options options{.padding = 1};
    prepare_options o{.batch = 36, .activation_bits = 6};
    const auto fastest = tune<std::uint8_t, family::any>(f, options, 1, extent(6), o, brief);
    REQUIRE(fastest);
    std::vector<std::uint8_t> x(36 * 64, 1);
    std::vector<std::int32_t> expected;
    for (const char* name : {*fastest, "dot_bytes_winograd", "dot_bytes_panels", "dot_words_panels",
                             "shift_add_table"}) {
        CAPTURE(name);
        o.kernel = name;
        const auto p = prepare<std::uint8_t, family::any>(f, options, o);
        if (!p) { // not every machine has it
            CHECK(p.error().code == errc::unsupported);
            CHECK(name != *fastest);
            continue;
        }
        CHECK(std::string_view(p->kernel_name()) == name);
        std::vector<std::int32_t> y(36 * 64);
        REQUIRE(conv2d(*p, image_view<const std::uint8_t>{x, 1, 6, 6, 64},
                       image_view<std::int32_t>{y, 1, 6, 6, 64}));
        if (expected.empty())
            expected = y;
        CHECK(y == expected);
    }
    o.kernel = "no_such_kernel";
    const auto refused = prepare<std::uint8_t, family::any>(f, options, o);
    CHECK(refused.error().code == errc::unsupported);
    CHECK(std::string_view(refused.error().argument) == "options.kernel");
    CHECK(tune<std::uint8_t>(f, {.stride = 0}, 1, extent(6), {}, brief).error().code ==
          errc::bad_option);
}

TEST_CASE("a network remembers a kernel for each layer") {
    using formats = format_list<shift3>;
    net::model m;
    m.values = {{6, 6, 64}, {6, 6, 64}, {3, 3, 64}};
    net::convolution c;
    c.filter = some_filter();
    c.options.padding = 1;
    c.scale.assign(64, 0.01f);
    m.layers.push_back({"conv", std::move(c)});
    m.layers.push_back({"pool", net::pooling{.input = 1,
                                             .kind = net::pooling_kind::max,
                                             .window = {2, 2},
                                             .stride = {2, 2}}});
    net::program_options o;
    std::size_t measured = 0;
    const auto kernels =
        net::tune<formats>(m, o, brief, steady_seconds{}, [&](std::size_t) { ++measured; });
    REQUIRE_MESSAGE(kernels, kernels.error().message());
    CHECK(measured == 2);
    REQUIRE(kernels->size() == 2);
    CHECK(kernels->back().empty());
    o.layer_kernels = *kernels;
    const auto p = net::prepare<formats>(m, o);
    REQUIRE(p);
    CHECK(p->kernel_name(0) == kernels->front());
    const std::vector<std::string> other{"dot_words_panels_of_another_machine", ""};
    o.layer_kernels = other;
    const auto refused = net::prepare<formats>(m, o);
    REQUIRE(!refused);
    CHECK(std::string_view(refused.error().argument) == "options.kernel");
    CHECK(refused.error().index == 0);
}
