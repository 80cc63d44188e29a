// Convolution's public face: what a caller writes, threads and memory of the caller's, and an error
// value, with nothing written, for whatever does not fit. That its sums are right: conv2d_*.cpp.

#include <s3/ops/conv2d.hpp>

#include <s3/kernel/reference.hpp>

#include "../support/guarded.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace s3;

namespace {

using bytes = std::vector<std::uint8_t>;
using ints = std::vector<std::int32_t>;
constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();

/// A convolution that works, of which each error is one change away.
struct fixture {
    filter_shape shape{4, 3, 3, 2};
    packed_filter<shift3> filter = *pack_filter<shift3>(std::vector<int>(72, 1), shape);
    conv_options options{.padding = 1};
    prepared_filter<shift3, std::uint8_t> w = *prepare(filter, options);
    bytes x = bytes(2 * 5 * 6 * 2, 1);
    ints y = ints(2 * 5 * 6 * 4, 77);
    image_view<const std::uint8_t> in{x, 2, 5, 6, 2};
    image_view<std::int32_t> out{y, 2, 5, 6, 4};
    buffer<std::byte> scratch = *buffer<std::byte>::make(scratch_bytes(w, 2, extent(5, 6)));

    /// The argument that is named; nothing may have been written.
    std::string named(const status& s) const {
        CHECK(y == ints(y.size(), 77));
        return s ? "nothing" : s.error().argument;
    }
    std::string refused(const image_view<const std::uint8_t>& from,
                        const image_view<std::int32_t>& to, const epilogue& e = {}) {
        return named(conv2d(w, from, to, e, scratch.span()));
    }
    std::string refused(const conv_options& o, const prepare_options& g = {}) {
        const auto prepared = prepare(filter, o, g);
        const status direct = conv2d(filter, in, out, o, {}, g);
        if (!prepared) {
            CHECK(std::string(prepared.error().argument) == direct.error().argument);
            return prepared.error().argument;
        }
        return named(direct);
    }
};

} // namespace

TEST_CASE("a convolution by hand") {
    // One row, one channel: an edge detector with stride 2 and a border of 5.
    const auto filter = *pack_filter<shift3>(std::vector<int>{-1, 0, 2}, {1, 1, 3, 1});
    const bytes x{1, 2, 3, 4, 5, 6};
    ints y(3);
    REQUIRE(conv2d(filter, image_view<const std::uint8_t>{x, 1, 1, 6, 1},
                   image_view<std::int32_t>{y, 1, 1, 3, 1},
                   {.stride = {1, 2}, .padding = {0, 1}, .padding_value = 5}));
    CHECK(y == ints{-5 + 4, -2 + 8, -4 + 12});
}

TEST_CASE("packed weights are prepared on the fly, with all memory in the caller's scratch") {
    fixture f;
    ints expected(f.y.size());
    REQUIRE(conv2d(f.filter, f.in, image_view<std::int32_t>{expected, 2, 5, 6, 4}, f.options));
    for (const std::size_t workers : {1u, 3u}) {
        const std::size_t needed =
            *packed_scratch_bytes<std::uint8_t>(f.filter.matrix, 2 * 5 * 6, {}, workers);
        test::guarded_memory memory(needed);
        const auto scratch = memory.take<std::byte>(needed, test::side::upper);
        std::fill(f.y.begin(), f.y.end(), 77);
        const auto short_of_one = conv2d(f.filter, f.in, f.out, f.options, {}, scratch.subspan(1),
                                         {}, test::thread_executor{workers});
        CHECK(f.named(short_of_one) == "scratch");
        CHECK(f.named(conv2d(f.filter, f.in, f.out, f.options, {}, std::span<std::byte>{})) ==
              "scratch");
        CHECK(f.named(conv2d(f.filter, f.in, f.out, {.padding = 1, .groups = 2}, {}, scratch)) ==
              "groups");
        CHECK(f.named(conv2d(f.filter, f.in, f.out, {.stride = 0}, {}, scratch)) == "stride");
        CHECK(f.named(conv2d(f.filter, f.in, f.out, {}, {}, scratch)) == "y.height");
        REQUIRE(conv2d(f.filter, f.in, f.out, f.options, {}, scratch, {},
                       test::thread_executor{workers}));
        CHECK(f.y == expected);
    }
}

