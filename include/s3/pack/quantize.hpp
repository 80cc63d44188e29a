#pragma once
// Arbitrary real weights → the nearest weights of a format, with a power-of-two scale per tensor or
// per row that minimises the squared error Σ(w − value·scale)².
//
// `nearest::value` rounds to the nearest value (thresholds 1.5·2^k, as INQ; ties away from zero).
// `nearest::log2` rounds the exponent (thresholds √2·2^k, as DeepShift). With a zero in the format,
// what lies below the smallest threshold (half, or 1/√2, of the smallest value) becomes zero;
// without, it becomes the smallest value. Integer formats (int8) round to nearest.

#include <s3/pack/pack.hpp>

#include <cmath>
#include <limits>

namespace s3 {

enum class scale_per : unsigned char { tensor, row };

struct quantize_options {
    nearest rounding = nearest::value;
    scale_per granularity = scale_per::tensor;
};

namespace detail {

/// Squared error of `row` at scale 2^p.
template <weight_format F, std::floating_point T>
[[nodiscard]] double squared_error(std::span<const T> row, int p, nearest rounding) noexcept {
    double sum = 0;
    for (const T w : row) {
        const double scaled = std::ldexp(static_cast<double>(w), -p);
        const double d = scaled - F::round(scaled, rounding);
        sum += d * d;
    }
    return std::ldexp(sum, 2 * p);
}

/// The exponent p of the best scale 2^p: the largest value covers the largest weight, or it is
/// clipped somewhat so that the small ones are finer.
template <weight_format F, std::floating_point T>
[[nodiscard]] int best_exponent(std::span<const T> row, nearest rounding) noexcept {
    double largest = 0;
    for (const T w : row)
        largest = std::max(largest, std::fabs(static_cast<double>(w)));
    if (largest == 0)
        return 0;
    const int top = std::ilogb(largest) + 2 - std::ilogb(double{F::max_value});
    constexpr int candidates = 10;
    int best = top;
    double least = std::numeric_limits<double>::infinity();
    for (int p = top; p > top - candidates; --p) {
        const double e = squared_error<F>(row, p, rounding);
        if (e < least)
            least = e, best = p;
    }
    return std::clamp(best, -126, 126);
}

} // namespace detail

/// Quantizes [rows][columns] real weights. A per-tensor scale becomes the exponent offset, per-row
/// scales become `scale()`. Errors: NaN or infinity (index), shape.
template <weight_format F, std::floating_point T>
result<packed_matrix<F>> quantize(std::span<const T> weights, std::size_t rows, std::size_t columns,
                                  const quantize_options& options = {}) {
    if (weights.size() != saturating_mul(rows, columns))
        return error(errc::shape_mismatch, "weights")
            .got(weights.size())
            .needs(saturating_mul(rows, columns));
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (!std::isfinite(weights[i]))
            return error(errc::not_finite, "weights").at(i);
    const bool per_row = options.granularity == scale_per::row;
    auto nearest = buffer<double>::make(weights.size());
    auto scale = buffer<float>::make(per_row ? rows : 0);
    if (!nearest)
        return nearest.error();
    if (!scale)
        return scale.error();
    const int shared = per_row ? 0 : detail::best_exponent<F>(weights, options.rounding);
    for (std::size_t r = 0; r < rows; ++r) {
        const auto row = weights.subspan(r * columns, columns);
        const int p = per_row ? detail::best_exponent<F>(row, options.rounding) : shared;
        if (per_row)
            (*scale)[r] = std::ldexp(1.0f, p);
        for (std::size_t c = 0; c < columns; ++c) {
            const double unit = std::ldexp(static_cast<double>(row[c]), -p);
            (*nearest)[r * columns + c] =
                std::ldexp(double(F::round(unit, options.rounding)), shared);
        }
    }
    return pack<F, double>(nearest->span(), rows, columns, {shared, scale->span()});
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
