// One number over the outputs of all operations on fixed inputs: the same on every machine,
// compiler and architecture. A change that alters it has altered results, and must say why.

#include <s3/ops/conv2d.hpp>
#include <s3/pack/quantize.hpp>
#include <s3/pack/record.hpp>

#include "../support/archs.hpp"
#include "../support/record_v1.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace s3;

namespace {

constexpr std::uint64_t golden = 14975511930520864871u;

/// The order in which a hash sees the results: it is part of the number.
constexpr family families[] = {family::dot, family::shift_add};
using formats = test::type_list<shift2, shift3, dense4, shift5, int8_weights>;
#if defined(S3_TEST_FULL)
using archs = test::type_list<arch::scalar, arch::native>;
#else // the scalar kernels are held to the same results by the tests of each operation
using archs = test::type_list<arch::native>;
#endif

struct epilogue_memory {
    std::vector<float> scale;
    std::vector<std::int32_t> bias;
    std::vector<std::uint8_t> residual;
    epilogue e;

    epilogue_memory(test::random& r, std::size_t channels, std::size_t outputs)
        : scale(channels), bias(channels), residual(outputs) {
        for (float& s : scale) {
            s = 1 + std::fabs(r.real()); // drawn first: arguments come in no fixed order
            s = std::ldexp(s, r.between(-14, -6));
        }
        for (auto& b : bias)
            b = r.between(-20000, 20000);
        for (auto& v : residual)
            v = static_cast<std::uint8_t>(r());
        e = {.scale = scale,
             .bias = bias,
             .activation = relu,
             .zero_point = 11,
             .residual = std::span<const std::uint8_t>(residual),
             .residual_scale = 0.375f,
             .residual_zero_point = 100};
    }
};

template <class X>
std::vector<X> activations(test::random& r, std::size_t count) {
    std::vector<X> x(count);
    for (X& v : x)
        v = static_cast<X>(
            r.between(std::is_unsigned_v<X> ? 0 : -128, std::is_unsigned_v<X> ? 255 : 127));
    return x;
}

template <class F, class X, class Arch>
void add_products(test::digest& d, family f) {
    test::random r(F::bits * 100 + F::has_zero);
    for (const std::size_t m : {1u, 7u, 70u})
        for (const std::size_t n : {1u, 3u, 30u}) {
            const std::size_t k = 1 + r.below(200);
            const auto w = prepare<X, family::any, Arch>(
                *pack<F>(test::random_weights<F>(r, m * k), m, k), {.batch = n, .kernels = f});
            REQUIRE(w);
            const auto x = activations<X>(r, n * k);
            const epilogue_memory fused(r, m, n * m);
            std::vector<std::int32_t> sums(n * m);
            std::vector<std::uint8_t> narrow(n * m);
            REQUIRE(matmul(*w, x, sums));
            REQUIRE(matmul(*w, x, narrow, fused.e));
            d.add(sums);
            d.add(narrow);
        }
}

template <class F, class X, class Arch>
void add_convolutions(test::digest& d, family f) {
    test::random r(F::bits * 100 + F::has_zero + 50);
    struct layer {
        filter_shape shape;
        conv_options options;
        image_order in, out;
    };
    const layer layers[] = {
        {{9, 3, 3, 4}, {.stride = 2, .padding = 1}, image_order::nhwc, image_order::nhwc},
        {{20, 3, 2, 16},
         {.padding = {1, 0}, .padding_value = 5},
         image_order::nhwc,
         image_order::nchw},
        {{6, 1, 3, 2}, {.dilation = {1, 2}, .groups = 3}, image_order::nchw, image_order::nhwc},
        {{67, 3, 3, 1},
         {.padding = 1, .groups = 67, .padding_value = 3},
         image_order::nhwc,
         image_order::nhwc}};
    for (const layer& l : layers) {
        const auto weights = test::random_weights<F>(r, l.shape.out_channels * l.shape.columns());
        const auto w = prepare<X, family::any, Arch>(*pack_filter<F>(weights, l.shape), l.options,
                                                     {.kernels = f, .any_order = true});
        REQUIRE(w);
        const std::size_t channels = l.shape.in_channels * l.options.groups;
        const extent out = *w->output_shape(7, 8);
        const auto x = activations<X>(r, 2 * 7 * 8 * channels);
        std::vector<std::uint8_t> y(2 * out.height * out.width * l.shape.out_channels);
        const epilogue_memory fused(r, l.shape.out_channels, y.size());
        REQUIRE(conv2d(
            *w, image_view<const X>{x, 2, 7, 8, channels, l.in},
            image_view<std::uint8_t>{y, 2, out.height, out.width, l.shape.out_channels, l.out},
            fused.e));
        d.add(y);
    }
}

/// Records and quantized weights: what is on disk, in version 1.
std::uint64_t hash_of_records() {
    test::digest d;
    test::random r(1);
    test::all_formats::each([&]<class F>() {
        std::vector<float> w(6 * 35);
        for (float& v : w)
            v = (r.real() + r.real()) * 0.37f;
        for (const nearest rounding : {nearest::value, nearest::log2})
            for (const scale_per per : {scale_per::tensor, scale_per::row})
                for (const std::byte b :
                     test::as_version_1(serialize(*quantize<F>(w, 6, 35, {rounding, per}))))
                    d.add(std::to_integer<std::uint8_t>(b));
    });
    return d.value();
}

template <class Arch>
std::uint64_t hash_of_outputs() {
    test::digest d;
    d.add(hash_of_records());
    for (const family f : families)
        formats::each([&]<class F>() {
            const family served = F::is_shift ? f : family::dot;
            add_products<F, std::uint8_t, Arch>(d, served);
            add_products<F, std::int8_t, Arch>(d, served);
            add_convolutions<F, std::uint8_t, Arch>(d, served);
        });
    return d.value();
}

} // namespace

TEST_CASE("everything has the golden hash") {
    archs::each([]<class Arch>() {
        CAPTURE(std::string(Arch::name));
        CHECK(hash_of_outputs<Arch>() == golden);
    });
}
