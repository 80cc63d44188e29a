// A host of the compiled library reads neither xsimd nor a kernel.

#include <s3/runtime/conv2d.hpp>
#include <s3/runtime/linear.hpp>
#include <s3/runtime/linear_layer.hpp>
#include <s3/runtime/program.hpp>

#if defined(XSIMD_VERSION_MAJOR) || defined(S3_HAS_SIMD)
#error "a header of runtime/ includes xsimd"
#endif

#include <doctest/doctest.h>

#include <array>

TEST_CASE("three lines make a product") {
    const auto packed = s3::pack<s3::shift3>(std::array{0, 1, -2, 4}, 2, 2);
    const auto w = s3::runtime::prepare(*packed);
    REQUIRE(w);
    const std::array<std::uint8_t, 2> x{10, 20};
    std::array<std::int32_t, 2> y{};
    REQUIRE(w->run(s3::matrix_view<const std::uint8_t>(x, 1, 2),
                   s3::matrix_view<std::int32_t>(y, 1, 2)));
    CHECK(y == std::array<std::int32_t, 2>{20, 60});
}
