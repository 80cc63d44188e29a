// Products on a matrix unit are exact: shapes around its tiles, every format that fits bytes, and
// convolutions, on the emulated unit and, where there is one, on the machine's own.

#include <s3/kernel/reference.hpp>
#include <s3/ops/conv2d.hpp>

#include "../support/guarded.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string_view>
#include <vector>

using namespace s3;

namespace {

/// The best set of this build that has no matrix unit.
template <class Native>
struct without_tiles {
    using type = Native;
};
template <class Native>
requires simd::has_tiles<Native>
struct without_tiles<Native> {
    using type = arch::avx512_vbmi;
};
/// This machine, as if it had one.
struct emulated : without_tiles<arch::native>::type {
    static constexpr const char* name = "emulated tiles";
    static constexpr bool has_tiles = true;
};

template <weight_format F, activation X, class Arch>
class checker {
public:
    void product(test::random& r, std::size_t m, std::size_t k, std::size_t n) {
        auto weights = test::random_weights<F>(r, m * k);
        if (r.below(4) == 0)
            std::fill(weights.begin(), weights.end(),
                      r.below(2) == 0 ? F::max_value : F::min_value);
        const auto where = r.below(2) == 0 ? test::side::lower : test::side::upper;
        const auto x = activations(r, n * k, where);
        const auto w = *prepare<X, "dot_bytes_tiles", Arch>(*pack<F>(weights, m, k), {.batch = n});
        CHECK(std::string_view(w.kernel_name()) == "dot_bytes_tiles");
        for (const std::size_t workers : {1u, 3u}) {
            const auto y = y_.take<std::int32_t>(n * m, where);
            std::fill(y.begin(), y.end(), 0x5a5a5a5a);
            const auto scratch = scratch_.take<std::byte>(scratch_bytes(w, n, workers), where);
            std::memset(scratch.data(), 0x77, scratch.size());
            CAPTURE(m);
            CAPTURE(k);
            CAPTURE(n);
            REQUIRE(matmul(w, matrix_view<const X>(x, n, k), matrix_view<std::int32_t>(y, n, m), {},
                           scratch, test::thread_executor{workers}));
            bool same = true;
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t row = 0; row < m; ++row) {
                    std::int32_t sum = 0;
                    for (std::size_t c = 0; c < k; ++c)
                        sum += weights[row * k + c] * x[i * k + c];
                    same = same && y[i * m + row] == sum;
                }
            CHECK(same);
        }
    }

    void convolution(test::random& r, const char* kernel) {
        const filter_shape f{1 + r.below(70), 1 + r.below(4), 1 + r.below(5), 1 + r.below(40)};
        const conv_options o{.stride = 1 + r.below(2),
                             .padding = {r.below(3), r.below(3)},
                             .dilation = {1 + r.below(2), 1},
                             .padding_value = r.below(2) == 0 ? 0 : 7};
        // Lines of less than a tile, of several, and of more than are staged together.
        const std::size_t batch = 1 + r.below(3), height = 7 + r.below(6);
        const std::size_t width = r.below(4) == 0 ? 100 + r.below(140) : 5 + r.below(40);
        convolution(r, kernel, f, o, batch, height, width);
    }
    void convolution(test::random& r, const char* kernel, const filter_shape& f,
                     const conv_options& o, std::size_t batch, std::size_t height,
                     std::size_t width) {
        CAPTURE(std::string_view(kernel));
        CAPTURE(f.out_channels);
        CAPTURE(f.height);
        CAPTURE(f.width);
        CAPTURE(f.in_channels);
        CAPTURE(batch);
        CAPTURE(height);
        CAPTURE(width);
        const auto weights = test::random_weights<F>(r, f.out_channels * f.columns());
        const auto w = *prepare<X, family::any, Arch>(*pack_filter<F>(weights, f), o,
                                                      {.kernel = kernel_id(kernel)});
        CHECK(std::string_view(w.kernel_name()) == kernel);
        const extent out = *w.output_shape(height, width);
        const auto where = r.below(2) == 0 ? test::side::lower : test::side::upper;
        const auto x = activations(r, batch * height * width * f.in_channels, where);
        const image_view<const X> in{x, batch, height, width, f.in_channels};
        std::vector<std::int32_t> exact(batch * out.height * out.width * f.out_channels);
        reference::conv2d<int, X, std::int32_t>(
            weights, f, in, {exact, batch, out.height, out.width, f.out_channels}, o);
        const std::vector<float> scale(f.out_channels, 0.01f);
        const epilogue e{.scale = scale, .zero_point = 3};
        for (const std::size_t workers : {1u, 3u}) {
            const auto y = y_.take<std::uint8_t>(exact.size(), where);
            const auto scratch =
                scratch_.take<std::byte>(scratch_bytes(w, batch, out, workers), test::side::upper);
            std::memset(scratch.data(), 0x77, scratch.size());
            REQUIRE(conv2d(
                w, in, image_view<std::uint8_t>{y, batch, out.height, out.width, f.out_channels}, e,
                scratch, test::thread_executor{workers}));
            bool same = true;
            for (std::size_t i = 0; i < y.size(); ++i)
                same = same && y[i] == finish<std::uint8_t>(exact[i], i % f.out_channels, i, e);
            CHECK(same);
        }
    }

private:
    std::span<X> activations(test::random& r, std::size_t count, test::side where) {
        const auto x = x_.take<X>(count, where);
        const bool extreme = r.below(4) == 0;
        for (X& v : x)
            v = extreme ? std::numeric_limits<X>::max() : static_cast<X>(r());
        return x;
    }
    test::guarded_memory x_{1 << 21}, y_{1 << 21}, scratch_{1 << 22};
};

