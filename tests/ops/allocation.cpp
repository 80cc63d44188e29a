// Memory that runs out: whichever allocation fails, the call returns an error and keeps nothing.
// And calls that are given their memory allocate none.

#include <s3/ops/conv2d.hpp>
#include <s3/ops/linear.hpp>
#include <s3/ops/matmul.hpp>
#include <s3/pack/quantize.hpp>
#include <s3/pack/record.hpp>

#include "../support/allocations.hpp"
#include "../support/random.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace s3;
using test::allocations, test::fail_each;

namespace {

template <class Function>
void allocates_nothing(Function&& f) {
    const long made = allocations::made, others = allocations::others;
    const status s = f();
    const bool none = allocations::made == made && allocations::others == others;
    REQUIRE_MESSAGE(s, s.error().message());
    CHECK(none);
}

struct layer {
    filter_shape shape;
    conv_options options;
    int bits;
};
const layer layers[] = {{{16, 3, 3, 16}, {.padding = 1}, 8},
                        {{64, 3, 3, 64}, {.padding = 1}, 6}, // Winograd
                        {{40, 3, 3, 1}, {.padding = 1, .groups = 40}, 8},
                        {{12, 3, 3, 4}, {.padding = 1, .groups = 3}, 8},
                        {{64, 1, 1, 64}, {}, 8}};

} // namespace

TEST_CASE("packing and reading name the memory that they did not get") {
    test::random r(1);
    const auto values = test::random_weights<shift3>(r, 12 * 10);
    const std::vector<float> scale(12, 0.5f), reals(values.begin(), values.end());
    const pack_options options{.exponent_offset = 0, .scale = scale};
    const auto packed = *pack<shift3>(values, 12, 10, options);
    const auto record = serialize(packed);
    fail_each("pack", [&] { return pack<shift3>(values, 12, 10, options); });
    fail_each("slice", [&] { return packed.slice(3, 5); });
    fail_each("from_stream",
              [&] { return packed_matrix<shift3>::from_stream(12, 10, packed.stream(), options); });
    fail_each("deserialize", [&] { return deserialize<shift3>(record); });
    fail_each("pack_filter", [&] {
        return pack_filter<shift3>(values, {12, 1, 2, 5}, filter_order::oihw, options);
    });
    for (const scale_per per : {scale_per::tensor, scale_per::row})
        fail_each("quantize", [&] {
            return quantize<shift3>(reals, 12, 10, {nearest::value, per, scale_kind::real});
        });
}

TEST_CASE("a product names the memory that it did not get") {
    test::random r(2);
    const auto values = test::random_weights<shift3>(r, 40 * 33);
    const std::vector<float> scale(40, 0.5f);
    const auto packed = *pack<shift3>(values, 40, 33, {.exponent_offset = 0, .scale = scale});
    const std::vector<std::int8_t> x(20 * 33, 3);
    const std::vector<float> x_float(20 * 33, 3);
    std::vector<float> y(20 * 40);
    for (const family f : {family::dot, family::shift_add}) {
        const prepare_options o{.batch = 20, .kernels = f};
        fail_each("prepare", [&] { return prepare<std::int8_t, family::any>(packed, o); });
        fail_each("prepare for float", [&] { return prepare<float, family::any>(packed, o); });
        const auto w = *prepare<std::int8_t, family::any>(packed, o);
        const auto w_float = *prepare<float, family::any>(packed, o);
        fail_each("matmul", [&] { return matmul(w, x, y); });
        fail_each("matmul in float", [&] { return matmul(w_float, x_float, y); });
        auto scratch = *buffer<std::byte>::make(scratch_bytes(w, 20));
        allocates_nothing([&] {
            return matmul(w, matrix_view<const std::int8_t>(x, 20, 33),
                          matrix_view<float>(y, 20, 40), {}, scratch.span());
        });
    }
    fail_each("matmul from packed weights", [&] {
        return matmul(packed, matrix_view<const std::int8_t>(x, 20, 33),
                      matrix_view<float>(y, 20, 40));
    });
}

TEST_CASE("a linear layer names the memory that it did not get, and takes no more") {
    test::random r(4);
    const auto values = test::random_weights<shift3>(r, 40 * 64);
    const std::vector<float> scale(80, 0.5f), x(20 * 64, 3);
    std::vector<float> y(20 * 40);
    const auto packed = *pack<shift3>(values, 40, 64, {0, scale, 32, scale_type::binary16});
    fail_each("linear", [&] { return linear<shift3>::make(packed, {.batch = 20}); });
    for (const std::size_t batch : {1u, 7u, 20u}) {
        auto layer = *linear<shift3>::make(packed, {.batch = batch});
        allocates_nothing([&] {
            return layer(matrix_view<const float>(x, 20, 64), matrix_view<float>(y, 20, 40));
        });
    }
}

TEST_CASE("a convolution names the memory that it did not get") {
    test::random r(3);
    for (const layer& l : layers) {
        const std::size_t in = l.shape.in_channels * l.options.groups;
        CAPTURE(in);
        const auto filter = *pack_filter<shift3>(
            test::random_weights<shift3>(r, l.shape.out_channels * l.shape.columns()), l.shape);
        const std::vector<std::uint8_t> x(36 * in, 1);
        std::vector<std::int32_t> y(36 * l.shape.out_channels);
        const image_view<const std::uint8_t> image{x, 1, 6, 6, in};
        const image_view<std::int32_t> to{y, 1, 6, 6, l.shape.out_channels};
        for (const bool any_order : {false, true}) {
            const prepare_options o{.activation_bits = l.bits, .any_order = any_order};
            fail_each("prepare", [&] { return prepare(filter, l.options, o); });
            const auto w = *prepare(filter, l.options, o);
            fail_each("conv2d", [&] { return conv2d(w, image, to); });
            auto scratch = *buffer<std::byte>::make(scratch_bytes(w, 1, {6, 6}));
            allocates_nothing([&] { return conv2d(w, image, to, {}, scratch.span()); });
        }
        fail_each("conv2d from packed weights",
                  [&] { return conv2d(filter, image, to, l.options); });
    }
}
