#pragma once
// Quantization: arbitrary real weights → the nearest weights of a format, at the scale s with the
// least squared error Σ(w − value·s)², per tensor, per row (output channel), or per group of 32,
// 64, 128 or 256 consecutive weights of a row.
//
//   scale_kind::power_of_two   s = 2^p: the exponent offset if per tensor, else `scale()`
//   scale_kind::real           s is any float and becomes `scale()`
//
// Scales of groups are stored in `stored`, 16 bits by default, and weights are rounded to those.
// They are found by another search (pack/group_scale.hpp), which is several times faster.
//
// `nearest::value` rounds to the nearest value (thresholds 1.5·2^k, as in INQ; ties away from
// zero). `nearest::log2` rounds the exponent (thresholds √2·2^k, as in DeepShift). In a format with
// zero, weights below the smallest threshold (½ or 1/√2 of the smallest value) become zero; in one
// without, they become the smallest value. Formats without exponents always round to the nearest
// value. Errors: NaN or infinity (found even under -ffast-math); doubles that are larger than 2^126
// times the format's largest value; a number of weights that is not rows · columns; a group that
// does not divide the columns, a scale that `stored` cannot hold.

#include <s3/core/bit_cast.hpp>
#include <s3/core/is_finite.hpp>
#include <s3/pack/group_scale.hpp>
#include <s3/pack/pack.hpp>
#include <s3/pack/scale_search.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace s3 {

enum class scale_per : unsigned char { tensor, row, group };
enum class scale_kind : unsigned char { power_of_two, real };

struct quantize_options {
    nearest rounding = nearest::value;
    scale_per granularity = scale_per::tensor;
    scale_kind scale = scale_kind::power_of_two;
    std::size_t group = 128;                  ///< weights per scale, for scale_per::group
    scale_type stored = scale_type::binary16; ///< for scale_per::group
};

namespace detail {

/// The code of the value that a real number rounds to.
template <weight_format F>
[[nodiscard]] constexpr int rounded_code(double real, nearest rule) noexcept {
    if constexpr (requires { F::rounded_code(real, rule); })
        return F::rounded_code(real, rule);
    else
        return F::code_of(F::round(real, rule));
}

/// The largest magnitude among the weights. A NaN counts as larger than infinity, and infinity as
/// larger than any number, so a single check of the result finds them.
template <std::floating_point T>
[[nodiscard]] double largest_magnitude(std::span<const T> weights) noexcept {
    using number = std::conditional_t<std::is_same_v<T, float>, float, double>;
    using pattern = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint64_t>;
    constexpr pattern magnitude = std::numeric_limits<pattern>::max() >> 1;
    pattern largest = 0;
    for (const T w : weights)
        largest = std::max(largest, bit_cast<pattern>(static_cast<number>(w)) & magnitude);
    return static_cast<double>(bit_cast<number>(largest));
}

/// The largest magnitude among `count` weights from the given one on, or an error at the first that
/// is NaN, infinite, or larger than any scale's largest value.
template <weight_format F, std::floating_point T>
[[nodiscard]] result<double> checked_magnitude(std::span<const T> weights, std::size_t from,
                                               std::size_t count) noexcept {
    constexpr double limit = std::max(F::max_value, -F::min_value) * 0x1p126;
    const double largest = largest_magnitude(weights.subspan(from, count));
    if (is_finite_result(largest) && largest <= limit)
        return largest;
    for (;; ++from) {
        const double w = static_cast<double>(weights[from]);
        if (!is_finite(w))
            return error(errc::not_finite, "weights").at(from);
        if (std::fabs(w) > limit)
            return error(errc::not_in_format, "weights").at(from).got(w).limit(limit);
    }
}

template <weight_format F, std::floating_point T>
result<packed_matrix<F>> quantize_groups(std::span<const T> weights, std::size_t rows,
                                         std::size_t columns, const quantize_options& o) {
    if (!layout::is_group(o.group))
        return error(errc::bad_option, "group").outside(o.group, 32, 256);
    if (columns % o.group != 0)
        return error(errc::shape_mismatch, "group").got(o.group).divides(columns);
    auto scale = buffer<float>::make(rows * (columns / o.group));
    if (!scale)
        return scale.error();
    float copy[256];
    for (std::size_t g = 0; g < scale->size(); ++g) {
        const auto part = weights.subspan(g * o.group, o.group);
        const auto largest = checked_magnitude<F>(weights, g * o.group, o.group);
        if (!largest)
            return largest.error();
        (*scale)[g] = group_scale<F>(part, *largest, o.rounding,
                                     o.scale == scale_kind::power_of_two, o.stored, copy);
    }
    return packed_matrix<F>::from_codes(
        rows, columns, {0, scale->span(), o.group, o.stored}, [&](std::size_t group) {
            return [from = weights.data(), to_unit = 1 / double{(*scale)[group]},
                    rule = o.rounding](std::size_t i) {
                return rounded_code<F>(static_cast<double>(from[i]) * to_unit, rule);
            };
        });
}

} // namespace detail

/// Quantizes [rows][columns] real weights, given row-major; the result holds the scales found.
template <weight_format F, std::floating_point T>
result<packed_matrix<F>> quantize(std::span<const T> weights, std::size_t rows, std::size_t columns,
                                  const quantize_options& options = {}) {
    if (weights.size() != saturating_mul(rows, columns))
        return error(errc::shape_mismatch, "weights")
            .got(weights.size())
            .needs(saturating_mul(rows, columns));
    if (options.granularity == scale_per::group)
        return detail::quantize_groups<F>(weights, rows, columns, options);
    const bool per_row = options.granularity == scale_per::row;
    const bool real = options.scale == scale_kind::real;
    auto scale = buffer<float>::make(per_row ? rows : real ? 1 : 0);
    if (!scale)
        return scale.error();
    int offset = 0;
    for (std::size_t group = 0; group < (per_row ? rows : 1); ++group) {
        const auto part = per_row ? weights.subspan(group * columns, columns) : weights;
        const auto largest =
            detail::checked_magnitude<F>(weights, per_row ? group * columns : 0, part.size());
        if (!largest)
            return largest.error();
        const detail::scale_search<F, T> search(part, *largest, options.rounding);
        if (real)
            (*scale)[group] = search.best_real();
        else if (const int p = search.best_exponent(); per_row)
            (*scale)[group] = static_cast<float>(detail::power_of_two(p));
        else
            offset = p;
    }
    return packed_matrix<F>::from_codes(
        rows, columns, {offset, scale->span()}, [&](std::size_t row) {
            const double s = scale->size() == 0 ? detail::power_of_two(offset)
                                                : double{(*scale)[per_row ? row : 0]};
            return
                [from = weights.data(), to_unit = 1 / s, rule = options.rounding](std::size_t i) {
                    return detail::rounded_code<F>(static_cast<double>(from[i]) * to_unit, rule);
                };
        });
}

template <weight_format F, class Range>
requires requires(const Range& r) {
    std::span(r);
}
[[nodiscard]] auto quantize(const Range& weights, std::size_t rows, std::size_t columns,
                            const quantize_options& options = {}) {
    using T = std::remove_cv_t<typename decltype(std::span(weights))::element_type>;
    return quantize<F, T>(std::span<const T>(weights), rows, columns, options);
}

} // namespace s3
