#include <s3/kernel/reference.hpp>
#include <s3/ops/conv2d.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string_view>
#include <vector>

namespace {

/// Winograd equals the definition bit for bit: all of `weights` and activations up to 63, the first
/// rows with the extreme weights of either sign.
template <class F, class Arch>
void check(std::size_t height, std::size_t width, std::size_t channels, std::size_t rows,
           s3::extent padding, int padding_value) {
    CAPTURE(height);
    CAPTURE(width);
    CAPTURE(channels);
    CAPTURE(rows);
    std::mt19937 random(11);
    const s3::filter_shape shape{rows, 3, 3, channels};
    std::vector<int> weights(rows * shape.columns());
    for (auto& w : weights)
        do
            w = F::value(random() % unsigned{F::codes});
        while (F::code_of(w) < 0);
    for (std::size_t i = 0; i < shape.columns(); ++i) {
        weights[i] = F::max_value;
        weights[shape.columns() + i] = i / channels % 2 == 0 ? F::max_value : F::min_value;
    }
    std::vector<std::uint8_t> x(2 * height * width * channels);
    for (auto& v : x)
        v = static_cast<std::uint8_t>(random() % 3 == 0 ? 63 : random() % 64);

    const auto filter = s3::pack_filter<F>(weights, shape);
    REQUIRE(filter);
    const s3::conv_options options{.padding = padding, .padding_value = padding_value};
    const auto prepared =
        s3::prepare<std::uint8_t, s3::family::any, Arch>(*filter, options, {.activation_bits = 6});
    REQUIRE(prepared);
    CHECK(std::string_view(prepared->kernel_name()) == "dot_bytes_winograd");
    const auto out = prepared->output_shape(height, width);
    REQUIRE(out);
    std::vector<std::int32_t> y(2 * out->height * out->width * rows), expected(y.size());
    const s3::image_view<const std::uint8_t> image{x, 2, height, width, channels};
    const s3::image_view<std::int32_t> result{y, 2, out->height, out->width, rows};
    s3::image_view<std::int32_t> truth = result;
    truth.data = expected;
    s3::reference::conv2d(std::span<const int>(weights), shape, image, truth, options);
    CHECK(s3::conv2d(*prepared, image, result));
    CHECK(y == expected);
}

template <class Arch>
void check_all() {
    if constexpr (s3::kernel::has_winograd<s3::shift3, Arch>) {
        for (const std::size_t height : {3u, 4u, 7u})
            for (const std::size_t width : {3u, 6u, 9u})
                check<s3::shift3, Arch>(height, width, 64, 64, 1, 0);
        check<s3::shift3, Arch>(5, 5, 64, 64, 0, 0);
        check<s3::shift3, Arch>(5, 4, 65, 67, s3::extent(2, 1), 63);
        check<s3::shift3, Arch>(20, 20, 127, 130, 1, 5); // more tiles than are transformed at once
    }
}

TEST_CASE("Winograd equals the direct sum") {
    check_all<s3::arch::native>();
    if constexpr (s3::kernel::has_winograd<s3::dense3, s3::arch::native>)
        check<s3::dense3, s3::arch::native>(5, 6, 128, 64, 1, 0); // the largest weights
#if defined(__AVX2__) && defined(__FMA__)
    check_all<s3::arch::avx2>();
#endif
}

TEST_CASE("Winograd is chosen only where it is exact and pays") {
    const s3::filter_shape shape{64, 3, 3, 64};
    const std::vector<int> ones(64 * shape.columns(), 1);
    const auto name = [&](const s3::conv_options& o, const s3::prepare_options& g) {
        const auto filter = s3::pack_filter<s3::shift3>(ones, shape);
        const auto p = s3::prepare<std::uint8_t, s3::family::any>(*filter, o, g);
        return std::string_view(p ? p->kernel_name() : "error");
    };
    CHECK(name({.padding = 1}, {.activation_bits = 7}) != "dot_bytes_winograd");
    CHECK(name({.stride = 2}, {.activation_bits = 6}) != "dot_bytes_winograd");
    CHECK(name({.dilation = 2}, {.activation_bits = 6}) != "dot_bytes_winograd");
    CHECK(name({.padding_value = 64}, {.activation_bits = 6}) != "dot_bytes_winograd");
    CHECK(name({}, {.kernels = s3::family::shift_add, .activation_bits = 6}) !=
          "dot_bytes_winograd");
}

TEST_CASE("Winograd is not chosen where four times a sum could overflow") {
    using kernel = s3::kernel::dot_bytes_winograd<s3::dense3, std::uint8_t, s3::arch::native>;
    for (const int bits : {1, 4, 6}) {
        s3::kernel::convolution_request r;
        r.shape = {64, 3, 3, 64};
        r.activation_bits = bits;
        r.abs_sum = ((1 << 29) - 1) / ((1 << bits) - 1); // Σ|w|·x < 2^29
        CHECK(kernel::rank(r) > 0);
        ++r.abs_sum;
        CHECK(kernel::rank(r) == 0);
    }
}

TEST_CASE("Winograd is exact as deep as four times a sum fits, and so is what replaces it beyond") {
    for (const std::size_t beyond : {0u, 1u}) {
        // A row of the largest weights, as deep as fits and one channel deeper.
        const std::size_t most = ((1 << 29) - 1) / 63 / 72, channels = most + beyond;
        const s3::filter_shape shape{64, 3, 3, channels};
        std::vector<std::int8_t> weights(64 * shape.columns(), 1);
        std::fill_n(weights.begin(), shape.columns(), 8);
        const auto filter = s3::pack_filter<s3::dense3>(weights, shape);
        REQUIRE(filter);
        const s3::conv_options options{.padding = 1};
        const auto p = s3::prepare<std::uint8_t>(*filter, options, {.activation_bits = 6});
        REQUIRE(p);
        CHECK((std::string_view(p->kernel_name()) == "dot_bytes_winograd") ==
              (beyond == 0 && s3::kernel::has_winograd<s3::dense3, s3::arch::native>));
        const std::vector<std::uint8_t> x(9 * channels, 63);
        std::vector<std::int32_t> y(64 * 9);
        CHECK(s3::conv2d(*p, s3::image_view<const std::uint8_t>{x, 1, 3, 3, channels},
                         s3::image_view<std::int32_t>{y, 1, 3, 3, 64}));
        CHECK(std::int64_t{y[4 * 64]} ==
              std::int64_t{63} * 72 * static_cast<std::int64_t>(channels));
    }
}

TEST_CASE("images in channel planes go through the gather") {
    std::vector<std::uint8_t> x(64 * 16, 1);
    const s3::filter_shape shape{64, 3, 3, 64};
    const std::vector<int> ones(64 * shape.columns(), 1);
    const auto filter = s3::pack_filter<s3::shift3>(ones, shape);
    const auto p = s3::prepare<std::uint8_t>(*filter, s3::conv_options{},
                                             {.activation_bits = 6, .any_order = true});
    REQUIRE(p);
    std::vector<std::int32_t> y(64 * 4);
    CHECK(s3::conv2d(*p, s3::image_view<const std::uint8_t>{x, 1, 4, 4, 64, s3::image_order::nchw},
                     s3::image_view<std::int32_t>{y, 1, 2, 2, 64}));
    for (const auto v : y)
        CHECK(v == 9 * 64);
}

TEST_CASE("one layout is kept unless images may be of any order, and others are refused") {
    std::vector<std::uint8_t> x(64 * 16, 1);
    const s3::filter_shape shape{64, 3, 3, 64};
    const std::vector<int> ones(64 * shape.columns(), 1);
    const auto filter = s3::pack_filter<s3::shift3>(ones, shape);
    const auto p = s3::prepare<std::uint8_t>(*filter, s3::conv_options{}, {.activation_bits = 6});
    REQUIRE(p);
    const bool direct = p->visit_direct([](auto, const auto&) {});
    CHECK(direct == s3::kernel::has_winograd<s3::shift3, s3::arch::native>);
    CHECK(p->groups().empty() == direct);
    std::vector<std::int32_t> y(64 * 4, -1);
    const s3::image_view<std::int32_t> to{y, 1, 2, 2, 64};
    const auto refused = s3::conv2d(
        *p, s3::image_view<const std::uint8_t>{x, 1, 4, 4, 64, s3::image_order::nchw}, to);
    CHECK(std::string_view(refused.error().argument) == "image.order");
    CHECK(y == std::vector<std::int32_t>(64 * 4, -1));
    CHECK(s3::conv2d(*p, s3::image_view<const std::uint8_t>{x, 1, 4, 4, 64}, to));
    CHECK(y == std::vector<std::int32_t>(64 * 4, 9 * 64));
    std::vector<std::int32_t> bias(64, 0);
    bias[5] = std::numeric_limits<std::int32_t>::max();
    const auto beyond = s3::conv2d(*p, s3::image_view<const std::uint8_t>{x, 1, 4, 4, 64}, to,
                                   s3::epilogue{.bias = bias});
    CHECK(beyond.error().code == s3::errc::depth_exceeded);
    CHECK(beyond.error().index == 5);
}

} // namespace
