#include <s3/kernel/reference.hpp>
#include <s3/ops/constant.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <random>
#include <vector>

namespace {

constexpr std::size_t column_counts[] = {0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100};

constexpr s3::constant_matrix tiny = s3::constant<2, 3>({0, 1, -2, 4, -1, 0});
static_assert(s3::apply<tiny>(std::array<std::int16_t, 3>{1, 2, 3}) == std::array<int, 2>{-4, 2});

// A matrix is refused where a row's Σ|w|·max|x| could exceed int32, or a weight is no shift.
template <s3::constant_matrix W, class X>
concept one_column = requires(std::array<X, W.columns> x) {
    s3::apply<W>(x);
};
template <s3::constant_matrix W, class X>
concept many_columns = requires(s3::matrix_view<const X> x, s3::matrix_view<std::int32_t> y) {
    s3::apply<W>(x, y);
    s3::stencil<W>(x, y);
};
// Memory that may be written to can be read, too.
static_assert(requires(s3::matrix_view<std::uint8_t> x, s3::matrix_view<std::int32_t> y) {
    s3::apply<tiny>(x, y);
    s3::stencil<tiny>(x, y);
});
template <std::size_t K>
constexpr s3::constant_matrix<1, K> row_of(std::int32_t weight) {
    s3::constant_matrix<1, K> w;
    for (auto& v : w.values)
        v = weight;
    return w;
}
// 2^15·255·257 = 2147450880 is the largest such sum; with one weight more it does not fit.
static_assert(one_column<row_of<257>(32768), std::uint8_t>);
static_assert(many_columns<row_of<257>(32768), std::uint8_t>);
static_assert(!one_column<row_of<258>(32768), std::uint8_t>);
static_assert(!many_columns<row_of<258>(32768), std::uint8_t>);
static_assert(!one_column<row_of<300>(-32768), std::uint8_t>);
static_assert(!many_columns<row_of<300>(-32768), std::uint8_t>);
// −128 has a larger magnitude than 127: 2^15·128·512 = 2^31 is one too much.
static_assert(one_column<row_of<511>(32768), std::int8_t>);
static_assert(!one_column<row_of<512>(32768), std::int8_t>);
static_assert(!one_column<tiny, std::int32_t>);
static_assert(!one_column<row_of<2>(3), std::uint8_t>);
static_assert(!many_columns<row_of<2>(3), std::uint8_t>);

template <std::size_t M, std::size_t K>
constexpr s3::constant_matrix<M, K> made(std::uint32_t seed, int top) {
    s3::constant_matrix<M, K> w;
    for (auto& v : w.values) {
        seed = seed * 1664525u + 1013904223u;
        const int digit =
            static_cast<int>((seed >> 16) % static_cast<unsigned>(2 * top + 3)) - top - 1;
        v = digit == 0 ? 0 : digit < 0 ? -(1 << (-digit - 1)) : 1 << (digit - 1);
    }
    return w;
}

/// `apply` equals the definition for every number of columns, strided views, and both outputs.
template <s3::constant_matrix W, class X, class Y, class Arch = s3::arch::native>
void check_apply() {
    std::mt19937 random(7);
    const std::vector<std::int32_t> weights(std::begin(W.values), std::end(W.values));
    for (const std::size_t columns : column_counts) {
        const std::size_t stride = columns + 3;
        std::vector<X> x(W.columns * stride);
        for (auto& v : x)
            v = static_cast<X>(random() % 4 == 0 ? 255 : random());
        std::vector<Y> y(W.rows * stride, Y{99});
        CHECK(s3::apply<W, Arch>(s3::matrix_view<const X>(x, W.columns, columns, stride),
                                 s3::matrix_view<Y>(y, W.rows, columns, stride)));
        for (std::size_t p = 0; p < stride; ++p) {
            std::vector<std::int32_t> column(W.columns), expected(W.rows);
            for (std::size_t k = 0; k < W.columns; ++k)
                column[k] = x[k * stride + p];
            s3::reference::matmul<std::int32_t, std::int32_t, std::int32_t>(
                weights, column, expected, W.rows, W.columns, 1);
            for (std::size_t m = 0; m < W.rows; ++m)
                CHECK(y[m * stride + p] == (p < columns ? expected[m] : 99));
        }
    }
}

TEST_CASE("constant matrices equal the definition") {
    check_apply<tiny, std::uint8_t, std::int16_t>();
    check_apply<tiny, std::int8_t, std::int32_t>();
    check_apply<made<5, 9>(1, 3), std::uint8_t, std::int16_t>();
    check_apply<made<5, 9>(1, 3), std::uint8_t, std::int32_t, s3::arch::scalar>();
    check_apply<made<3, 40>(2, 5), std::uint8_t, std::int32_t>(); // needs 32-bit lanes
    check_apply<made<4, 8>(3, 14), std::int8_t, std::int32_t>();  // shifts up to 14
    check_apply<made<33, 7>(4, 2), std::uint8_t, std::int16_t>(); // groups of rows, and a rest
    check_apply<made<17, 20>(5, 2), std::int8_t, std::int32_t>(); // 16-bit lanes widen in the store
    check_apply<s3::constant<1, 1>({0}), std::uint8_t, std::int16_t>();
}

TEST_CASE("lanes widen exactly when a row's bound asks for it") {
    constexpr s3::constant_matrix fits = s3::constant<1, 3>({64, 64, 0});    // 128·255 = 32640
    constexpr s3::constant_matrix exceeds = s3::constant<1, 3>({64, 64, 1}); // 129·255 > 32767
    static_assert(s3::detail::fits_int16<fits, std::uint8_t>);
    static_assert(!s3::detail::fits_int16<exceeds, std::uint8_t>);
    check_apply<fits, std::uint8_t, std::int16_t>();
    check_apply<exceeds, std::uint8_t, std::int32_t>();
}

TEST_CASE("a stencil equals the correlation") {
    constexpr s3::constant_matrix sobel = s3::constant<3, 3>({1, 2, 1, 0, 0, 0, -1, -2, -1});
    std::mt19937 random(8);
    for (const std::size_t columns : column_counts) {
        if (columns < 3)
            continue;
        std::vector<std::uint8_t> x(9 * columns);
        for (auto& v : x)
            v = static_cast<std::uint8_t>(random());
        std::vector<std::int16_t> y(7 * (columns - 2));
        CHECK(s3::stencil<sobel>(s3::matrix_view<const std::uint8_t>(x, 9, columns),
                                 s3::matrix_view<std::int16_t>(y, 7, columns - 2)));
        for (std::size_t i = 0; i < 7; ++i)
            for (std::size_t j = 0; j + 2 < columns; ++j) {
                int sum = 0;
                for (std::size_t a = 0; a < 3; ++a)
                    for (std::size_t b = 0; b < 3; ++b)
                        sum += sobel(a, b) * x[(i + a) * columns + j + b];
                CHECK(y[i * (columns - 2) + j] == sum);
            }
    }
}

TEST_CASE("shapes that do not fit are refused by name") {
    std::vector<std::uint8_t> x(12);
    std::vector<std::int32_t> y(8, 5);
    const auto in = [&](std::size_t r, std::size_t c) {
        return s3::matrix_view<const std::uint8_t>(x, r, c);
    };
    const auto out = [&](std::size_t r, std::size_t c) {
        return s3::matrix_view<std::int32_t>(y, r, c);
    };
    CHECK(std::string_view(s3::apply<tiny>(in(2, 4), out(2, 4)).error().argument) == "x.rows");
    CHECK(std::string_view(s3::apply<tiny>(in(3, 4), out(1, 4)).error().argument) == "y.rows");
    CHECK(std::string_view(s3::apply<tiny>(in(3, 4), out(2, 3)).error().argument) == "y.columns");
    CHECK(s3::apply<tiny>(in(3, 5), out(2, 5)).error().code == s3::errc::buffer_too_small);
    CHECK(std::string_view(s3::stencil<tiny>(in(1, 4), out(1, 2)).error().argument) == "x.rows");
    CHECK(std::string_view(s3::stencil<tiny>(in(3, 4), out(2, 3)).error().argument) == "y.columns");
    for (const auto v : y)
        CHECK(v == 5);
}

} // namespace
