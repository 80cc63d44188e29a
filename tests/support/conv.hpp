#pragma once
// Differential test of the convolution: shapes, options, orders and epilogues at random, every
// kernel of some architectures against the reference, with guard pages around all buffers.
// cases.hpp says what the environment can ask for.

#include <s3/kernel/reference.hpp>
#include <s3/ops/conv2d.hpp>

#include "matmul.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace s3::test {

/// The families and batches under which weights are prepared: they decide which kernel serves.
inline constexpr family families[] = {family::automatic, family::dot, family::shift_add};
inline constexpr std::size_t column_hints[] = {1, 64};

struct conv_case {
    filter_shape filter;
    conv_options options;
    std::size_t batch, height, width;
    image_order in_order, out_order;
    int activation_bits;
};

inline std::string describe(const conv_case& c) {
    std::ostringstream s;
    s << "filter " << c.filter.out_channels << "x" << c.filter.height << "x" << c.filter.width
      << "x" << c.filter.in_channels << ", groups " << c.options.groups << ", stride "
      << c.options.stride.height << "," << c.options.stride.width << ", padding "
      << c.options.padding.height << "," << c.options.padding.width << " of "
      << c.options.padding_value << ", dilation " << c.options.dilation.height << ","
      << c.options.dilation.width << ", image " << c.batch << "x" << c.height << "x" << c.width
      << (c.in_order == image_order::nhwc ? " nhwc" : " nchw")
      << (c.out_order == image_order::nhwc ? " to nhwc" : " to nchw") << ", activations of "
      << c.activation_bits << " bits";
    return s.str();
}

enum class conv_kind : unsigned char { any, pointwise, depthwise, line, square, deep, odd };

/// Draws until the filter fits the image.
template <activation X>
[[nodiscard]] conv_case draw_conv(random& r, conv_kind kind) {
    const std::size_t channels[] = {1, 2, 3, 4, 5, 8, 16, 17, 20, 32, 36};
    const std::size_t outputs[] = {1, 2, 3, 8, 15, 16, 17, 33, 40, 65};
    const std::size_t many[] = {2, 3, 16, 63, 64, 65, 130};
    for (;;) {
        conv_case c{};
        auto& f = c.filter;
        auto& o = c.options;
        f.height = kind == conv_kind::line ? 1 : 1 + r.below(3);
        f.width = 1 + r.below(4);
        f.in_channels = channels[r.below(std::size(channels))];
        o.groups = r.below(3) == 0 ? 1 + r.below(4) : 1;
        f.out_channels = o.groups * outputs[r.below(o.groups == 1 ? std::size(outputs) : 5)];
        c.batch = r.below(8) == 0 ? r.below(4) : 1;
        c.height = kind == conv_kind::line ? 1 : 1 + r.below(8);
        c.width = 1 + r.below(kind == conv_kind::line ? 40 : 9);
        o.stride = {1 + r.below(3), 1 + r.below(3)};
        o.padding = {kind == conv_kind::line ? 0 : r.below(3), r.below(3)};
        o.dilation = {1 + r.below(2), 1 + r.below(3)};
        if (kind == conv_kind::pointwise)
            f.height = f.width = 1, o.padding = 0, o.stride = 1 + r.below(2);
        if (kind == conv_kind::depthwise) {
            o.groups = many[r.below(std::size(many))];
            f.in_channels = 1;
            // Two outputs a channel are a grouped convolution, not a depthwise one.
            f.out_channels = o.groups * (r.below(5) == 0 ? 2 : 1);
        }
        const int promises[] = {8, 8, 6, 4};
        c.activation_bits = promises[r.below(std::size(promises))];
        if (kind == conv_kind::square) { // many channels under 3 × 3, as Winograd wants them
            f = {64 + r.below(3) * r.below(40), 3, 3, 64 + r.below(3) * r.below(40)};
            o.groups = o.stride.height = o.stride.width = 1;
            o.dilation = 1;
            c.activation_bits = 6 - 2 * static_cast<int>(r.below(2));
        }
        if (kind == conv_kind::deep) { // several tiles of weights, with taps that see padding alone
            const std::size_t blocks = 32 * (4 + r.below(5)), steps = 4 * (30 + r.below(20));
            f = {1 + r.below(130), 3, 1 + r.below(3), r.below(2) == 0 ? blocks : steps};
            o.groups = 1;
            o.padding = {1 + r.below(2), 1 + r.below(2)};
            c.height = 1 + r.below(9);
        }
        if (kind == conv_kind::odd) { // wide steps, a long line, as many groups as channels
            f.height = f.width = 3 + 2 * r.below(2);
            o.stride = {1 + r.below(4), 1 + r.below(4)};
            o.dilation = {1 + r.below(3), 1 + r.below(3)};
            o.padding = {r.below(7), r.below(7)};
            const bool line = r.below(4) == 0;
            c.height = 1 + r.below(line ? 2 : 20);
            c.width = 1 + r.below(line ? 224 : 20);
            if (r.below(2) == 0)
                std::swap(c.height, c.width);
            f.in_channels = 1 + r.below(8);
            o.groups = r.below(2) == 0 ? 1 + r.below(20) : 1;
            f.out_channels = o.groups * (1 + r.below(4));
        }
        if (r.below(2) == 0)
            o.padding_value =
                static_cast<int>(draw_activation<X>(r, fill::alternating, c.activation_bits));
        c.in_order = r.below(3) == 0 ? image_order::nchw : image_order::nhwc;
        c.out_order = r.below(3) == 0 ? image_order::nchw : image_order::nhwc;
        if (output_extent(c.height, c.width, f, o))
            return c;
    }
}

