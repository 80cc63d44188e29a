#pragma once
// The scale of a group of weights, with the least squared error Σ(w − s·q)², in two passes of
// vectors: for matrices with a scale for every 32 … 256 weights, where the search of
// scale_search.hpp would take longer than the packing.
//
// A pass tries 16 scales, one per lane, so that sums end up in lanes and need not be added across a
// vector. If the rounding at a scale gives values q, the least error that any scale can have with
// them is Σw² − (Σwq)²/Σq², at s = Σwq/Σq²; the candidate with the greatest (Σwq)²/Σq² is taken.
// The first pass tries scales downwards from the one at which no weight is clipped, the second
// those around its result. Powers of two are compared by their own errors.
//
// The same scales are found on every machine: weights are cut to 16 significant bits for the
// search, so that products with values are exact whether or not they are fused with the sum, and
// the order of sums does not depend on how many lanes a vector has.

#include <s3/core/bit_cast.hpp>
#include <s3/format/weight_format.hpp>
#include <s3/pack/layout.hpp>
#include <s3/pack/scale_search.hpp>
#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <span>

namespace s3::detail {

template <weight_format F, class Arch>
class group_search {
public:
    /// Of weights whose largest magnitude, `largest`, is in [1, 2).
    group_search(std::span<const float> weights, double largest, nearest rule) noexcept
        : weights_(weights), first_(first_for(weights, largest)), rule_(rule) {}

    /// The best real scale.
    [[nodiscard]] double real() const noexcept {
        const double near = at(1 / first_, coarse).least_squares();
        const outcome close = at(near, fine);
        // Least squares improve on a scale only if weights are rounded to the nearest value.
        return 1 / (rule_ == nearest::value ? close.least_squares() : close.tried());
    }
    /// The best power of two.
    [[nodiscard]] double power() const noexcept { return 1 / at(1 / top, octaves).tried(); }

private:
    using vector = simd::lanes<float, Arch>;
    static constexpr std::size_t candidates = 16;
    using factors = std::array<float, candidates>;
    static constexpr std::size_t width = simd::width32<Arch>, vectors = candidates / width;

    /// The least scale at which no weight is clipped; in two's complement, whose limits differ by
    /// one step, the one at which none exceeds the larger limit.
    static double first_for(std::span<const float> weights, double largest) noexcept {
        if constexpr (F::decoding == decode::twos_complement || F::max_value == -F::min_value)
            return largest / std::max(F::max_value, -F::min_value);
        double first = 0;
        for (const float w : weights)
            if (const int limit = w < 0 ? F::min_value : F::max_value;
                (w < 0) == (limit < 0) && limit != 0)
                first = std::max(first, double{w} / limit);
        return first > 0 ? first : largest / nearest_limit<F>;
    }
    /// A power of two at which no weight is clipped; all are below 2.
    static constexpr double top = [] {
        double scale = 2;
        for (int r = 1; r * 2 <= nearest_limit<F>; r *= 2)
            scale /= 2;
        return scale;
    }();
    /// The powers of a number from `first` on.
    static constexpr factors powers(double base, int first) {
        factors all{};
        double power = 1;
        for (; first < 0; ++first)
            power /= base;
        for (float& f : all) {
            f = static_cast<float>(power);
            power *= base;
        }
        return all;
    }
    /// How many candidates an octave has. The first 16 reach as far below the scale at which the
    /// largest weight fits as is worth while for values that lie so close; the second 16 lie eight
    /// times as dense, on both sides of the first result.
    static constexpr int per_octave = F::is_shift || F::bits < 4 ? 4 : F::bits == 4 ? 8 : 16;
    static constexpr double ratio = per_octave == 4   ? 1.1892071150027211
                                    : per_octave == 8 ? 1.0905077326652577
                                                      : 1.0442737824274138; // 2^(1 / per_octave)
    static constexpr double eighth = per_octave == 4   ? 1.0218971486541166
                                     : per_octave == 8 ? 1.0108892860517005
                                                       : 1.0054299011128027; // its eighth root
    static constexpr factors coarse = powers(ratio, 0), fine = powers(eighth, -8),
                             octaves = powers(2, 0);

    /// What rounding at each of the candidates gives.
    struct outcome {
        alignas(64) float to_unit[candidates]; ///< 1 / scale
        alignas(64) float wq[candidates];      ///< Σwq
        alignas(64) float qq[candidates];      ///< Σq²

        /// 1 / scale for the best scale that any of the roundings can have.
        [[nodiscard]] double least_squares() const noexcept {
            float explained[candidates];
            for (std::size_t i = 0; i < candidates; ++i)
                explained[i] = wq[i] * std::max(wq[i], 0.0f) / std::max(qq[i], 1.0f);
            const std::size_t i = largest_of(explained);
            return wq[i] > 0 ? double{qq[i]} / double{wq[i]} : 1;
        }
        /// 1 / scale for the best of the candidates.
        [[nodiscard]] double tried() const noexcept {
            double explained[candidates]; // Σw² less the error
            for (std::size_t i = 0; i < candidates; ++i) {
                const double u = to_unit[i]; // products with it are exact in double
                explained[i] = (2 * u * double{wq[i]} - double{qq[i]}) / (u * u);
            }
            return double{to_unit[largest_of(explained)]};
        }
    };
    /// The index of the largest number, the first of equal ones.
    template <class T>
    [[nodiscard]] static std::size_t largest_of(const T (&all)[candidates]) noexcept {
        T part[candidates / 2];
        for (std::size_t i = 0; i < candidates / 2; ++i)
            part[i] = std::max(all[i], all[i + candidates / 2]);
        for (std::size_t n = candidates / 4; n > 0; n /= 2)
            for (std::size_t i = 0; i < n; ++i)
                part[i] = std::max(part[i], part[i + n]);
        std::size_t at = 0;
        while (all[at] != part[0] && at < candidates - 1)
            ++at;
        return at;
    }

