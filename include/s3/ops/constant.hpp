#pragma once
// Weights as template constants: a small layer becomes straight-line additions, subtractions and
// doublings. A zero costs nothing, and every index is an address known to the compiler.
//
//   constexpr s3::constant_matrix W = s3::constant<2, 3>({0, 1, -2,  4, -1, 0});
//   apply<W>(x)          x[K] → std::array<int32, M>, usable at compile time
//   apply<W>(x, y)       many columns at once, planar: x is [K][P], y is [M][P]
//   stencil<W>(x, y)     one channel: y[i][j] = Σ W(a, b)·x[i + a][j + b], for every full window
//
// A row is summed plane by plane: all weights ±2^s of the largest s, doubled, then the next. Lanes
// are int16 where the row's Σ|w|·max|x| fits, else int32. Errors: shapes that do not fit.

#include <s3/core/bounds.hpp>
#include <s3/core/view.hpp>
#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

namespace s3 {

/// An M × K matrix that can be a template argument.
template <std::size_t M, std::size_t K>
struct constant_matrix {
    static constexpr std::size_t rows = M;
    static constexpr std::size_t columns = K;
    std::int32_t values[M * K] = {};

    [[nodiscard]] constexpr std::int32_t operator()(std::size_t m, std::size_t k) const noexcept {
        return values[m * K + k];
    }
    [[nodiscard]] constexpr std::int64_t abs_sum(std::size_t m) const noexcept {
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < K; ++k)
            sum += (*this)(m, k) < 0 ? -(*this)(m, k) : (*this)(m, k);
        return sum;
    }
};

namespace detail {
/// Not constexpr: reaching it in `constant` makes the compiler name it.
inline void weight_is_not_zero_or_a_signed_power_of_two() {}
} // namespace detail

/// Checks at compile time that every weight is 0 or ±2^s, s ≤ 15.
template <std::size_t M, std::size_t K>
[[nodiscard]] consteval constant_matrix<M, K> constant(const std::int32_t (&weights)[M * K]) {
    constant_matrix<M, K> w;
    for (std::size_t i = 0; i < M * K; ++i) {
        const std::int32_t v = weights[i];
        if (v < -32768 || v > 32768 || to_triple(v).value() != v)
            detail::weight_is_not_zero_or_a_signed_power_of_two();
        w.values[i] = v;
    }
    return w;
}

namespace detail {

template <constant_matrix W, std::size_t Row>
[[nodiscard]] consteval int highest_shift() {
    int highest = 0;
    for (std::size_t k = 0; k < W.columns; ++k)
        if (W(Row, k) != 0)
            highest = std::max(highest, to_triple(W(Row, k)).shift);
    return highest;
}

/// sum ± x, or nothing for a weight of another plane.
template <std::int32_t Weight, int Shift, class V>
S3_INLINE constexpr void add_term(V& sum, const V& x) noexcept {
    if constexpr (Weight == (1 << Shift))
        sum = static_cast<V>(sum + x);
    else if constexpr (Weight == -(1 << Shift))
        sum = static_cast<V>(sum - x);
}

/// Σ W(Row, k)·x(k), where x(k) gives a value or a vector.
template <constant_matrix W, std::size_t Row, class V, class X>
[[nodiscard]] S3_INLINE constexpr V row_sum(const X& x) noexcept {
    V sum(0);
    constexpr int top = highest_shift<W, Row>();
    [&]<std::size_t... S>(std::index_sequence<S...>) __attribute__((always_inline)) {
        const auto plane = [&]<int Shift, std::size_t... I>(std::integral_constant<int, Shift>,
                                                            std::index_sequence<I...>)
            __attribute__((always_inline)) {
            if constexpr (Shift < top)
                sum = static_cast<V>(sum + sum);
            (add_term<W(Row, I), Shift>(sum, static_cast<V>(x(I))), ...);
        };
        (plane(std::integral_constant<int, top - static_cast<int>(S)>{},
               std::make_index_sequence<W.columns>{}),
         ...);
    }
    (std::make_index_sequence<static_cast<std::size_t>(top) + 1>{});
    return sum;
}

/// The lane that holds every sum of a row, on the way too: partial sums are no larger.
template <constant_matrix W, class X>
inline constexpr bool fits_int16 = [] {
    for (std::size_t m = 0; m < W.rows; ++m)
        if (W.abs_sum(m) > 32767 / max_abs_activation<X>)
            return false;
    return true;
}();
template <constant_matrix W, class X>
using constant_lane = std::conditional_t<fits_int16<W, X>, std::int16_t, std::int32_t>;

/// Activations as lanes of L.
template <class L, class Arch, class X>
[[nodiscard]] S3_INLINE simd::lanes<L, Arch> load_wide(const X* x) noexcept {
    constexpr std::size_t width = sizeof(simd::lanes<L, Arch>) / sizeof(L);
    alignas(64) L wide[width];
    for (std::size_t i = 0; i < width; ++i)
        wide[i] = static_cast<L>(x[i]);
    return simd::load<L, Arch>(wide);
}
template <class L, class Arch, class Y>
S3_INLINE void store_wide(Y* y, const simd::lanes<L, Arch>& v) noexcept {
    constexpr std::size_t width = sizeof(simd::lanes<L, Arch>) / sizeof(L);
    if constexpr (std::is_same_v<L, Y>) {
        simd::store<Arch>(y, v);
    } else {
        alignas(64) L narrow[width];
        simd::store<Arch>(narrow, v);
        for (std::size_t i = 0; i < width; ++i)
            y[i] = static_cast<Y>(narrow[i]);
    }
}

/// All rows of W for one vector (or value) of columns.
template <constant_matrix W, class V, class X, class Store>
S3_INLINE constexpr void all_rows(const X& x, const Store& store) noexcept {
    [&]<std::size_t... Row>(std::index_sequence<Row...>) __attribute__((always_inline)) {
        (store(std::integral_constant<std::size_t, Row>{}, row_sum<W, Row, V>(x)), ...);
    }
    (std::make_index_sequence<W.rows>{});
}

/// The window of a stencil as one row.
template <constant_matrix W>
inline constexpr auto as_row = std::bit_cast<constant_matrix<1, W.rows * W.columns>>(W);

template <class Y, constant_matrix W, class X>
concept constant_output = std::same_as<Y, std::int32_t> ||
    (std::same_as<Y, std::int16_t>&& fits_int16<W, X>);

} // namespace detail

