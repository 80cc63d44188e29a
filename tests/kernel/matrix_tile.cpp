// Tiles of sums on products of small matrices are exact: emulated on vectors of 16 bytes, and the
// machine's own where it has them (tests of all kernels hold these, too).

#include "../support/kernel_checker.hpp"

using namespace s3;

namespace {

#if defined(__SSE4_1__)
struct emulated : arch::sse41 {
    static constexpr const char* name = "emulated matrix products";
    static constexpr bool has_matrix_dot = true;
};
#elif defined(__aarch64__)
struct emulated : arch::neon {
    static constexpr const char* name = "emulated matrix products";
    static constexpr bool has_matrix_dot = true;
};
#else
using emulated = arch::scalar;
#endif

template <weight_format F, activation X>
void check(std::uint64_t seed) {
    if constexpr (simd::has_matrix_dot<emulated>) {
        CAPTURE(std::string_view(F::name));
        test::random r(seed);
        test::kernel_checker<F, X, emulated> c;
        using engine = kernel::byte_engine_for<F, emulated>;
        static_assert(
            std::is_same_v<kernel::tile_for<engine, 2, 4>, kernel::matrix_tile<engine, 2, 4>>);
        for (const std::size_t m : {1u, 4u, 7u, 8u, 33u})
            for (std::size_t n = 1; n <= 13; ++n)
                c.product(r, "dot_bytes_panels", m, 1 + r.below(200), n);
        for (std::size_t k = 0; k <= 70; ++k)
            c.product(r, "dot_bytes_panels", 17, k, 9);
        for (int i = 0; i < 20; ++i) {
            c.convolution(r, "dot_bytes_panels");
            c.convolution(r, "dot_bytes_direct");
        }
        // Segments of an odd number of steps.
        c.convolution(r, "dot_bytes_panels", {24, 3, 3, 12}, {.padding = {1, 1}}, 2, 9, 11);
    }
}

} // namespace

TEST_CASE("products and convolutions on matrix products are exact") {
    check<shift2, std::uint8_t>(1);
    check<shift3, std::int8_t>(2);
    check<dense3, std::uint8_t>(3);
    check<int8_weights, std::int8_t>(4);
}