template <weight_format F, activation X, class Archs>
class conv_suite {
public:
    using sum = std::conditional_t<std::same_as<X, float>, float, std::int32_t>;

    explicit conv_suite(std::uint64_t seed) : cases_(seed) {}

    /// `count` cases, as often as S3_TEST_ROUNDS is more than by default.
    void run(conv_kind kind, std::uint64_t count) {
        count = (count * setting("S3_TEST_ROUNDS", 4) + 3) / 4;
        for (std::uint64_t i = 0; i < count; ++i)
            if (cases_.next(random_))
                check(draw_conv<X>(random_, kind));
        cases_.report();
    }

private:
    void check(const conv_case& c) {
        const auto& f = c.filter;
        const auto& o = c.options;
        const extent out = *output_extent(c.height, c.width, f, o);
        const auto any_fill = [&] { return fills[random_.below(std::size(fills))]; };
        const auto weights = draw_weights<F>(random_, f.out_channels * f.columns(), any_fill());
        const fill x_fill = any_fill();
        const auto where = random_.below(2) == 0 ? side::lower : side::upper;
        const std::size_t channels = f.in_channels * o.groups;
        const auto x = x_memory_.take<X>(c.batch * c.height * c.width * channels, where);
        for (X& v : x) // floats are small integers, whose sums are exact
            v = draw_activation<X>(random_, std::same_as<X, float> ? fill::alternating : x_fill,
                                   c.activation_bits);
        const image_view<const X> in{x, c.batch, c.height, c.width, channels, c.in_order};

        std::vector<std::int64_t> exact(c.batch * out.height * out.width * f.out_channels);
        reference::conv2d<int, X, std::int64_t>(
            weights, f, in, {exact, c.batch, out.height, out.width, f.out_channels, c.out_order},
            o);

        const auto packed = pack_filter<F>(weights, f);
        REQUIRE(packed);
        Archs::each([&]<class Arch>() {
            for (const family kernels : families)
                for (const std::size_t columns : column_hints) {
                    const prepare_options g{columns, kernels, c.activation_bits,
                                            c.in_order == image_order::nchw || columns == 1};
                    const auto w = prepare<X, family::any, Arch>(*packed, o, g);
                    if (!w) {
                        if (w.error().code == errc::depth_exceeded && too_deep(*packed, c))
                            continue;
                        if (w.error().code != errc::unsupported || F::is_shift ||
                            kernels != family::shift_add)
                            note(w.error().message(), Arch::name, c);
                        continue;
                    }
                    const char* const family_name = kernels == family::dot         ? "dot"
                                                    : kernels == family::shift_add ? "shift_add"
                                                                                   : "";
                    if (std::string(w->kernel_name()).rfind(family_name, 0) != 0)
                        note(w->kernel_name(), Arch::name, c);
                    if constexpr (std::same_as<X, float>) {
                        compare(*w, in, c, out, exact, where, float_epilogue{},
                                [&](std::size_t i) { return static_cast<float>(exact[i]); });
                    } else {
                        compare(*w, in, c, out, exact, where, epilogue{},
                                [&](std::size_t i) { return static_cast<std::int32_t>(exact[i]); });
                        fused(*w, in, c, out, exact, where);
                    }
                }
        });
    }

