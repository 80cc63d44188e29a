#pragma once
// Products of a constant matrix (core/constant_matrix.hpp) with many columns at once, in vector
// registers:
//
//   apply<W>(x, y)       planar: x is [K][P], y is [M][P]
//   stencil<W>(x, y)     one channel: y[i][j] = Σ W(a, b)·x[i + a][j + b], for every full window
//
// The sums of several rows stay in registers while each x[k] is loaded, and doubled, only once for
// all of them. Lanes are int16 where each row's Σ|w|·max|x| fits, else int32. Errors: shapes that
// do not fit together.

#include <s3/core/constant_matrix.hpp>
#include <s3/core/view.hpp>
#include <s3/format/bounds.hpp>
#include <s3/simd/widen.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

namespace s3 {

namespace detail {

/// The largest shift in column K of rows [First, First + Count), or −1 if all weights are zero.
template <constant_matrix W, std::size_t First, std::size_t Count, std::size_t K>
[[nodiscard]] consteval int highest_shift_in_column() {
    int highest = -1;
    for (std::size_t m = First; m < First + Count; ++m)
        if (W(m, K) != 0)
            highest = std::max(highest, to_triple(W(m, K)).shift);
    return highest;
}

/// Adds ±x·2^s to the sum, or nothing for a weight of zero; `powers` holds x·2^s for each s.
template <std::int32_t Weight, class V>
S3_INLINE void add_power(V& sum, const V* powers) noexcept {
    if constexpr (Weight > 0)
        sum = static_cast<V>(sum + powers[std::countr_zero(static_cast<std::uint32_t>(Weight))]);
    else if constexpr (Weight < 0)
        sum = static_cast<V>(sum - powers[std::countr_zero(static_cast<std::uint32_t>(-Weight))]);
}

/// Adds the terms W(m, K)·x(K) of column K to the sums of `Count` rows.
template <constant_matrix W, std::size_t First, std::size_t Count, std::size_t K, class V, class X>
S3_INLINE void add_column(const X& x, V* sums) noexcept {
    constexpr int top = highest_shift_in_column<W, First, Count, K>();
    if constexpr (top >= 0) {
        constexpr auto last = static_cast<std::size_t>(top);
        V powers[last + 1] = {static_cast<V>(x(K))};
        S3_UNROLL_FOR(std::size_t s = 0; s < last; ++s)
            powers[s + 1] = static_cast<V>(powers[s] + powers[s]);
        [&]<std::size_t... R>(std::index_sequence<R...>) S3_INLINE_LAMBDA {
            (add_power<W(First + R, K)>(sums[R], powers), ...);
        }
        (std::make_index_sequence<Count>{});
    }
}

/// Computes the sums of rows [First, First + Count) for one vector of columns, or one column: x(k)
/// returns the vector, or the number.
template <constant_matrix W, std::size_t First, std::size_t Count, class V, class X, class Store>
S3_INLINE void some_rows(const X& x, const Store& store) noexcept {
    V sums[Count];
    for (V& s : sums)
        s = V(0);
    [&]<std::size_t... K>(std::index_sequence<K...>) S3_INLINE_LAMBDA {
        (add_column<W, First, Count, K>(x, sums), ...);
    }
    (std::make_index_sequence<W.columns>{});
    S3_UNROLL_FOR(std::size_t r = 0; r < Count; ++r)
        store(First + r, sums[r]);
}

/// Computes all rows, as many at a time as leave registers for x and its doubles.
template <constant_matrix W, class V, class X, class Store, std::size_t First = 0>
S3_INLINE void all_sums(const X& x, const Store& store) noexcept {
    constexpr std::size_t group = sizeof(V) == 64 ? 16 : 8;
    if constexpr (First < W.rows) {
        some_rows<W, First, std::min(group, W.rows - First), V>(x, store);
        all_sums<W, V, X, Store, First + std::min(group, W.rows - First)>(x, store);
    }
}

/// Covers `columns` columns by calls vector(p) for the spans [p, p + Width). The last span may
/// overlap the one before, so that the long straight-line code is compiled only once. For fewer
/// than Width columns it calls one(p) for each.
template <std::size_t Width, class Vector, class One>
S3_INLINE void in_vectors(std::size_t columns, const Vector& vector, const One& one) noexcept {
    if (columns < Width) {
        for (std::size_t p = 0; p < columns; ++p)
            one(p);
    } else {
        for (std::size_t p = 0; p < columns; p += Width)
            vector(std::min(p, columns - Width));
    }
}
/// The sum of row m, computed by a loop.
template <std::size_t M, std::size_t K, class X>
[[nodiscard]] std::int32_t plain_sum(const constant_matrix<M, K>& w, std::size_t m,
                                     const X& x) noexcept {
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < K; ++k)
        sum += w(m, k) * x(k);
    return sum;
}

/// Whether int16 holds every row's sum. Partial sums are no larger, so they fit, too.
template <constant_matrix W, class X>
inline constexpr bool fits_int16 = [] {
    for (std::size_t m = 0; m < W.rows; ++m)
        if (W.abs_sum(m) > 32767 / max_abs_activation<X>)
            return false;
    return true;
}();
template <constant_matrix W, class X>
using constant_lane = std::conditional_t<fits_int16<W, X>, std::int16_t, std::int32_t>;

/// `Rows` rows of a stencil's outputs as a product: a band matrix times all the inputs under them.
template <constant_matrix W, std::size_t Rows>
inline constexpr auto as_product = [] {
    constant_matrix<Rows, (W.rows + Rows - 1) * W.columns> band;
    for (std::size_t r = 0; r < Rows; ++r)
        for (std::size_t i = 0; i < W.rows * W.columns; ++i)
            band.values[r * band.columns + r * W.columns + i] = W.values[i];
    return band;
}();

/// Computes rows i … i + Rows − 1 of a stencil's output.
template <constant_matrix Window, std::size_t Rows, class Arch, class X, class Y>
void stencil_rows(const matrix_view<const X>& x, const matrix_view<Y>& y, std::size_t i) noexcept {
    constexpr auto w = as_product<Window, Rows>;
    using lane = constant_lane<w, X>;
    using vector = simd::lanes<lane, Arch>;
    constexpr std::size_t width = sizeof(vector) / sizeof(lane);
    const X* in[Window.rows + Rows - 1];
    Y* out[Rows];
    for (std::size_t r = 0; r < Window.rows + Rows - 1; ++r)
        in[r] = x.row(i + r);
    for (std::size_t r = 0; r < Rows; ++r)
        out[r] = y.row(i + r);
    const auto at = [&](std::size_t k, std::size_t j) S3_INLINE_LAMBDA {
        return in[k / Window.columns] + j + k % Window.columns;
    };
    in_vectors<width>(
        y.columns,
        [&](std::size_t j) S3_INLINE_LAMBDA {
            all_sums<w, vector>(
                [&](std::size_t k)
                    S3_INLINE_LAMBDA { return simd::load_widened<lane, Arch>(at(k, j)); },
                [&](std::size_t r, const vector& sum)
                    S3_INLINE_LAMBDA { simd::store_widened<Arch, lane>(out[r] + j, sum); });
        },
        [&](std::size_t j) {
            for (std::size_t r = 0; r < Rows; ++r)
                out[r][j] = static_cast<Y>(
                    plain_sum(w, r, [&](std::size_t k) { return std::int32_t{*at(k, j)}; }));
        });
}

template <class Y, constant_matrix W, class X>
concept constant_output = integer_activation<X> &&
    (std::same_as<Y, std::int32_t> || (std::same_as<Y, std::int16_t> && fits_int16<W, X>));

} // namespace detail

