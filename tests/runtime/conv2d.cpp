// s3::runtime::conv2d equals the definition, bit for bit, on every instruction set.

#include <s3/kernel/reference.hpp>
#include <s3/runtime/conv2d.hpp>

#include "../support/random.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"
#include "sets.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace s3;

namespace {

template <weight_format F, class X>
void check(test::random& r, const filter_shape& f, const conv_options& o, std::size_t size) {
    const auto values = test::random_weights<F>(r, f.out_channels * f.columns());
    const auto filter = pack_filter<F>(values, f);
    REQUIRE(filter);
    const std::size_t channels = f.in_channels * o.groups, batch = 2;
    std::vector<X> x(batch * size * size * channels);
    for (X& v : x)
        v = static_cast<X>(r.between(0, 127));
    const image_view<const X> in{x, batch, size, size, channels};
    const extent out = *output_extent(size, size, f, o);
    using sum = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;
    std::vector<sum> sums(batch * out.height * out.width * f.out_channels);
    const auto shaped = [&]<class Y>(std::vector<Y>& y) {
        return image_view<Y>{y, batch, out.height, out.width, f.out_channels};
    };
    reference::conv2d<int, X, sum>(values, f, in, shaped(sums), o);
    const float scale = 0.01f;
    const epilogue e{.scale = {&scale, 1}, .zero_point = 9};

    for (const isa set : test::supported_sets()) {
        INFO("set ", to_string(set), ", ", F::name, ", ", f.out_channels, " channels");
        const auto w = runtime::prepare(
            *filter, o, {.set = set, .activations = runtime::activation_type_of<X>});
        REQUIRE_MESSAGE(w, w.error().message());
        CHECK(w->isa() == set);
        CHECK(*w->output_shape(size, size) == out);
        std::vector<sum> y(sums.size(), sum{55});
        std::vector<std::byte> scratch(w->scratch_bytes(batch, out, 2));
        const status done = w->run(in, shaped(y), {}, scratch, test::thread_executor{2});
        REQUIRE_MESSAGE(done, done.error().message());
        CHECK(y == sums);
        if constexpr (std::is_integral_v<X>) {
            std::vector<std::uint8_t> bytes(sums.size()), expected(sums.size());
            for (std::size_t i = 0; i < sums.size(); ++i)
                expected[i] = finish<std::uint8_t>(sums[i], i % f.out_channels, i, e);
            REQUIRE(w->run(in, shaped(bytes), e));
            CHECK(bytes == expected);
            std::vector<float> reals(sums.size()), products(sums.size());
            for (std::size_t i = 0; i < sums.size(); ++i)
                products[i] = static_cast<float>(sums[i]) * scale;
            REQUIRE(w->run(in, shaped(reals), epilogue{.scale = {&scale, 1}}));
            CHECK(reals == products);
        }
    }
}

} // namespace

TEST_CASE("convolutions are exact on every instruction set") {
    test::random r(2);
    const auto all = [&]<weight_format F, class X>() {
        check<F, X>(r, {17, 3, 3, 5}, {.padding = 1}, 7);
        check<F, X>(r, {64, 3, 3, 64}, {.stride = 2, .padding = 1}, 6);
        check<F, X>(r, {70, 1, 1, 66}, {}, 5);
        check<F, X>(r, {32, 3, 3, 1}, {.padding = 1, .groups = 32}, 6);
        check<F, X>(r, {8, 2, 2, 3}, {.groups = 2}, 5);
    };
    all.operator()<shift3, std::uint8_t>();
    all.operator()<shift3, std::int8_t>();
    all.operator()<shift3, float>();
    all.operator()<int8_weights, std::uint8_t>();
}
