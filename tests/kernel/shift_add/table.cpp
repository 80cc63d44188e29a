// Tables of partial sums give exactly Σ w·x, for every format, lane type, machine and shape.

#include "check.hpp"

#include <s3/kernel/shift_add_table.hpp>

using namespace s3;

template <class Arch>
static void every_format() {
    using kernel::table;
    using test::check_shapes;
    check_shapes<table<shift2, Arch, std::int16_t, 3>, shift2>();
    check_shapes<table<shift2, Arch, std::int16_t, 4>, shift2>();
    check_shapes<table<shift3, Arch, std::int16_t>, shift3>();
    check_shapes<table<dense2, Arch, std::int16_t>, dense2>();
    check_shapes<table<dense3, Arch, std::int16_t>, dense3>();
    check_shapes<table<shift4, Arch, std::uint32_t>, shift4>();
    check_shapes<table<dense4, Arch, std::uint32_t>, dense4>();
    // Integers of at most 24 bits are exact in float too.
    check_shapes<table<shift2, Arch, float>, shift2>(6);
    check_shapes<table<shift3, Arch, float>, shift3>(6);
    check_shapes<table<dense3, Arch, float>, dense3>(6);
    check_shapes<table<shift4, Arch, float>, shift4>(6);
}

TEST_CASE("tables of partial sums are exact: scalar") {
    every_format<arch::scalar>();
}
TEST_CASE("tables of partial sums are exact: native") {
    every_format<arch::native>();
}
#if S3_HAS_SIMD
TEST_CASE("tables of partial sums are exact: portable") {
    every_format<arch::portable>();
}
#endif
#if defined(__SSE4_1__)
TEST_CASE("tables of partial sums are exact: sse41") {
    every_format<arch::sse41>();
}
#endif
#if defined(__AVX2__) && defined(__FMA__)
TEST_CASE("tables of partial sums are exact: avx2") {
    every_format<arch::avx2>();
}
#endif

TEST_CASE("five-bit tables are exact while sums fit int32") {
    std::mt19937 rng(11);
    for (const std::size_t k : {1u, 12u, 100u, 250u}) {
        test::check<kernel::table<shift5, arch::native, std::uint32_t>, shift5>(
            37, k, 19, test::data::extreme, rng);
        test::check<kernel::table<dense5, arch::native, std::uint32_t>, dense5>(
            37, k, 19, test::data::random, rng);
        test::check<kernel::table<shift5, arch::native, float>, shift5>(37, k, 19,
                                                                        test::data::random, rng, 1);
    }
}

TEST_CASE("more rows than are kept at a time") {
    std::mt19937 rng(13);
    using ternary_table = kernel::table<shift2, arch::native, std::int16_t>;
    test::check<ternary_table, shift2>(2 * ternary_table::row_block + 21, 70, 3, test::data::random,
                                       rng);
}
