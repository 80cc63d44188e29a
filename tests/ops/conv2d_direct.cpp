// The kernels that convolve bytes without a gather equal the reference: windows of few channels,
// and depthwise by interleaved rows. Shapes lie around their tiles, spans and lines; guard
// pages around all buffers.

#include <s3/kernel/reference.hpp>
#include <s3/ops/conv2d.hpp>

#include "../support/archs.hpp"
#include "../support/guarded.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

using namespace s3;

namespace {

struct problem {
    filter_shape filter;
    std::size_t batch, height, width;
    conv_options options;
};

/// Draws until the filter fits the image.
template <class Draw>
problem draw(test::random& r, Draw&& shape) {
    for (;;) {
        problem p = shape();
        auto& o = p.options;
        o.stride = {1 + r.below(3), 1 + r.below(3)};
        o.padding = {r.below(4), r.below(5)};
        if (r.below(2) == 0)
            o.padding_value = static_cast<int>(r.below(128));
        if (output_extent(p.height, p.width, p.filter, o))
            return p;
    }
}

problem few_channels(test::random& r) {
    return draw(r, [&] {
        problem p{};
        p.filter = {1 + r.below(r.below(4) == 0 ? 70 : 20), 1 + r.below(4), 1 + r.below(9),
                    1 + r.below(r.below(4) == 0 ? 40 : 9)};
        p.batch = 1 + r.below(8) / 7;
        const bool wide = r.below(6) == 0;
        p.height = wide ? 1 + r.below(3) : 1 + r.below(9);
        p.width = wide ? 100 + r.below(200) : 1 + r.below(40);
        p.options.dilation = {1 + r.below(3), p.filter.width == 1 ? 1 + r.below(2) : 1};
        return p;
    });
}

/// 1 × 1 filters, mostly as networks have them: without padding, whole vectors of rows.
problem pointwise(test::random& r) {
    problem p{};
    p.filter = {r.below(3) == 0 ? 1 + r.below(70) : 32 * (1 + r.below(3)), 1, 1, 1 + r.below(70)};
    p.batch = 1 + r.below(3);
    p.height = 1 + r.below(12);
    p.width = 1 + r.below(r.below(6) == 0 ? 240 : 30);
    p.options.stride = r.below(3) == 0 ? 1 + r.below(3) : 1;
    if (r.below(6) == 0)
        p.options.padding = {r.below(2), r.below(2)};
    return p;
}

problem depthwise(test::random& r) {
    return draw(r, [&] {
        problem p{};
        const std::size_t channels = 2 + r.below(r.below(3) == 0 ? 200 : 40);
        p.filter = {channels, 1 + r.below(6), 1 + r.below(6), 1};
        p.batch = 1 + r.below(8) / 7;
        p.height = 1 + r.below(9);
        p.width = 1 + r.below(r.below(3) == 0 ? 90 : 20);
        p.options.dilation = {1 + r.below(3), 1 + r.below(3)};
        p.options.groups = channels;
        return p;
    });
}

/// Compiles kernels of one family alone.
template <family Kernels = family::dot>
class checker {
public:
    template <weight_format F, activation X, class Arch>
    void check(test::random& r, const problem& p, const char* kernel) {
        const auto& f = p.filter;
        const extent out = *output_extent(p.height, p.width, f, p.options);
        auto weights = test::random_weights<F>(r, f.out_channels * f.columns());
        if (r.below(4) == 0)
            std::fill(weights.begin(), weights.end(),
                      r.below(2) == 0 ? F::max_value : F::min_value);
        const auto where = r.below(2) == 0 ? test::side::lower : test::side::upper;
        const std::size_t channels = f.in_channels * p.options.groups;
        const auto x = x_.take<X>(p.batch * p.height * p.width * channels, where);
        const bool extreme = r.below(4) == 0;
        for (X& v : x)
            v = extreme ? std::numeric_limits<X>::max() : static_cast<X>(r());
        const image_view<const X> in{x, p.batch, p.height, p.width, channels};
        std::vector<std::int32_t> exact(p.batch * out.height * out.width * f.out_channels);
        reference::conv2d<int, X, std::int32_t>(
            weights, f, in, {exact, p.batch, out.height, out.width, f.out_channels}, p.options);

        const auto w = *prepare<X, Kernels, Arch>(*pack_filter<F>(weights, f), p.options);
        if (std::string_view(w.kernel_name()).find(kernel) != std::string_view::npos)
            ++direct_;
        const std::string context = std::string(Arch::name) + " " + w.kernel_name();
        const auto compare = [&]<class Y>(const epilogue& e, image_order order, Y) {
            const auto y = y_.take<Y>(exact.size(), where);
            std::memset(y.data(), 0x5a, y.size_bytes());
            const image_view<Y> to{y, p.batch, out.height, out.width, f.out_channels, order};
            const auto scratch = scratch_.take<std::byte>(scratch_bytes(w, p.batch, out), where);
            CAPTURE(context);
            REQUIRE(conv2d(w, in, to, e, scratch));
            ++cases_;
            bool same = true;
            for (std::size_t i = 0; i < y.size(); ++i) {
                const std::size_t m = i % f.out_channels, n = i / f.out_channels;
                const std::size_t plane = out.height * out.width;
                const std::size_t at = order == image_order::nhwc
                                           ? i
                                           : (n / plane * f.out_channels + m) * plane + n % plane;
                same = same && y[at] == finish<Y>(exact[i], m, at, e);
            }
            CAPTURE(f.out_channels);
            CAPTURE(f.height);
            CAPTURE(f.width);
            CAPTURE(f.in_channels);
            CAPTURE(p.height);
            CAPTURE(p.width);
            CAPTURE(p.options.stride.width);
            CAPTURE(p.options.padding.width);
            CAPTURE(p.options.dilation.width);
            CAPTURE(sizeof(Y));
            CHECK(same);
        };
        compare(epilogue{}, image_order::nhwc, std::int32_t{});
        std::vector<float> scale(f.out_channels);
        std::vector<std::int32_t> bias(f.out_channels);
        for (std::size_t m = 0; m < f.out_channels; ++m) {
            scale[m] = std::ldexp(1 + static_cast<float>(m % 7) / 8, -7 - static_cast<int>(m % 5));
            bias[m] = static_cast<std::int32_t>(m % 13) * 170 - 800;
        }
        std::vector<std::uint8_t> shift(f.out_channels, 3), residual(exact.size());
        for (std::size_t i = 0; i < residual.size(); ++i)
            residual[i] = static_cast<std::uint8_t>(i * 37 % 251);
        epilogue e{.scale = scale, .bias = bias, .activation = relu, .zero_point = 9};
        compare(e, image_order::nhwc, std::uint8_t{});
        compare(e, image_order::nchw, std::int8_t{});
        e.residual = std::span<const std::uint8_t>(residual);
        compare(e, image_order::nhwc, std::uint8_t{});
        e.scale = {};
        e.shift = shift;
        compare(e, image_order::nhwc, std::int8_t{});
    }