/// y = W·x for one column.
template <constant_matrix W, std::integral X>
[[nodiscard]] constexpr std::array<std::int32_t, W.rows>
apply(const std::array<X, W.columns>& x) noexcept {
    std::array<std::int32_t, W.rows> y{};
    detail::all_rows<W, std::int32_t>([&](std::size_t k) { return std::int32_t{x[k]}; },
                                      [&](auto m, std::int32_t sum) { y[m] = sum; });
    return y;
}

/// y[M][P] = W·x[K][P]: a row of x is one channel of all pixels. int16 outputs where they fit.
template <constant_matrix W, architecture Arch = arch::native, integer_activation X,
          detail::constant_output<W, X> Y>
[[nodiscard]] status apply(matrix_view<const X> x, matrix_view<Y> y) noexcept {
    if (auto s = x.check("x"); !s)
        return s;
    if (auto s = y.check("y"); !s)
        return s;
    if (x.rows != W.columns)
        return error(errc::shape_mismatch, "x.rows").got(x.rows).needs(W.columns);
    if (y.rows != W.rows)
        return error(errc::shape_mismatch, "y.rows").got(y.rows).needs(W.rows);
    if (y.columns != x.columns)
        return error(errc::shape_mismatch, "y.columns").got(y.columns).needs(x.columns);
    using lane = detail::constant_lane<W, X>;
    using vector = simd::lanes<lane, Arch>;
    constexpr std::size_t width = sizeof(vector) / sizeof(lane);
    std::size_t p = 0;
    for (; p + width <= x.columns; p += width) {
        vector in[W.columns];
        for (std::size_t k = 0; k < W.columns; ++k)
            in[k] = detail::load_wide<lane, Arch>(x.row(k) + p);
        detail::all_rows<W, vector>(
            [&](std::size_t k) { return in[k]; },
            [&](auto m, const vector& sum) { detail::store_wide<lane, Arch>(y.row(m) + p, sum); });
    }
    for (; p < x.columns; ++p)
        detail::all_rows<W, std::int32_t>(
            [&](std::size_t k) { return std::int32_t{x.row(k)[p]}; },
            [&](auto m, std::int32_t sum) { y.row(m)[p] = static_cast<Y>(sum); });
    return {};
}

/// Correlates one channel x[H][W] with a constant window; y is [H − rows + 1][W − columns + 1].
template <constant_matrix Window, architecture Arch = arch::native, integer_activation X,
          detail::constant_output<detail::as_row<Window>, X> Y>
[[nodiscard]] status stencil(matrix_view<const X> x, matrix_view<Y> y) noexcept {
    constexpr auto row = detail::as_row<Window>;
    if (auto s = x.check("x"); !s)
        return s;
    if (auto s = y.check("y"); !s)
        return s;
    if (x.rows < Window.rows)
        return error(errc::shape_mismatch, "x.rows").got(x.rows).needs(Window.rows);
    if (x.columns < Window.columns)
        return error(errc::shape_mismatch, "x.columns").got(x.columns).needs(Window.columns);
    if (y.rows != x.rows - Window.rows + 1)
        return error(errc::shape_mismatch, "y.rows").got(y.rows).needs(x.rows - Window.rows + 1);
    if (y.columns != x.columns - Window.columns + 1)
        return error(errc::shape_mismatch, "y.columns")
            .got(y.columns)
            .needs(x.columns - Window.columns + 1);
    using lane = detail::constant_lane<row, X>;
    using vector = simd::lanes<lane, Arch>;
    constexpr std::size_t width = sizeof(vector) / sizeof(lane);
    for (std::size_t i = 0; i < y.rows; ++i) {
        const auto at = [&](std::size_t k, std::size_t j) {
            return x.row(i + k / Window.columns) + j + k % Window.columns;
        };
        std::size_t j = 0;
        for (; j + width <= y.columns; j += width)
            detail::store_wide<lane, Arch>(y.row(i) + j,
                                           detail::row_sum<row, 0, vector>([&](std::size_t k) {
                                               return detail::load_wide<lane, Arch>(at(k, j));
                                           }));
        for (; j < y.columns; ++j)
            y.row(i)[j] = static_cast<Y>(detail::row_sum<row, 0, std::int32_t>(
                [&](std::size_t k) { return std::int32_t{*at(k, j)}; }));
    }
    return {};
}

} // namespace s3
