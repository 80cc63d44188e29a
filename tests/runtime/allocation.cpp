// What the compiled library prepares names the memory that it did not get, and keeps nothing.

#include <s3/runtime/conv2d.hpp>
#include <s3/runtime/linear.hpp>
#include <s3/runtime/linear_layer.hpp>
#include <s3/runtime/program.hpp>

#include "../support/allocations.hpp"
#include "../support/models.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace s3;
using test::fail_each;

TEST_CASE("weights name the memory that they did not get") {
    test::random r(1);
    const filter_shape shape{12, 3, 3, 4};
    const auto filter =
        *pack_filter<shift3>(test::random_weights<shift3>(r, 12 * shape.columns()), shape);
    const auto& matrix = filter.matrix;
    const std::vector<std::uint8_t> image(6 * 6 * 4, 1);
    const std::vector<std::uint8_t> x(5 * matrix.columns(), 1);
    const std::vector<float> scale(12, 0.1f);
    std::vector<std::int32_t> y(6 * 6 * 12);
    const auto product = *runtime::prepare(matrix);
    const auto convolution = *runtime::prepare(filter, {.padding = 1});
    fail_each("linear", [&] { return runtime::prepare(matrix); });
    fail_each("conv2d", [&] { return runtime::prepare(filter, {.padding = 1}); });
    fail_each("linear layer", [&] { return runtime::linear_layer::make(matrix, {.batch = 3}); });
    fail_each("product", [&] {
        return product.run(matrix_view<const std::uint8_t>(x, 5, matrix.columns()),
                           matrix_view<std::int32_t>(std::span(y).first(5 * 12), 5, 12));
    });
    fail_each("convolution", [&] {
        return convolution.run(image_view<const std::uint8_t>{image, 1, 6, 6, 4},
                               image_view<std::int32_t>{y, 1, 6, 6, 12});
    });
}

#if S3_HAS_EXCEPTIONS // networks are made of containers
TEST_CASE("networks name the memory that they did not get") {
    net::model m = test::sample();
    m.layers.resize(2); // of formats that a small library has
    m.values.resize(3);
    const std::vector<std::uint8_t> x(m.input().size());
    std::vector<std::uint8_t> y(m.values.back().size());
    const auto program = runtime::prepare(m);
    REQUIRE_MESSAGE(program, program.error().message());
    const test::containers_fail while_this_lives;
    fail_each("prepare", [&] { return runtime::prepare(m); });
    fail_each("tune", [&] { return runtime::tune(m, {}, 1e-6); });
    fail_each("run", [&] {
        return program->run(image_view<const std::uint8_t>{x, 1, 6, 5, 3}, std::span(y));
    });
}
#endif