TEST_CASE("a prepared filter tells its shape, options, output and kernel") {
    const fixture f;
    CHECK(f.w.shape() == f.shape);
    CHECK(f.w.options().padding == extent(1));
    CHECK(*f.w.output_shape(5, 6) == extent(5, 6));
    CHECK_FALSE(f.w.output_shape(0, 0));
    CHECK(std::string(f.w.kernel_name()).rfind("dot", 0) == 0);
    CHECK(
        std::string(prepare<std::uint8_t, family::any>(f.filter, {}, {.kernels = family::shift_add})
                        ->kernel_name())
            .rfind("shift_add", 0) == 0);
}

TEST_CASE("float groups meet the scale of their own channels") {
    constexpr std::size_t channels = 6, groups = 3;
    test::random r(1);
    const filter_shape shape{channels, 1, 1, 2};
    const auto weights = test::random_weights<shift3>(r, channels * 2);
    std::vector<float> scale(channels), x(4 * groups * 2), y(4 * channels);
    for (std::size_t m = 0; m < channels; ++m)
        scale[m] = std::ldexp(1.0f, static_cast<int>(m) - 3);
    for (float& v : x)
        v = static_cast<float>(r.between(-9, 9));
    for (const std::size_t scales : {std::size_t{1}, channels}) {
        const auto filter =
            pack_filter<shift3>(weights, shape, filter_order::ohwi,
                                {.exponent_offset = 0, .scale = std::span(scale).first(scales)});
        REQUIRE(filter);
        REQUIRE(conv2d(*filter, image_view<const float>{x, 1, 2, 2, groups * 2},
                       image_view<float>{y, 1, 2, 2, channels}, {.groups = groups}));
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t m = i % channels;
            float sum = 0;
            for (std::size_t c = 0; c < 2; ++c)
                sum += static_cast<float>(weights[m * 2 + c]) *
                       x[i / channels * groups * 2 + m / 2 * 2 + c];
            CHECK(y[i] == sum * scale[scales == 1 ? 0 : m]);
        }
    }
}

TEST_CASE("threads of the host give the same bits, however many") {
    test::random r(2);
    struct layer {
        filter_shape shape;
        std::size_t groups;
        int bits;
    };
    // Ordinary, grouped, depthwise, pointwise, and many channels of few bits.
    for (const layer& l :
         {layer{{17, 3, 3, 5}, 1, 8}, layer{{8, 2, 3, 20}, 4, 8}, layer{{70, 3, 3, 1}, 70, 8},
          layer{{300, 1, 1, 16}, 1, 8}, layer{{64, 3, 3, 64}, 1, 6}})
        for (const family kernels : {family::dot, family::shift_add}) {
            const std::size_t channels = l.shape.in_channels * l.groups;
            const auto weights =
                test::random_weights<shift3>(r, l.shape.out_channels * l.shape.columns());
            const auto filter = *pack_filter<shift3>(weights, l.shape);
            const conv_options o{.padding = 1, .groups = l.groups};
            bytes x(2 * 7 * 5 * channels);
            for (auto& v : x)
                v = static_cast<std::uint8_t>(r.below(1u << l.bits));
            const image_view<const std::uint8_t> in{x, 2, 7, 5, channels};
            const auto w = *prepare<std::uint8_t, family::any>(
                filter, o, {.kernels = kernels, .activation_bits = l.bits});
            const extent out = *w.output_shape(7, 5);
            ints expected(2 * out.height * out.width * l.shape.out_channels);
            reference::conv2d<int, std::uint8_t, std::int32_t>(
                weights, l.shape, in, {expected, 2, out.height, out.width, l.shape.out_channels},
                o);
            for (const std::size_t workers : {1u, 2u, 3u, 5u}) {
                ints y(expected.size(), 77);
                const image_view<std::int32_t> to{y, 2, out.height, out.width,
                                                  l.shape.out_channels};
                REQUIRE(conv2d(w, in, to, {}, test::thread_executor{workers}));
                CAPTURE(workers);
                CAPTURE(std::string(w.kernel_name()));
                CHECK(y == expected);
            }
        }
}

