#pragma once
// Checks products and convolutions of one named kernel against sums that are written out, with
// buffers between guard pages, with extreme operands, and with one thread and with three.

#include "guarded.hpp"
#include "threads.hpp"
#include "weights.hpp"

#include <s3/kernel/reference.hpp>
#include <s3/ops/conv2d.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string_view>
#include <vector>

namespace s3::test {

template <weight_format F, activation X, class Arch>
class kernel_checker {
public:
    /// Each returns whether all sums were right, and fails the test if not.
    bool product(random& r, const char* kernel, std::size_t m, std::size_t k, std::size_t n) {
        auto weights = random_weights<F>(r, m * k);
        if (r.below(4) == 0)
            std::fill(weights.begin(), weights.end(),
                      r.below(2) == 0 ? F::max_value : F::min_value);
        const auto where = r.below(2) == 0 ? side::lower : side::upper;
        const auto x = activations(r, n * k, where);
        const auto w = *prepare<X, family::any, Arch>(*pack<F>(weights, m, k),
                                                      {.batch = n, .kernel = kernel_id(kernel)});
        CHECK(std::string_view(w.kernel_name()) == kernel);
        bool right = true;
        for (const std::size_t workers : {1u, 3u}) {
            const auto y = y_.take<std::int32_t>(n * m, where);
            std::fill(y.begin(), y.end(), 0x5a5a5a5a);
            const auto scratch = scratch_.take<std::byte>(scratch_bytes(w, n, workers), where);
            std::memset(scratch.data(), 0x77, scratch.size());
            CAPTURE(m);
            CAPTURE(k);
            CAPTURE(n);
            REQUIRE(matmul(w, matrix_view<const X>(x, n, k), matrix_view<std::int32_t>(y, n, m), {},
                           scratch, thread_executor{workers}));
            bool same = true;
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t row = 0; row < m; ++row) {
                    std::int32_t sum = 0;
                    for (std::size_t c = 0; c < k; ++c)
                        sum += weights[row * k + c] * x[i * k + c];
                    same = same && y[i * m + row] == sum;
                }
            CHECK(same);
            right = right && same;
        }
        return right;
    }

    bool convolution(random& r, const char* kernel) {
        const filter_shape f{1 + r.below(70), 1 + r.below(4), 1 + r.below(5), 1 + r.below(40)};
        const conv_options o{.stride = 1 + r.below(2),
                             .padding = {r.below(3), r.below(3)},
                             .dilation = {1 + r.below(2), 1},
                             .padding_value = r.below(2) == 0 ? 0 : 7};
        // Lines of less than a tile, of several, and of more than are staged together.
        const std::size_t batch = 1 + r.below(3), height = 7 + r.below(6);
        const std::size_t width = r.below(4) == 0 ? 100 + r.below(140) : 5 + r.below(40);
        return convolution(r, kernel, f, o, batch, height, width);
    }
    bool convolution(random& r, const char* kernel, const filter_shape& f, const conv_options& o,
                     std::size_t batch, std::size_t height, std::size_t width) {
        CAPTURE(std::string_view(kernel));
        CAPTURE(f.out_channels);
        CAPTURE(f.height);
        CAPTURE(f.width);
        CAPTURE(f.in_channels);
        CAPTURE(batch);
        CAPTURE(height);
        CAPTURE(width);
        const auto weights = random_weights<F>(r, f.out_channels * f.columns());
        const auto w = *prepare<X, family::any, Arch>(*pack_filter<F>(weights, f), o,
                                                      {.kernel = kernel_id(kernel)});
        CHECK(std::string_view(w.kernel_name()) == kernel);
        const extent out = *w.output_shape(height, width);
        const auto where = r.below(2) == 0 ? side::lower : side::upper;
        const auto x = activations(r, batch * height * width * f.in_channels, where);
        const image_view<const X> in{x, batch, height, width, f.in_channels};
        std::vector<std::int32_t> exact(batch * out.height * out.width * f.out_channels);
        reference::conv2d<int, X, std::int32_t>(
            weights, f, in, {exact, batch, out.height, out.width, f.out_channels}, o);
        const std::vector<float> scale(f.out_channels, 0.01f);
        const epilogue e{.scale = scale, .zero_point = 3};
        bool right = true;
        for (const std::size_t workers : {1u, 3u}) {
            const auto y = y_.take<std::uint8_t>(exact.size(), where);
            const auto scratch =
                scratch_.take<std::byte>(scratch_bytes(w, batch, out, workers), side::upper);
            std::memset(scratch.data(), 0x77, scratch.size());
            REQUIRE(conv2d(
                w, in, image_view<std::uint8_t>{y, batch, out.height, out.width, f.out_channels}, e,
                scratch, thread_executor{workers}));
            bool same = true;
            for (std::size_t i = 0; i < y.size(); ++i)
                same = same && y[i] == finish<std::uint8_t>(exact[i], i % f.out_channels, i, e);
            CHECK(same);
            right = right && same;
        }
        return right;
    }

private:
    std::span<X> activations(random& r, std::size_t count, side where) {
        const auto x = x_.take<X>(count, where);
        const bool extreme = r.below(4) == 0;
        for (X& v : x)
            v = extreme ? std::numeric_limits<X>::max() : static_cast<X>(r());
        return x;
    }
    guarded_memory x_{1 << 21}, y_{1 << 21}, scratch_{1 << 22};
};

} // namespace s3::test