    /// Tries the scales of which 1 / scale is to_unit · factor[i], in one pass.
    [[nodiscard]] outcome at(double to_unit, const factors& factor) const noexcept {
        constexpr std::size_t parts = 4;
        const vector common = simd::broadcast<float, Arch>(static_cast<float>(to_unit));
        vector unit[vectors], wq[vectors][parts], qq[vectors][parts];
        for (std::size_t v = 0; v < vectors; ++v) {
            unit[v] = simd::load<float, Arch>(factor.data() + v * width) * common;
            for (std::size_t p = 0; p < parts; ++p)
                wq[v][p] = qq[v][p] = simd::broadcast<float, Arch>(0);
        }
        for (std::size_t i = 0; i < weights_.size(); i += parts)
            for (std::size_t p = 0; p < parts; ++p) {
                const vector w = simd::broadcast<float, Arch>(weights_[i + p]);
                for (std::size_t v = 0; v < vectors; ++v) {
                    const vector q = rounded(w * unit[v]);
                    wq[v][p] = simd::multiply_add(w, q, wq[v][p]);
                    qq[v][p] = simd::multiply_add(q, q, qq[v][p]);
                }
            }
        outcome o;
        for (std::size_t v = 0; v < vectors; ++v) {
            simd::store<Arch>(o.to_unit + v * width, unit[v]);
            simd::store<Arch>(o.wq + v * width, (wq[v][0] + wq[v][1]) + (wq[v][2] + wq[v][3]));
            simd::store<Arch>(o.qq + v * width, (qq[v][0] + qq[v][1]) + (qq[v][2] + qq[v][3]));
        }
        return o;
    }

    /// The values that real numbers round to, as F::round says; those of a shift format are not
    /// negative.
    [[nodiscard]] S3_INLINE vector rounded(const vector& u) const noexcept {
        if constexpr (F::is_shift) {
            // Adding to the bits of |u| what is missing from the threshold to the next power of two
            // carries into the exponent from the threshold on.
            using bits = simd::lanes<std::uint32_t, Arch>;
            const auto constant = [](std::uint32_t b) S3_INLINE_LAMBDA {
                return simd::broadcast<std::uint32_t, Arch>(b);
            };
            const std::uint32_t carry = rule_ == nearest::log2 ? 0x800000u - 0x3504f3u : 0x400000u;
            const bits pattern = simd::as<std::uint32_t>(u);
            const vector power =
                simd::as<float>((pattern + constant(carry)) & constant(0x7f800000u));
            const vector one = simd::broadcast<float, Arch>(1);
            vector q = simd::min(simd::max(power, one),
                                 simd::broadcast<float, Arch>(static_cast<float>(F::max_value)));
            if constexpr (F::has_zero) {
                const float least = rule_ == nearest::log2 ? 0.70710678f : 0.5f;
                q = simd::select(u >= simd::broadcast<float, Arch>(least), q,
                                 simd::broadcast<float, Arch>(0));
            }
            return q;
        } else if constexpr (F::decoding == decode::twos_complement) {
            const auto limit = [](int v) S3_INLINE_LAMBDA {
                return simd::broadcast<float, Arch>(static_cast<float>(v));
            };
            return simd::to_float(simd::nearbyint_as_int(
                simd::max(simd::min(u, limit(F::max_value)), limit(F::min_value))));
        } else {
            return simd::detail::each_lane<float, Arch>(
                [all = simd::detail::lane_array<float, Arch>(u), rule = rule_](std::size_t i) {
                    return F::round(static_cast<double>(all[i]), rule);
                });
        }
    }

    std::span<const float> weights_; ///< their magnitudes, if F is a shift format
    double first_;                   ///< the scale from which the search goes down
    nearest rule_;
};

/// The scale of a group, as `stored` keeps it; never 0. `copy` has room for the weights.
template <weight_format F, std::floating_point T, architecture Arch = arch::native>
[[nodiscard]] float group_scale(std::span<const T> weights, double largest, nearest rule,
                                bool as_power, layout::scale_type stored, float* copy) noexcept {
    if (largest == 0)
        return 1;
    const int exponent = std::clamp(exponent_of(largest), -1000, 1022);
    const double to_unit = power_of_two(-exponent);
    constexpr std::uint32_t kept_bits = F::is_shift ? 0x7fffff00u : 0xffffff00u;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const auto w = static_cast<float>(static_cast<double>(weights[i]) * to_unit);
        copy[i] = bit_cast<float>((bit_cast<std::uint32_t>(w) + 0x80u) & kept_bits);
    }
    const group_search<F, Arch> search({copy, weights.size()}, largest * to_unit, rule);
    const double scale = (as_power ? search.power() : search.real()) * power_of_two(exponent);
    const float kept = layout::from_bits(
        layout::to_bits(static_cast<float>(std::min(scale, 0x1p127)), stored), stored);
    // Where the type ends, weights that are too small for it become zero, or its smallest scale.
    return std::max(kept, stored == layout::scale_type::binary16 ? 0x1p-24f : 0x1p-126f);
}

} // namespace s3::detail