template <weight_format F, activation X, class Arch>
void check(std::uint64_t seed) {
    CAPTURE(std::string_view(F::name));
    test::random r(seed);
    checker<F, X, Arch> c;
    for (const std::size_t m : {1u, 31u, 32u, 33u, 70u})
        for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 33u, 48u})
            c.product(r, m, 1 + r.below(200), n);
    for (std::size_t k = 0; k <= 130; k += 13)
        c.product(r, 40, k, 20);
    c.product(r, 35, 70, 530); // more than are staged together
    for (int i = 0; i < 20; ++i)
        c.convolution(r, "dot_bytes_tiles");
    for (int i = 0; i < 40; ++i)
        c.convolution(r, "dot_bytes_direct_tiles");
    // All images as one row; rows of the filter that meet padding alone; one dimension.
    c.convolution(r, "dot_bytes_direct_tiles", {48, 1, 1, 64}, {}, 3, 11, 13);
    c.convolution(r, "dot_bytes_direct_tiles", {32, 5, 3, 9}, {.padding = {4, 1}}, 1, 2, 14);
    c.convolution(r, "dot_bytes_direct_tiles", {16, 1, 9, 32}, {.padding = {0, 4}}, 1, 1, 300);
}

/// Kernels exist where bytes have dot products.
template <class Arch>
void check_all() {
    if constexpr (simd::has_bytes<Arch>) {
        check<shift2, std::uint8_t, Arch>(1);
        check<shift3, std::int8_t, Arch>(2);
        check<dense3, std::uint8_t, Arch>(3);
        check<int8_weights, std::int8_t, Arch>(4);
    }
}

} // namespace

TEST_CASE("products and convolutions on emulated tiles are exact") {
    check_all<emulated>();
}

TEST_CASE("a matrix unit is used with permission alone") {
    using kernel = s3::kernel::dot_bytes_tiles<shift3, std::uint8_t, arch::native>;
    if (!simd::has_tiles<arch::native>) {
        CHECK(!permit_tiles());
        CHECK(!kernel::permitted());
        CHECK(!kernel::exists);
        return;
    }
    // Without having asked, another kernel serves; afterwards this one does, and is exact.
    const auto packed = *pack<shift3>(std::vector<int>(64 * 64, 1), 64, 64);
    const bool before = simd::tiles_permitted<arch::native>();
    CHECK((before ||
           std::string_view(prepare<std::uint8_t>(packed)->kernel_name()) != "dot_bytes_tiles"));
    if (permit_tiles()) {
        CHECK(std::string_view(prepare<std::uint8_t>(packed)->kernel_name()) == "dot_bytes_tiles");
        if constexpr (simd::has_tiles<arch::native>)
            check_all<arch::native>();
    }
}

TEST_CASE("a tile product is the sum over its depth, whatever the number of rows") {
    test::random r(9);
    std::vector<std::uint8_t> a(16 * 64), b(16 * 64);
    std::vector<std::int32_t> c(16 * 16), expected;
    for (auto& v : a)
        v = static_cast<std::uint8_t>(r());
    for (auto& v : b)
        v = static_cast<std::uint8_t>(r());
    for (auto& v : c)
        v = static_cast<std::int32_t>(r());
    for (const std::uint8_t rows : {std::uint8_t{1}, std::uint8_t{7}, std::uint8_t{16}}) {
        simd::emulated_tiles unit({rows, rows, 16, 16, 16, 16, 16, 16});
        expected = c;
        for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t j = 0; j < 16; ++j)
                for (std::size_t k = 0; k < 64; ++k)
                    expected[i * 16 + j] = static_cast<std::int32_t>(
                        static_cast<std::uint32_t>(expected[i * 16 + j]) +
                        static_cast<std::uint32_t>(
                            a[i * 64 + k] *
                            static_cast<std::int8_t>(b[k / 4 * 64 + 4 * j + k % 4])));
        std::vector<std::int32_t> got = c;
        unit.load<0>(c.data(), 64);
        unit.load<1>(a.data(), 64);
        unit.load<2>(b.data(), 64);
        unit.dot<0, 1, 2>();
        unit.store<0>(got.data(), 64);
        CHECK(got == expected);
    }
}