    [[nodiscard]] static bool too_deep(const packed_filter<F>& w, const conv_case& c) {
        const auto& sums = w.matrix.abs_sums();
        const std::int64_t most = sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
        const int largest = std::same_as<X, std::int8_t> ? 1 << (c.activation_bits - 1)
                                                         : (1 << c.activation_bits) - 1;
        return most * largest > std::numeric_limits<std::int32_t>::max();
    }

    /// uint8 outputs, with everything that has a place per channel or per output.
    template <class Filter>
    void fused(const Filter& w, const image_view<const X>& in, const conv_case& c,
               const extent& out, const std::vector<std::int64_t>& exact, side where) {
        const std::size_t channels = c.filter.out_channels;
        std::vector<float> scale(channels);
        std::vector<std::int32_t> bias(channels);
        for (std::size_t m = 0; m < channels; ++m) {
            scale[m] = std::ldexp(1 + static_cast<float>(m % 7) / 8, -5 - static_cast<int>(m % 5));
            bias[m] = static_cast<std::int32_t>(m % 13) * 17 - 80;
        }
        std::vector<std::int8_t> residual(exact.size());
        for (std::size_t i = 0; i < residual.size(); ++i)
            residual[i] = static_cast<std::int8_t>(i * 37 % 251);
        const epilogue e{.scale = scale,
                         .bias = bias,
                         .activation = relu,
                         .zero_point = 9,
                         .residual = std::span<const std::int8_t>(residual),
                         .residual_scale = 0.5f};
        const std::size_t plane = out.height * out.width;
        compare(w, in, c, out, exact, where, e, [&](std::size_t i) {
            const std::size_t m =
                c.out_order == image_order::nhwc ? i % channels : i / plane % channels;
            return finish<std::uint8_t>(static_cast<std::int32_t>(exact[i]), m, i, e);
        });
    }

    template <class Filter, class Epilogue, class Expected>
    void compare(const Filter& w, const image_view<const X>& in, const conv_case& c,
                 const extent& out, const std::vector<std::int64_t>& exact, side where,
                 const Epilogue& e, Expected&& expected) {
        using Y = decltype(expected(0));
        using arch = typename std::remove_cvref_t<decltype(w.groups()[0])>::architecture_type;
        const auto y = y_memory_.take<Y>(exact.size(), where);
        std::memset(y.data(), 0x5a, y.size_bytes());
        const auto scratch = scratch_memory_.take<std::byte>(scratch_bytes(w, c.batch, out), where);
        const image_view<Y> to{y,          c.batch, out.height, out.width, c.filter.out_channels,
                               c.out_order};
        const status done = conv2d(w, in, to, e, scratch);
        cases_.count();
        const std::string kernel = std::string(arch::name) + " " + w.kernel_name() + " to " +
                                   std::to_string(sizeof(Y)) + " bytes";
        if (!done)
            return note(done.error().message(), kernel, c);
        for (std::size_t i = 0; i < y.size(); ++i)
            if (y[i] != expected(i))
                return note("y[" + std::to_string(i) + "] = " + std::to_string(y[i]) +
                                " instead of " + std::to_string(expected(i)),
                            kernel, c);
    }

    void note(const std::string& what, const std::string& kernel, const conv_case& c) {
        cases_.mismatch(kernel + ", " + describe(c) + ": " + what);
    }

    cases cases_;
    random random_{0};
    guarded_memory x_memory_{1 << 20}, y_memory_{1 << 20}, scratch_memory_{1 << 24};
};

} // namespace s3::test
