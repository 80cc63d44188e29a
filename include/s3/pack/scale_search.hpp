#pragma once
// The scale s that minimises the squared error Σ (w − s·round(w/s))² of some weights in a format.
//
//   powers of two   All exponents are tried, from the one at which the largest weight fits
//                   downwards, until the weights beyond the largest value alone cost more than
//                   the best exponent found. For shift formats a histogram gives each error
//                   exactly, because its bins are cut where rounding changes; for other formats
//                   each exponent takes a pass over the weights.
//   real            A grid of scales is tried on a histogram. From the best one on, two moves
//                   alternate: rounding, and the least-squares scale Σwq / Σq² of the rounded q.
//
// Weights must be finite. Inside the search they are normalised by a power of two to a largest
// magnitude in [1, 2); its scales and errors are those of the normalised weights.

#include <s3/core/bit_cast.hpp>
#include <s3/format/weight_format.hpp>
#include <s3/pack/weight_bins.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>

namespace s3::detail {

/// 2^exponent, where that is a normal number: exponents of −1022 … 1023.
[[nodiscard]] constexpr double power_of_two(int exponent) noexcept {
    return bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}
/// ⌊log2 x⌋ of a positive normal number; less than −1022 for zero and subnormal numbers.
[[nodiscard]] constexpr int exponent_of(double x) noexcept {
    return static_cast<int>(bit_cast<std::uint64_t>(x) >> 52 & 0x7ff) - 1023;
}

/// What rounding weights w to s·q at one scale s gives.
struct fit {
    double error = 0; ///< Σ (w − s·q)²
    double clipped =
        0; ///< the part of the error that is due to weights beyond the largest or smallest value
    double wq = 0; ///< Σ w·q
    double qq = 0; ///< Σ q²

    [[nodiscard]] double best_scale(double otherwise) const noexcept {
        return qq > 0 && wq > 0 ? wq / qq : otherwise;
    }
};

/// Whether u lies beyond the largest or the smallest value. A limit does not count where all values
/// have the other sign: at smaller scales such weights come nearer to it.
template <weight_format F>
[[nodiscard]] constexpr bool clips(double u) noexcept {
    return (F::max_value > 0 && u > F::max_value) || (F::min_value < 0 && u < F::min_value);
}

/// The magnitude of the format's largest or smallest value, whichever is nearer to zero, of those
/// that lie on their side of it: at the scale at which the largest weight becomes this value, none
/// is clipped.
template <weight_format F>
inline constexpr int nearest_limit = F::max_value <= 0   ? -F::min_value
                                     : F::min_value >= 0 ? F::max_value
                                                         : std::min(F::max_value, -F::min_value);

/// Adds a group of weights that all round to `value`: `count` weights with the sum `sum` and the
/// sum of squares `squares`. `beyond` tells that they lie beyond the format's range.
template <weight_format F>
constexpr void add(fit& f, int value, double scale, double count, double sum, double squares,
                   bool beyond) noexcept {
    const double v = value, level = scale * v;
    const double error = squares - 2 * level * sum + level * level * count;
    f.error += error;
    f.clipped += beyond && (value == F::max_value || value == F::min_value) ? error : 0;
    f.wq += v * sum;
    f.qq += v * v * count;
}

template <weight_format F, std::floating_point T>
class scale_search {
public:
    scale_search(std::span<const T> weights, double largest, nearest rule) noexcept
        : weights_(weights), rule_(rule), exponent_(std::clamp(exponent_of(largest), -1000, 1022)),
          largest_(largest * power_of_two(-exponent_)), to_unit_(power_of_two(-exponent_)) {}

    /// The exponent of the best scale 2^p.
    [[nodiscard]] int best_exponent() const noexcept {
        if (largest_ == 0)
            return 0;
        if constexpr (F::is_shift) {
            if (rule_ == nearest::log2)
                return best_exponent_of(binned<0>());
            return best_exponent_of(binned<1>());
        } else {
            return descend([this](double scale) { return measure(scale); });
        }
    }