/// y[M][P] = W·x[K][P], where a row of x is one channel of all P pixels. Outputs are int32, or
/// int16 if every sum fits. Errors: views too short, or shapes that do not fit W.
template <constant_matrix W, architecture Arch = arch::native, class T, class Y>
requires constant_operand<std::remove_const_t<T>, W> &&
    detail::constant_output<Y, W, std::remove_const_t<T>>
        status apply(matrix_view<T> x, matrix_view<Y> y)
noexcept {
    using X = std::remove_const_t<T>;
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
    detail::in_vectors<width>(
        x.columns,
        [&](std::size_t p) S3_INLINE_LAMBDA {
            detail::all_sums<W, vector>(
                [&](std::size_t k)
                    S3_INLINE_LAMBDA { return simd::load_widened<lane, Arch>(x.row(k) + p); },
                [&](std::size_t m, const vector& sum)
                    S3_INLINE_LAMBDA { simd::store_widened<Arch, lane>(y.row(m) + p, sum); });
        },
        [&](std::size_t p) {
            for (std::size_t m = 0; m < W.rows; ++m)
                y.row(m)[p] = static_cast<Y>(detail::plain_sum(
                    W, m, [&](std::size_t k) { return std::int32_t{x.row(k)[p]}; }));
        });
    return {};
}

/// Correlates one channel x[H][W] with a constant window. y is [H − rows + 1][W − columns + 1],
/// int32, or int16 if every sum fits. Errors: as for `apply`.
template <constant_matrix Window, architecture Arch = arch::native, class T, class Y>
requires constant_operand<std::remove_const_t<T>, detail::as_product<Window, 1>> &&
    detail::constant_output<Y, detail::as_product<Window, 1>, std::remove_const_t<T>>
        status stencil(matrix_view<T> x, matrix_view<Y> y)
noexcept {
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
    constexpr std::size_t together = 4; // rows of outputs that share loaded inputs
    const matrix_view<const T> in = x;
    std::size_t i = 0;
    for (; i + together <= y.rows; i += together)
        detail::stencil_rows<Window, together, Arch>(in, y, i);
    for (; i < y.rows; ++i)
        detail::stencil_rows<Window, 1, Arch>(in, y, i);
    return {};
}

} // namespace s3
