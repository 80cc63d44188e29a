// The products of every executor's test, compiled once.

#include "check.hpp"

#include <s3/ops/conv2d.hpp>

#include "../support/weights.hpp"

namespace s3::test {
namespace {

/// Floats are small integers, on which sums are exact: their order is not promised.
template <activation X>
[[nodiscard]] std::vector<X> activations(random& r, std::size_t count) {
    std::vector<X> x(count);
    for (X& v : x)
        v = static_cast<X>(r.between(-128, 127) + (std::is_unsigned_v<X> ? 128 : 0));
    return x;
}

template <weight_format F, activation X>
void check_same_bits_of(executor_ref ex) {
    using Y = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;
    constexpr epilogue_for<X> none{};
    random r(7);
    for (const std::size_t m : {1u, 16u, 67u, 300u})
        for (const std::size_t n : {1u, 2u, 5u, 16u, 70u})
            for (const auto kernels : {family::dot, family::shift_add}) {
                const std::size_t k = 1 + r.below(150);
                const auto packed = *pack<F>(random_weights<F>(r, m * k), m, k);
                const auto w = prepare<X, family::any>(packed, {.batch = n, .kernels = kernels});
                if (!w && w.error().code == errc::unsupported)
                    continue;
                const auto x = activations<X>(r, n * k);
                const matrix_view<const X> in(x, n, k);
                std::vector<Y> expected(n * m), got(n * m);
                REQUIRE(matmul(*w, in, matrix_view<Y>(expected, n, m), none));
                REQUIRE(matmul(*w, in, matrix_view<Y>(got, n, m), none, ex));
                CAPTURE(m);
                CAPTURE(n);
                CAPTURE(k);
                CHECK(got == expected);
            }
    for (const std::size_t groups : {1u, 2u, 6u})
        for (const std::size_t size : {1u, 5u, 12u}) {
            const filter_shape f{12, 3, 3, 6 / groups};
            const conv_options o{.padding = 1, .groups = groups};
            const auto packed =
                *pack_filter<F>(random_weights<F>(r, f.out_channels * f.columns()), f);
            const auto w = *prepare<X>(packed, o);
            const auto x = activations<X>(r, size * size * 6);
            const image_view<const X> in{x, 1, size, size, 6};
            std::vector<Y> expected(size * size * 12), got(size * size * 12);
            REQUIRE(conv2d(w, in, image_view<Y>{expected, 1, size, size, 12}, none));
            REQUIRE(conv2d(w, in, image_view<Y>{got, 1, size, size, 12}, none, ex));
            CAPTURE(groups);
            CAPTURE(size);
            CHECK(got == expected);
        }
}

} // namespace

void check_same_bits(executor_ref ex) {
    check_same_bits_of<shift3, std::int8_t>(ex);
    check_same_bits_of<shift3, float>(ex);
}

} // namespace s3::test