    template <weight_format F, activation X>
    void run(std::uint64_t seed, int cases, problem (*draw_problem)(test::random&),
             const char* kernel) {
        test::random r(seed);
        for (int i = 0; i < cases; ++i) {
            const problem p = draw_problem(r);
            // Poorer architectures with one format and type: the rest is the same code.
            if constexpr (std::same_as<F, shift3> && std::same_as<X, std::uint8_t>)
                test::main_archs::each([&]<class Arch>() {
                    if constexpr (simd::has_bytes<Arch>)
                        check<F, X, Arch>(r, p, kernel);
                });
            else
                check<F, X, arch::native>(r, p, kernel);
        }
        // The kernel that is meant is the one that ran.
        if constexpr (simd::has_bytes<arch::native>)
            CHECK(direct_ > cases_ / 5 * 9 / 10);
    }

private:
    test::guarded_memory x_{1 << 20}, y_{1 << 22}, scratch_{1 << 24};
    std::size_t cases_ = 0, direct_ = 0;
};

/// Several workers, each with scratch of its own, give the same bits.
template <activation X>
void check_workers(std::uint64_t seed, problem (*draw_problem)(test::random&)) {
    test::random r(seed);
    for (int i = 0; i < 20; ++i) {
        const problem p = draw_problem(r);
        const auto& f = p.filter;
        const extent out = *output_extent(p.height, p.width, f, p.options);
        const auto weights = test::random_weights<shift3>(r, f.out_channels * f.columns());
        const auto w = *prepare<X, family::dot>(*pack_filter<shift3>(weights, f), p.options);
        std::vector<X> x(p.batch * p.height * p.width * f.in_channels * p.options.groups);
        for (X& v : x)
            v = static_cast<X>(r());
        const image_view<const X> in{x, p.batch, p.height, p.width,
                                     f.in_channels * p.options.groups};
        std::vector<std::int32_t> one(p.batch * out.height * out.width * f.out_channels);
        std::vector<std::int32_t> two(one.size());
        const auto to = [&](std::vector<std::int32_t>& y) {
            return image_view<std::int32_t>{y, p.batch, out.height, out.width, f.out_channels};
        };
        reference::conv2d<int, X, std::int32_t>(weights, f, in, to(one), p.options);
        REQUIRE(conv2d(w, in, to(two), {}, test::thread_executor{2}));
        CHECK(one == two);
    }
}

} // namespace