    /// The best real scale, rounded to float.
    [[nodiscard]] float best_real() const noexcept {
        if (largest_ == 0)
            return 1;
        if constexpr (F::decoding == decode::twos_complement) {
            return narrowed(refined(best_of_two()).scale);
        } else {
            const grid_result grid = best_on_grid();
            const candidate best = refined(grid.scale);
            // Bins are too coarse to rank nearly equal scales, but they rank powers of two well
            // enough. So where the refined scale is worse than the best power of two, the search
            // starts from that one.
            if (best.error > grid.power.error)
                return narrowed(refined(grid.power.scale).scale);
            return narrowed(best.scale);
        }
    }

private:
    struct candidate {
        double scale = 1;
        double error = std::numeric_limits<double>::max();
    };
    struct grid_result {
        double scale;
        candidate power; ///< the best scale among powers of two
    };

    /// Improves a scale in up to three steps that round at the scale and then take the
    /// least-squares scale of the result. The true error at the scale returned is at most `error`.
    [[nodiscard]] candidate refined(double scale) const noexcept {
        candidate best{scale};
        for (int step = 0; step < 3; ++step) {
            const fit f = measure(scale);
            if (f.error >= best.error)
                break;
            best = {scale, f.error};
            scale = f.best_scale(scale);
            // The scale has hardly moved, so next to no weight would round differently and the
            // least-squares scale of the last rounding is the better one. This holds only where the
            // format's steps are coarse: among finer ones many weights could round differently.
            if (F::bits <= 5 && std::fabs(scale - best.scale) < 1e-3 * best.scale)
                return {scale, f.error};
        }
        return best;
    }

    /// The histogram of the normalised magnitudes.
    template <int MantissaBits>
    [[nodiscard]] weight_bins<MantissaBits> binned() const noexcept {
        weight_bins<MantissaBits> bins(MantissaBits == 0);
        for (const T w : weights_)
            bins.add(static_cast<double>(w) * to_unit_);
        return bins;
    }

    /// Tries one scale in a pass over the weights.
    [[nodiscard]] fit measure(double scale) const noexcept {
        const double to_level = to_unit_ / scale;
        fit f;
        for (const T w : weights_) {
            const double u = static_cast<double>(w) * to_level;
            const int q = F::round(u, rule_);
            const double v = q, d = u - v;
            f.error += d * d;
            f.clipped += clips<F>(u) ? d * d : 0;
            f.wq += u * v;
            f.qq += v * v;
        }
        f.error *= scale * scale;
        f.clipped *= scale * scale;
        f.wq *= scale;
        return f;
    }

    template <class Fit>
    [[nodiscard]] int descend(Fit&& fit_of) const noexcept {
        const int top = exponent_of(largest_) + 2 - exponent_of(double{nearest_limit<F>});
        int best = top;
        double least = std::numeric_limits<double>::max();
        for (int p = top; p > top - weight_bins<0>::octaves - 16; --p) {
            const fit f = fit_of(power_of_two(p));
            if (f.error < least)
                least = f.error, best = p;
            if (f.clipped >= least)
                break;
        }
        return std::clamp(best + exponent_, -126, 126);
    }
    template <int MantissaBits>
    [[nodiscard]] int best_exponent_of(const weight_bins<MantissaBits>& bins) const noexcept {
        return descend([&](double scale) {
            fit f;
            for (std::size_t i = 0; i < bins.size; ++i) {
                const auto& b = bins[i];
                if (b.count == 0)
                    continue;
                const double u = bins.low(i) / scale;
                add<F>(f, F::round(u, rule_), scale, b.count, b.sum, b.squares, u >= F::max_value);
            }
            return f;
        });
    }

