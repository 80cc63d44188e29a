// s3::runtime::linear_layer equals s3::linear, bit for bit, on every instruction set.

#include <s3/ops/linear.hpp>
#include <s3/pack/quantize.hpp>
#include <s3/runtime/linear_layer.hpp>

#include "../support/fast_math.hpp"
#include "../support/random.hpp"
#include "../support/threads.hpp"
#include "sets.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace s3;

namespace {

[[nodiscard]] std::vector<float> draw(test::random& r, std::size_t count) {
    std::vector<float> x(count);
    for (float& v : x)
        v = r.real();
    return x;
}

template <weight_format F>
void check(std::size_t m, std::size_t k, std::size_t group, std::size_t activation_group) {
    constexpr std::size_t n = 5;
    test::random r(m + k + group);
    const auto packed = quantize<F>(draw(r, m * k), m, k,
                                    {.granularity = group == 0 ? scale_per::row : scale_per::group,
                                     .scale = scale_kind::real,
                                     .group = group});
    REQUIRE(packed);
    const auto x = draw(r, n * k), bias = draw(r, m);
    std::vector<float> expected(n * m);
    auto direct =
        linear<F, family::automatic, arch::scalar>::make(*packed, {1, activation_group, {}});
    REQUIRE(direct);
    REQUIRE((*direct)({x, n, k}, {expected, n, m}, {.bias = bias}));
    for (const isa set : test::supported_sets())
        for (const std::size_t workers : {1u, 3u}) {
            INFO("set ", to_string(set), ", ", F::name, ", group ", group, ", ", workers);
            const test::thread_executor threads{workers};
            auto layer = runtime::linear_layer::make(*packed, {.set = set,
                                                               .batch = 2,
                                                               .activation_group = activation_group,
                                                               .executor = threads});
            REQUIRE_MESSAGE(layer, layer.error().message());
            CHECK(layer->isa() == set);
            CHECK(layer->rows() == m);
            CHECK(layer->columns() == k);
            CHECK(layer->weight_bytes() > 0);
            CHECK(std::string(layer->kernel_name()) != "");
            std::vector<float> y(n * m, 77.0f);
            const status done = layer->run({x, n, k}, {y, n, m}, bias);
            REQUIRE_MESSAGE(done, done.error().message());
            CHECK(y == expected);
        }
}

} // namespace

TEST_CASE("outputs have the bits of the header's layer" * doctest::skip(s3::test::fast_math)) {
    check<shift3>(19, 96, 0, 0);
    check<shift3>(19, 96, 32, 0);
    check<shift3>(40, 256, 128, 128);
    check<int8_weights>(19, 64, 32, 32);
}

TEST_CASE("what a layer refuses is named") {
    const auto w = quantize<shift3>(std::vector<float>(64, 1.0f), 1, 64);
    const auto named = [&](const runtime::linear_layer_options& o) {
        return std::string(runtime::linear_layer::make(*w, o).error().argument);
    };
    CHECK(named({.batch = 0}) == "options.batch");
    CHECK(named({.activation_group = 32}) == "options.activation_group");
    auto layer = *runtime::linear_layer::make(*w);
    std::vector<float> x(64), y(1), bias(2);
    CHECK(layer.run({x, 1, 64}, {y, 1, 1}));
    CHECK(std::string(layer.run({x, 2, 32}, {y, 1, 1}).error().argument) == "x.columns");
    CHECK(std::string(layer.run({x, 1, 64}, {y, 1, 1}, bias).error().argument) == "epilogue.bias");
}