TEST_CASE("convolutions with few channels are exact") {
    checker<> c;
    c.run<shift3, std::uint8_t>(1, 150, few_channels, "dot_bytes_direct");
    c.run<shift3, std::int8_t>(2, 100, few_channels, "dot_bytes_direct");
}
#if !defined(S3_TEST_BRIEF)
TEST_CASE("convolutions with few channels are exact whatever the size of the weights") {
    checker<> c;
    c.run<shift4, std::uint8_t>(3, 40, few_channels, "dot_bytes_direct");
    c.run<int8_weights, std::int8_t>(4, 60, few_channels, "dot_bytes_direct");
}
#endif
TEST_CASE("1 × 1 convolutions are exact, in place and from registers") {
    checker<> c;
    c.run<shift3, std::uint8_t>(13, 150, pointwise, "dot_bytes_direct");
    c.run<shift2, std::int8_t>(14, 60, pointwise, "dot_bytes_direct");
}
TEST_CASE("depthwise convolutions of bytes are exact") {
    checker<> c;
    c.run<shift3, std::uint8_t>(5, 150, depthwise, "dot_bytes_depthwise");
    c.run<shift3, std::int8_t>(6, 100, depthwise, "dot_bytes_depthwise");
}
#if !defined(S3_TEST_BRIEF)
TEST_CASE("depthwise convolutions are exact whatever the size of the weights") {
    checker<> c;
    c.run<shift4, std::uint8_t>(7, 40, depthwise, "dot_bytes_depthwise");
    c.run<int8_weights, std::int8_t>(8, 60, depthwise, "dot_bytes_depthwise");
}
#endif
TEST_CASE("depthwise convolutions by shifts are exact") {
    checker<family::shift_add> c;
    c.run<shift3, std::uint8_t>(11, 60, depthwise, "shift_add_words_depthwise");
    c.run<dense4, std::int8_t>(12, 60, depthwise, "shift_add_words_depthwise");
}
TEST_CASE("two workers convolve few channels and depthwise as one does") {
    check_workers<std::uint8_t>(9, few_channels);
    check_workers<std::uint8_t>(15, pointwise);
    check_workers<std::int8_t>(10, depthwise);
}