    /// One bin that is not empty; `mean` stands for its weights when they are rounded.
    struct level_bin {
        double count, sum, squares, mean;
    };
    static constexpr int grid_bits = 3;
    /// Bins are kept for both signs where the format is not symmetric.
    static constexpr std::size_t signs = F::is_shift ? 1 : 2;
    using level_bins = std::array<level_bin, weight_bins<grid_bits>::size * signs>;

    [[nodiscard]] std::span<const level_bin> fill(level_bins& to) const noexcept {
        weight_bins<grid_bits> bins[signs];
        for (const T w : weights_) {
            const double x = static_cast<double>(w) * to_unit_;
            bins[signs == 2 && x < 0 ? 1 : 0].add(x);
        }
        std::size_t count = 0;
        for (std::size_t s = 0; s < signs; ++s)
            for (std::size_t i = 0; i < bins[s].size; ++i)
                if (const auto& b = bins[s][i]; b.count != 0) {
                    const double sum = s == 0 ? b.sum : -b.sum;
                    to[count++] = {b.count, sum, b.squares, sum / b.count};
                }
        return {to.data(), count};
    }
    [[nodiscard]] fit fit_of(std::span<const level_bin> bins, double scale) const noexcept {
        fit f;
        const double to_level = 1 / scale;
        for (const level_bin& b : bins) {
            const double u = b.mean * to_level;
            add<F>(f, F::round(u, rule_), scale, b.count, b.sum, b.squares, clips<F>(u));
        }
        return f;
    }
    [[nodiscard]] grid_result best_on_grid() const noexcept {
        level_bins memory;
        const auto bins = fill(memory);
        constexpr int steps = 6;                      // scales per octave
        constexpr double ratio = 0.89089871814033930; // 2^(−1/6)
        const int top = exponent_of(largest_) + 2 - exponent_of(double{nearest_limit<F>});
        double squares = 0;
        for (const level_bin& b : bins)
            squares += b.squares;
        double best = 1, least = std::numeric_limits<double>::max();
        candidate power;
        double scale = 1;
        for (int i = 0; i < steps * (weight_bins<0>::octaves + 16); ++i, scale *= ratio) {
            if (i % steps == 0)
                scale = power_of_two(top - i / steps);
            const fit f = fit_of(bins, scale);
            if (f.error < least)
                least = f.error, best = scale;
            if (i % steps == 0 && f.error < power.error)
                power = {scale, f.error};
            // At its own least-squares scale, this rounding has the error Σw² − (Σwq)²/Σq².
            if (const double next = f.best_scale(0); next > 0 && squares - f.wq * next < least)
                least = squares - f.wq * next, best = next;
            if (f.clipped >= least)
                break;
        }
        for (int i = 0; i < 4; ++i) {
            const double next = fit_of(bins, best).best_scale(best);
            const fit f = fit_of(bins, next);
            if (f.error >= least)
                break;
            least = f.error, best = next;
        }
        return {best, power};
    }
    /// The starting scale for integers, whose steps are finer than the bins: the best power of two,
    /// or the scale at which no weight is clipped, whichever is better.
    [[nodiscard]] double best_of_two() const noexcept {
        const double power = power_of_two(best_exponent() - exponent_);
        const double whole = largest_ / reach;
        return measure(power).error <= measure(whole).error ? power : whole;
    }
    [[nodiscard]] float narrowed(double scale) const noexcept {
        const double real = scale / to_unit_;
        return static_cast<float>(std::clamp(real, power_of_two(-126), power_of_two(126)));
    }

    /// The magnitude of the format's value that the largest weights are rounded to.
    static constexpr int reach = F::max_value > 0 ? F::max_value : -F::min_value;

    std::span<const T> weights_;
    nearest rule_;
    int exponent_;   ///< the exponent of the largest weight
    double largest_; ///< the magnitude of the largest weight, normalised
    double to_unit_; ///< the factor that normalises weights
};

} // namespace s3::detail
