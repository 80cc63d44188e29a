// Byte tables give exactly Σ w·x for ternary weights and activations of at most four bits, for
// every machine and shape.

#include "check.hpp"

#include <s3/kernel/shift_add_bytes_table.hpp>

using namespace s3;

#if S3_HAS_SIMD

template <class Arch>
static void both_groups() {
    test::check_shapes<kernel::byte_table<ternary, Arch, 3>, ternary>(4);
    test::check_shapes<kernel::byte_table<ternary, Arch, 4>, ternary>(4);
}

TEST_CASE("byte tables are exact: native") {
    both_groups<arch::native>();
}
TEST_CASE("byte tables are exact: portable") {
    both_groups<arch::portable>();
}
#if defined(__SSE4_1__)
TEST_CASE("byte tables are exact: sse41") {
    both_groups<arch::sse41>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("byte tables are exact: avx2") {
    both_groups<arch::avx2>();
}
#endif

TEST_CASE("depths and rows beyond what is kept at a time") {
    using kernel = kernel::byte_table<ternary, arch::native>;
    std::mt19937 rng(17);
    test::check<kernel, ternary>(5, 5000, 70, test::data::extreme, rng, 4);
    test::check<kernel, ternary>(kernel::row_block + 21, 70, 3, test::data::random, rng, 4);
}

TEST_CASE("four-bit signed activations are staged as x ^ 8") {
    using kernel = kernel::byte_table<ternary, arch::native>;
    std::mt19937 rng(19);
    const std::size_t m = 40, k = 90, n = 5;
    const test::weights<ternary> w(m, k, test::data::random, rng);
    std::vector<int> x(n * k);
    std::vector<std::uint8_t> staged(n * k);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<int>(rng() % 16) - 8;
        staged[i] = static_cast<std::uint8_t>(x[i] ^ kernel::zero_point);
    }
    std::vector<std::int32_t> initial(64);
    for (std::size_t r = 0; r < m; ++r)
        for (std::size_t i = 0; i < k; ++i)
            initial[r] -= kernel::zero_point * w.value[r * k + i];
    const auto y = test::product<kernel>(w, n, staged, initial);
    for (std::size_t c = 0; c < n; ++c)
        for (std::size_t r = 0; r < m; ++r) {
            int s = 0;
            for (std::size_t i = 0; i < k; ++i)
                s += w.value[r * k + i] * x[c * k + i];
            CHECK(y[c * m + r] == s);
        }
}

#endif