TEST_CASE("images that do not fit are refused by name, and nothing is written") {
    fixture f;
    const auto in = [&](std::size_t n, std::size_t h, std::size_t w, std::size_t c) {
        return image_view<const std::uint8_t>{f.x, n, h, w, c};
    };
    const auto out = [&](std::size_t n, std::size_t h, std::size_t w, std::size_t c) {
        return image_view<std::int32_t>{f.y, n, h, w, c};
    };
    CHECK(f.refused(in(3, 5, 6, 2), f.out) == "image");
    CHECK(f.refused(in(huge, 5, 6, 2), f.out) == "image");
    CHECK(f.refused(in(2, 5, 6, 1), f.out) == "image.channels");
    CHECK(f.refused(in(1, 5, 6, 3), f.out) == "image.channels");
    CHECK(f.refused(in(1, 5, 6, 2), f.out) == "y.batch");
    CHECK(f.refused(in(2, 4, 6, 2), f.out) == "y.height");
    CHECK(f.refused(in(2, 5, 5, 2), f.out) == "y.width");
    CHECK(f.refused(in(2, 0, 6, 2), f.out) == "image.height");
    CHECK(f.refused(in(2, 5, 0, 2), f.out) == "image.width");
    CHECK(f.refused(f.in, out(2, 5, 6, 5)) == "y");
    CHECK(f.refused(f.in, out(huge, huge, huge, huge)) == "y");
    CHECK(f.refused(f.in, out(1, 5, 6, 4)) == "y.batch");
    CHECK(f.refused(f.in, out(2, 4, 6, 4)) == "y.height");
    CHECK(f.refused(f.in, out(2, 5, 5, 4)) == "y.width");
    CHECK(f.refused(f.in, out(2, 5, 6, 3)) == "y.channels");
    const status s = conv2d(f.w, f.in, f.out, {}, f.scratch.span().first(f.scratch.size() - 1));
    CHECK(f.named(s) == "scratch");
    CHECK(s.error().bound == static_cast<double>(f.scratch.size()));
    REQUIRE(conv2d(f.w, f.in, f.out, {}, f.scratch.span()));
    CHECK(f.y[0] == 8);
    CHECK(f.y[7 * 4] == 18);
}

TEST_CASE("options out of range are refused by name, and nothing is written") {
    fixture f;
    CHECK(f.refused({.stride = 0, .padding = 1}) == "stride");
    CHECK(f.refused({.stride = {1, 0}, .padding = 1}) == "stride");
    CHECK(f.refused({.stride = huge, .padding = 1}) == "stride");
    CHECK(f.refused({.padding = huge}) == "padding");
    CHECK(f.refused({.padding = {1, huge / 2}}) == "padding");
    CHECK(f.refused({.padding = 1, .dilation = 0}) == "dilation");
    CHECK(f.refused({.padding = 1, .dilation = huge}) == "dilation");
    CHECK(f.refused({.padding = 1, .dilation = 5}) == "image.height");
    CHECK(f.refused({.padding = 1, .groups = 0}) == "groups");
    CHECK(f.refused({.padding = 1, .groups = 3}) == "groups");
    CHECK(f.refused({.padding = 1, .groups = 8}) == "groups");
    CHECK(f.refused({.padding = 1, .groups = 2}) == "image.channels");
    CHECK(f.refused({.padding = 1, .padding_value = 256}) == "padding_value");
    CHECK(f.refused({.padding = 1, .padding_value = -1}) == "padding_value");
    CHECK(f.refused({.padding = 1, .padding_value = 64}, {.activation_bits = 6}) ==
          "padding_value");
    CHECK(f.refused({.padding = 1}, {.activation_bits = 0}) == "options.activation_bits");
    CHECK(f.refused({.padding = 1}, {.activation_bits = 9}) == "options.activation_bits");
    const auto argument = [](const auto& r) -> std::string {
        return r ? "none" : r.error().argument;
    };
    CHECK(argument(prepare<std::int8_t>(f.filter, {.padding_value = -129})) == "padding_value");
    CHECK(argument(prepare<std::int8_t>(f.filter, {.padding_value = 128})) == "padding_value");
    CHECK(argument(prepare<std::int8_t>(f.filter, {.padding_value = -128})) == "none");
    CHECK(argument(prepare<std::int8_t>(f.filter, {.padding_value = -9}, {.activation_bits = 4})) ==
          "padding_value");
    CHECK(argument(prepare<float>(f.filter, {.padding_value = 1000})) == "none");
    CHECK(f.refused({.padding = 1, .padding_value = 0}, {.activation_bits = 9}) ==
          "options.activation_bits");
}

