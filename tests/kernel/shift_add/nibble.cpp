// Sums looked up by permutation of bytes are exactly Σ w·x, for every format of two to four bits,
// every machine that has such permutations, and every shape.

#include "check.hpp"

#include <s3/kernel/shift_add_bytes_shuffle.hpp>

using namespace s3;

template <class Arch>
static void every_format() {
    if constexpr (kernel::has_nibble<Arch>) {
        test::check_shapes<kernel::nibble<shift2, Arch>, shift2>();
        test::check_shapes<kernel::nibble<shift3, Arch>, shift3>();
        test::check_shapes<kernel::nibble<shift4, Arch>, shift4>();
        test::check_shapes<kernel::nibble<dense2, Arch>, dense2>();
        test::check_shapes<kernel::nibble<dense3, Arch>, dense3>();
        test::check_shapes<kernel::nibble<dense4, Arch>, dense4>();
    }
}

TEST_CASE("sums looked up by bytes are exact: native") {
    every_format<arch::native>();
}
#if defined(__SSE4_1__)
TEST_CASE("sums looked up by bytes are exact: sse41") {
    every_format<arch::sse41>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("sums looked up by bytes are exact: avx2") {
    every_format<arch::avx2>();
}
#endif

TEST_CASE("more rows than are kept at a time") {
    if constexpr (kernel::has_nibble<arch::native>) {
        using kernel = kernel::nibble<shift3, arch::native>;
        std::mt19937 rng(13);
        test::check<kernel, shift3>(kernel::row_block + 77, 70, 3, test::data::random, rng);
    }
}
