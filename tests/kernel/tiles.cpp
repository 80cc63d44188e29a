// Products on a matrix unit are exact: shapes around its tiles, every format that fits bytes, and
// convolutions, on the emulated unit and, where there is one, on the machine's own.

#include "../support/cases.hpp"
#include "../support/kernel_checker.hpp"

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
void check(std::uint64_t seed) {
    CAPTURE(std::string_view(F::name));
    test::random r(seed);
    test::kernel_checker<F, X, Arch> c;
    for (const std::size_t m : {1u, 31u, 32u, 33u, 70u})
        for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 33u, 48u})
            c.product(r, "dot_bytes_tiles", m, 1 + r.below(200), n);
    for (std::size_t k = 0; k <= 130; k += 13)
        c.product(r, "dot_bytes_tiles", 40, k, 20);
    c.product(r, "dot_bytes_tiles", 35, 70, 530); // more than are staged together
    for (int i = 0; i < 20; ++i)
        c.convolution(r, "dot_bytes_tiles");
    for (int i = 0; i < 40; ++i)
        c.convolution(r, "dot_bytes_direct_tiles");
    // All images as one row; rows of the filter that meet padding alone; one dimension.
    c.convolution(r, "dot_bytes_direct_tiles", {48, 1, 1, 64}, {}, 3, 11, 13);
    c.convolution(r, "dot_bytes_direct_tiles", {32, 5, 3, 9}, {.padding = {4, 1}}, 1, 2, 14);
    c.convolution(r, "dot_bytes_direct_tiles", {16, 1, 9, 32}, {.padding = {0, 4}}, 1, 1, 300);
    test::cases all(seed);
    for (std::uint64_t i = 0; i < 10 * test::setting("S3_TEST_ROUNDS", 4) / 4; ++i)
        if (all.next(r)) {
            const std::size_t m = 1 + r.below(80), k = r.below(260), n = 1 + r.below(60);
            bool right = c.product(r, "dot_bytes_tiles", m, k, n);
            right = c.convolution(r, "dot_bytes_tiles") && right;
            right = c.convolution(r, "dot_bytes_direct_tiles") && right;
            for (int kernel = 0; kernel < 3; ++kernel)
                all.count();
            if (!right)
                all.mismatch(std::string(Arch::name).append(" ").append(F::name));
        }
    all.report();
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
        permit_tiles(); // of no use to this build
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
        CHECK(tiles_are_permitted());
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
