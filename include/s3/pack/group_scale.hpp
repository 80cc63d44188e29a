#pragma once
// The scale of a group of weights, with the least squared error Σ(w − s·q)², in a few passes of
// vectors: for matrices with a scale for every 32 … 256 weights, where the search of
// scale_search.hpp would take longer than the packing.
//
// Scales from the one at which the largest weight becomes the largest value, down by a factor of
// 16, are tried in steps of 2^(−1/4). If the rounding at a scale gives values q, the least error
// that any scale can have with them is Σw² − (Σwq)²/Σq², at s = Σwq/Σq²; so the candidate with the
// greatest (Σwq)²/Σq² is taken, and from it rounding and least squares alternate. Powers of two are
// compared by their own errors.
//
// The same scales are found on every machine: weights are cut to 16 significant bits for the
// search, so that products with values are exact whether or not they are fused with the sum, and
// sums are kept in 16 lanes, however many of them a vector has.

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
    /// Of `count` weights, a multiple of 16, whose largest magnitude, `largest`, is in [1, 2).
    group_search(const float* weights, std::size_t count, double largest, nearest rule) noexcept
        : weights_(weights), count_(count), first_(static_cast<float>(largest / reach)),
          rule_(rule) {}

    /// The best real scale.
    [[nodiscard]] double real() const noexcept {
        double best = 1, most = -1;
        for (const float factor : grid) {
            const sums s = at(first_ * factor);
            if (const double explained = s.explained(); explained > most)
                most = explained, best = s.best_scale();
        }
        for (int i = 0; i < 3; ++i) {
            const sums s = at(static_cast<float>(best));
            if (s.explained() <= most)
                break;
            most = s.explained(), best = s.best_scale();
        }
        return best;
    }
    /// The best power of two.
    [[nodiscard]] double power() const noexcept {
        double best = 1, least = 0;
        for (int i = 0; i <= 5; ++i) {
            const double scale = top / (1 << i);
            const sums s = at(static_cast<float>(scale));
            const double error = scale * (scale * s.qq - 2 * s.wq); // without Σw²
            if (i == 0 || error < least)
                least = error, best = scale;
        }
        return best;
    }

private:
    using vector = simd::lanes<float, Arch>;
    /// How far the largest weight may be clipped, and how finely scales are tried, by how close
    /// values lie.
    static constexpr int octaves = F::is_shift || F::bits < 4 ? 4 : F::bits == 4 ? 2 : 1;
    static constexpr int steps = 16 / octaves;
    static constexpr std::size_t width = simd::width32<Arch>, vectors = 16 / width;
    static constexpr int reach = std::max(F::max_value, -F::min_value);
    /// A power of two at which the largest weight, below 2, does not exceed the largest value.
    static constexpr double top = [] {
        double scale = 2;
        for (int r = 1; r * 2 <= reach; r *= 2)
            scale /= 2;
        return scale;
    }();
    /// 2^(−i/steps).
    static constexpr auto grid = [] {
        std::array<float, 17> all{};
        double factor = 1;
        for (float& f : all) {
            f = static_cast<float>(factor);
            factor *= steps == 16  ? 0.95760328069857365
                      : steps == 8 ? 0.91700404320467124
                                   : 0.84089641525371454;
        }
        return all;
    }();

    struct sums {
        double wq = 0, qq = 0;

        [[nodiscard]] double explained() const noexcept {
            return qq > 0 && wq > 0 ? wq * wq / qq : 0;
        }
        [[nodiscard]] double best_scale() const noexcept { return qq > 0 && wq > 0 ? wq / qq : 1; }
    };

    [[nodiscard]] sums at(float scale) const noexcept {
        const float to_unit = 1 / scale;
        vector wq[vectors], qq[vectors];
        for (std::size_t v = 0; v < vectors; ++v)
            wq[v] = qq[v] = simd::broadcast<float, Arch>(0);
        for (std::size_t i = 0; i < count_; i += 16)
            for (std::size_t v = 0; v < vectors; ++v) {
                const vector w = simd::load<float, Arch>(weights_ + i + v * width);
                const vector q = rounded(w * simd::broadcast<float, Arch>(to_unit));
                wq[v] = simd::multiply_add(w, q, wq[v]);
                qq[v] = simd::multiply_add(q, q, qq[v]);
            }
        alignas(64) float all[2][16];
        for (std::size_t v = 0; v < vectors; ++v) {
            simd::store<Arch>(all[0] + v * width, wq[v]);
            simd::store<Arch>(all[1] + v * width, qq[v]);
        }
        return {sum_of(all[0]), sum_of(all[1])};
    }
    /// Adds 16 lanes by halves.
    [[nodiscard]] static S3_INLINE double sum_of(const float (&lanes)[16]) noexcept {
        double half[8];
        for (std::size_t i = 0; i < 8; ++i)
            half[i] = double{lanes[i]} + double{lanes[i + 8]};
        return ((half[0] + half[4]) + (half[2] + half[6])) +
               ((half[1] + half[5]) + (half[3] + half[7]));
    }

    /// The values that real numbers round to, as F::round says.
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
            const bits size = pattern & constant(0x7fffffffu);
            const vector power = simd::as<float>((size + constant(carry)) & constant(0x7f800000u));
            const vector one = simd::broadcast<float, Arch>(1);
            vector q = simd::min(simd::max(power, one),
                                 simd::broadcast<float, Arch>(static_cast<float>(F::max_value)));
            if constexpr (F::has_zero) {
                const float least = rule_ == nearest::log2 ? 0.70710678f : 0.5f;
                q = simd::select(simd::as<float>(size) >= simd::broadcast<float, Arch>(least), q,
                                 simd::broadcast<float, Arch>(0));
            }
            return simd::as<float>(simd::as<std::uint32_t>(q) | (pattern & constant(0x80000000u)));
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

    const float* weights_;
    std::size_t count_;
    float first_; ///< the scale at which the largest weight becomes the largest value
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
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const auto w = static_cast<float>(static_cast<double>(weights[i]) * to_unit);
        copy[i] = bit_cast<float>((bit_cast<std::uint32_t>(w) + 0x80u) & 0xffffff00u);
    }
    const group_search<F, Arch> search(copy, weights.size(), largest * to_unit, rule);
    const double scale = (as_power ? search.power() : search.real()) * power_of_two(exponent);
    const float kept = layout::from_bits(
        layout::to_bits(static_cast<float>(std::min(scale, 0x1p127)), stored), stored);
    // Where the type ends, weights that are too small for it become zero, or its smallest scale.
    return std::max(kept, stored == layout::scale_type::binary16 ? 0x1p-24f : 0x1p-126f);
}

} // namespace s3::detail