TEST_CASE("filters that no kernel serves are refused") {
    const auto depthwise = *pack_filter<int8_weights>(std::vector<int>(27, 1), {3, 3, 3, 1});
    const auto code = [](const auto& r) { return r ? errc::ok : r.error().code; };
    CHECK(code(prepare<std::uint8_t, family::any>(
              depthwise, {.groups = 3}, {.kernels = family::shift_add})) == errc::unsupported);
    CHECK(code(prepare(depthwise, {.groups = 3})) == errc::ok);
    const auto depth = static_cast<std::size_t>(max_depth<shift5, std::uint8_t>());
    const auto deep = [&](std::size_t columns) {
        return prepare(
            *pack_filter<shift5>(std::vector<int>(columns, shift5::max_value), {1, 1, columns, 1}),
            {});
    };
    CHECK(code(deep(depth)) == errc::ok);
    CHECK(code(deep(depth + 1)) == errc::depth_exceeded);
}

TEST_CASE("epilogues that do not fit are refused by name, and nothing is written") {
    fixture f;
    const std::vector<float> two{1, 1};
    const ints most(4, std::numeric_limits<std::int32_t>::max());
    const bytes residual(2 * 5 * 6 * 4 - 1);
    CHECK(f.refused(f.in, f.out, {.bias = most}) == "epilogue.bias");
    CHECK(f.refused(f.in, f.out, {.scale = two}) == "epilogue.scale");
    CHECK(f.refused(f.in, f.out, {.zero_point = 99999}) == "epilogue.zero_point");
    bytes y8(f.y.size(), 77);
    const image_view<std::uint8_t> out{y8, 2, 5, 6, 4};
    CHECK(f.named(conv2d(f.w, f.in, out, {.scale = two})) == "epilogue.scale");
    CHECK(f.named(conv2d(f.w, f.in, out, {.residual = std::span<const std::uint8_t>(residual)})) ==
          "epilogue.residual");
    CHECK(y8 == bytes(y8.size(), 77));

    // Groups have biases of their own; too few of them end where nothing may be read.
    const auto grouped = *pack_filter<shift3>(std::vector<int>(36, 1), {4, 3, 3, 1});
    test::guarded_memory memory(4096);
    const auto bias = memory.take<std::int32_t>(3, test::side::upper);
    CHECK(f.named(conv2d(grouped, f.in, f.out, {.padding = 1, .groups = 2}, {.bias = bias})) ==
          "epilogue.bias");
    const ints last{0, 0, 0, std::numeric_limits<std::int32_t>::max()};
    CHECK(f.named(conv2d(grouped, f.in, f.out, {.padding = 1, .groups = 2}, {.bias = last})) ==
          "epilogue.bias");
}

TEST_CASE("an empty convolution is done at once, whatever it claims") {
    const auto none = *pack_filter<shift3>(std::vector<int>(), {0, 1, 1, huge / 2});
    const image_view<const std::uint8_t> nothing{{}, 1, 0, 0, huge / 2};
    CHECK(conv2d(none, nothing, image_view<std::int32_t>{{}, 1, 2, 2, 0}, {.padding = 1}));
    CHECK_FALSE(prepare(none, {.groups = huge / 2}));
    const fixture f;
    CHECK(conv2d(f.w, image_view<const std::uint8_t>{{}, 0, 5, 6, 2},
                 image_view<std::int32_t>{{}, 0, 5, 6, 4}));
    // Filters of no channel see nothing: the bias alone.
    const auto blind = *pack_filter<shift3>(std::vector<int>(), {2, 1, 1, 0});
    ints y(8, 77);
    const ints bias{5, 6};
    REQUIRE(conv2d(blind, image_view<const std::uint8_t>{{}, 1, 2, 2, 0},
                   image_view<std::int32_t>{y, 1, 2, 2, 2}, {}, {.bias = bias}));
    CHECK(y == ints{5, 6, 5, 6, 5, 6, 5, 6});
}

TEST_CASE("what no image can mend is refused when a filter is prepared") {
    const auto filter = *pack_filter<shift3>(std::vector<int>(9, 1), {1, 3, 3, 1});
    const auto argument = [](const auto& p) {
        return std::string(p ? "none" : p.error().argument);
    };
    CHECK(argument(prepare(filter, {.stride = {1, 0}})) == "stride");
    CHECK(argument(prepare(filter, {.stride = {0, 1}})) == "stride");
    CHECK(argument(prepare(filter, {.dilation = {1, 0}})) == "dilation");
    const auto flat = pack_filter<shift3>(std::vector<int>(), {1, 0, 3, 1});
    if (flat)
        CHECK(argument(prepare(*flat, conv_options{})) == "filter.shape");
}

