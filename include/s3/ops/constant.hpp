#pragma once
// Many columns at once through a matrix of template constants (core/constant.hpp), on vectors:
//
//   apply<W>(x, y)       planar: x is [K][P], y is [M][P]
//   stencil<W>(x, y)     one channel: y[i][j] = Σ W(a, b)·x[i + a][j + b], for every full window
//
// Lanes are int16 where the row's Σ|w|·max|x| fits, else int32. Errors: shapes that do not fit.

#include <s3/core/bounds.hpp>
#include <s3/core/constant.hpp>
#include <s3/core/view.hpp>
#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

namespace s3 {

namespace detail {

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

/// The window of a stencil as one row.
template <constant_matrix W>
inline constexpr auto as_row = std::bit_cast<constant_matrix<1, W.rows * W.columns>>(W);

template <class Y, constant_matrix W, class X>
concept constant_output = std::same_as<Y, std::int32_t> ||
    (std::same_as<Y, std::int16_t>&& fits_int16<W, X>);

} // namespace detail

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
