#pragma once
// A matrix of weights as a template argument. Its product with one column becomes straight-line
// additions, subtractions and doublings: a zero weight costs nothing, and every index is known to
// the compiler. This header needs no more than a freestanding compiler; the products with many
// columns, which use vector registers, are in ops/constant.hpp.
//
//   constexpr s3::constant_matrix W = s3::constant<2, 3>({0, 1, -2,  4, -1, 0});
//   apply<W>(x)          x[K] → std::array<int32, M>, usable at compile time
//
// A matrix whose sums could overflow int32 for the type of x is refused at compile time. A row is
// summed by Horner's rule over the exponents: the terms of weights ±2^s for the largest s come
// first, the sum is doubled, the terms of the next smaller s are added, and so on.

#include <s3/config.hpp>
#include <s3/format/triple.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
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

/// Whether a weight is 0 or ±2^s with s ≤ 15.
[[nodiscard]] constexpr bool is_shift(std::int32_t weight) noexcept {
    return weight >= -32768 && weight <= 32768 && to_triple(weight).value() == weight;
}
/// `constant` calls this for a weight that it refuses. It is not constexpr, so the compiler stops
/// there and shows this name as the reason.
inline void weight_is_not_zero_or_a_signed_power_of_two() {}

/// The largest |x| of a type.
template <std::integral X>
inline constexpr std::int64_t largest_abs = std::int64_t{std::numeric_limits<X>::max()} +
                                            (std::is_signed_v<X> ? 1 : 0);

} // namespace detail

/// Whether W·x is exact in int32 for every x of type X: all weights are 0 or ±2^s, and no row's
/// Σ|w|·max|x| exceeds int32's largest value, so that partial sums fit as well. It is always false
/// for an X of 32 bits, unless all weights are 0: convert values that are known to be small to
/// int16.
template <constant_matrix W, std::integral X>
requires(sizeof(X) <= 4) inline constexpr bool product_fits_int32 = [] {
    for (const std::int32_t w : W.values)
        if (!detail::is_shift(w))
            return false;
    for (std::size_t m = 0; m < W.rows; ++m)
        if (W.abs_sum(m) > std::numeric_limits<std::int32_t>::max() / detail::largest_abs<X>)
            return false;
    return true;
}();

template <class X, constant_matrix W>
concept constant_operand = std::integral<X> && product_fits_int32<W, X>;

/// Makes the matrix from its weights, row-major, and checks at compile time that each of them is 0
/// or ±2^s with s ≤ 15.
template <std::size_t M, std::size_t K>
[[nodiscard]] consteval constant_matrix<M, K> constant(const std::int32_t (&weights)[M * K]) {
    constant_matrix<M, K> w;
    for (std::size_t i = 0; i < M * K; ++i) {
        if (!detail::is_shift(weights[i]))
            detail::weight_is_not_zero_or_a_signed_power_of_two();
        w.values[i] = weights[i];
    }
    return w;
}

namespace detail {

template <constant_matrix W, std::size_t Row>
[[nodiscard]] consteval int highest_shift() {
    int highest = 0;
    for (std::size_t k = 0; k < W.columns; ++k)
        if (W(Row, k) != 0)
            highest = to_triple(W(Row, k)).shift > highest ? to_triple(W(Row, k)).shift : highest;
    return highest;
}

/// Adds x to the sum if the weight is 2^Shift, and subtracts it if the weight is −2^Shift. Any
/// other weight belongs to the turn of another shift and is skipped.
template <std::int32_t Weight, int Shift, class V>
S3_INLINE constexpr void add_term(V& sum, const V& x) noexcept {
    if constexpr (Weight == (1 << Shift))
        sum = static_cast<V>(sum + x);
    else if constexpr (Weight == -(1 << Shift))
        sum = static_cast<V>(sum - x);
}

/// Σ W(Row, k)·x(k) over all k, where x(k) returns a number or a vector of numbers of one type V.
template <constant_matrix W, std::size_t Row, class V, class X>
[[nodiscard]] S3_INLINE constexpr V row_sum(const X& x) noexcept {
    V sum(0);
    constexpr int top = highest_shift<W, Row>();
    [&]<std::size_t... S>(std::index_sequence<S...>) S3_INLINE_LAMBDA {
        const auto plane = [&]<int Shift, std::size_t... I>(
            std::integral_constant<int, Shift>, std::index_sequence<I...>) S3_INLINE_LAMBDA {
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

/// Calls store(m, Σ W(m, k)·x(k)) for each row m of W, where x(k) returns a number or a vector.
template <constant_matrix W, class V, class X, class Store>
S3_INLINE constexpr void all_rows(const X& x, const Store& store) noexcept {
    [&]<std::size_t... Row>(std::index_sequence<Row...>) S3_INLINE_LAMBDA {
        (store(std::integral_constant<std::size_t, Row>{}, row_sum<W, Row, V>(x)), ...);
    }
    (std::make_index_sequence<W.rows>{});
}

} // namespace detail

/// y = W·x for one column.
template <constant_matrix W, constant_operand<W> X>
[[nodiscard]] constexpr std::array<std::int32_t, W.rows>
apply(const std::array<X, W.columns>& x) noexcept {
    std::array<std::int32_t, W.rows> y{};
    detail::all_rows<W, std::int32_t>([&](std::size_t k) { return std::int32_t{x[k]}; },
                                      [&](auto m, std::int32_t sum) { y[m] = sum; });
    return y;
}

} // namespace s3