TEST_CASE("a filter whose matrix has another shape is refused, by whatever would read it") {
    const auto matrix = [] { return *pack<shift3>(std::vector<int>(20, 1), 2, 10); };
    for (const auto& [shape, name] :
         {std::pair{filter_shape{4, 1, 1, 10}, "filter.shape.out_channels"},
          {filter_shape{1, 1, 1, 10}, "filter.shape.out_channels"},
          {filter_shape{2, 3, 3, 8}, "filter.shape"},
          {filter_shape{2, 1, 1, 9}, "filter.shape"}}) {
        const packed_filter<shift3> filter{matrix(), shape};
        const auto p = prepare(filter, conv_options{.padding = 1});
        REQUIRE(!p);
        CHECK(p.error().code == errc::shape_mismatch);
        CHECK(std::string_view(p.error().argument) == name);
        std::vector<std::uint8_t> x(4 * shape.in_channels, 1), y(36);
        CHECK(!conv2d(filter, image_view<const std::uint8_t>{x, 1, 2, 2, shape.in_channels},
                      image_view<std::uint8_t>{y, 1, 2, 2, shape.out_channels},
                      conv_options{.padding = 1}));
    }
}

TEST_CASE("a group meets the bias and the scale of its own channels, whole vectors of them too") {
    test::random r(6);
    for (const std::size_t each : {std::size_t{1}, std::size_t{5}, std::size_t{37}}) { // channels
        constexpr std::size_t groups = 3, pixels = 4;
        const std::size_t channels = groups * each;
        const filter_shape shape{channels, 1, 1, 2};
        const auto weights = test::random_weights<shift3>(r, channels * 2);
        const auto filter = *pack_filter<shift3>(weights, shape);
        std::vector<std::uint8_t> x(pixels * groups * 2);
        for (auto& v : x)
            v = static_cast<std::uint8_t>(r.between(0, 255));
        std::vector<std::int32_t> bias(channels);
        std::vector<float> scale(channels);
        for (std::size_t m = 0; m < channels; ++m) {
            bias[m] = static_cast<std::int32_t>(10 * m);
            scale[m] = 1.0f / static_cast<float>(1 + m);
        }
        const auto w = *prepare(filter, {.groups = groups});
        std::vector<std::int32_t> sums(pixels * channels);
        std::vector<std::uint8_t> narrow(sums.size());
        const image_view<const std::uint8_t> in{x, 1, 2, 2, groups * 2};
        const epilogue e{.scale = scale, .bias = bias};
        REQUIRE(conv2d(w, in, image_view<std::int32_t>{sums, 1, 2, 2, channels}, {.bias = bias}));
        REQUIRE(conv2d(w, in, image_view<std::uint8_t>{narrow, 1, 2, 2, channels}, e));
        for (std::size_t i = 0; i < sums.size(); ++i) {
            const std::size_t m = i % channels;
            std::int32_t sum = 0;
            for (std::size_t c = 0; c < 2; ++c)
                sum += weights[m * 2 + c] * x[i / channels * groups * 2 + m / each * 2 + c];
            REQUIRE(sums[i] == sum + bias[m]);
            REQUIRE(narrow[i] == finish<std::uint8_t>(sum, m, i, e));
        }
    }
}

TEST_CASE("a convolution applies the scales that its weights record") {
    const std::vector<float> scale{2, 3};
    for (const std::size_t channels : {1u, 40u}) {
        const filter_shape shape{2, 1, 1, channels};
        const auto filter =
            packed_filter<shift3>{*pack<shift3>(std::vector<float>(2 * channels, 0.5f), 2, channels,
                                                {.exponent_offset = -1, .scale = scale}),
                                  shape};
        std::vector<std::uint8_t> x(3 * channels, 4), y(6);
        const image_view<std::uint8_t> in{x, 1, 1, 3, channels}, out{y, 1, 1, 3, 2};
        const std::vector<float> down{1.0f / static_cast<float>(channels)};
        const auto w = *prepare(filter, conv_options{});
        REQUIRE(conv2d(w, in, out, {.scale = down}));
        CHECK(y == std::vector<std::uint8_t>{4, 6, 4, 6, 4, 6});
        std::vector<float> reals(6);
        REQUIRE(conv2d(w, in, image_view<float>{reals, 1, 1, 3, 2}, {.scale = down}));
        CHECK(reals == std::vector<float>{4, 6, 4, 6, 4, 6});
    }
}
