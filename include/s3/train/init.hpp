#pragma once
// Initial latents. The host passes the random generator. With the same generator and seed, latents
// are the same for every standard library (std::normal_distribution would differ).
//
//   S3          every latent ~ N(0, σ), σ = sqrt(2 / (k²·C_out)) as in the authors' code
//   DenseShift  every latent ~ N(0, 10⁻³) (Li et al. 2022)
//
// Or `initialize_from` sets latents that realize the rounded values of trained real weights.

#include <s3/train/absmean.hpp>
#include <s3/train/latents.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <span>

namespace s3 {

/// Random generators, for example std::mt19937.
template <class G>
concept random_generator = std::uniform_random_bit_generator<std::remove_reference_t<G>>;

namespace detail {

/// A random number, uniform in the open interval (0, 1).
template <random_generator G>
[[nodiscard]] double uniform(G& generator) {
    const double range = static_cast<double>(generator.max() - generator.min()) + 1.0;
    const double u = (static_cast<double>(generator() - generator.min()) + 0.5) / range;
    return std::min(u, 1 - std::numeric_limits<double>::epsilon() / 2); // 64 bits may round to 1
}

} // namespace detail

/// Fills a span with N(0, deviation); two draws make two values (Box and Muller 1958).
template <random_generator G>
void fill_normal(std::span<float> values, double deviation, G& generator) {
    for (std::size_t i = 0; i < values.size(); i += 2) {
        const double radius = deviation * std::sqrt(-2 * std::log(detail::uniform(generator)));
        const double angle = 2 * std::numbers::pi * detail::uniform(generator);
        values[i] = static_cast<float>(radius * std::cos(angle));
        if (i + 1 < values.size())
            values[i + 1] = static_cast<float>(radius * std::sin(angle));
    }
}

/// Fills a span with the uniform distribution over [low, high].
template <random_generator G>
void fill_uniform(std::span<float> values, double low, double high, G& generator) {
    for (float& v : values)
        v = static_cast<float>(low + (high - low) * detail::uniform(generator));
}

/// The authors' σ for `out_channels` filters with `kernel_area` = k² taps (1 for a linear layer).
[[nodiscard]] inline double initial_deviation(std::size_t kernel_area,
                                              std::size_t out_channels) noexcept {
    return std::sqrt(2.0 / (static_cast<double>(kernel_area) * static_cast<double>(out_channels)));
}

/// DenseShift's σ. The first updates then decide the signs of latents, rather than chance.
inline constexpr double small_deviation = 1e-3;

/// Draws every latent from N(0, deviation), field after field.
template <shift_weight_format F, random_generator G>
void initialize(const latents<F>& p, double deviation, G& generator) {
    for (const auto& field : fields(p))
        fill_normal(field, deviation, generator);
}

/// Sets latents that realize the value nearest to each real weight, in units of the weights' mean
/// magnitude. Returns that unit: weight ≈ unit · realized. Each latent is set to the weight's
/// distance from the threshold that it decides on, so that weights near a threshold are the first
/// to move:
///
///   sign w,  sparse |w| − unit/2,  l_{T−j} |w| − 1.5·2^j·unit  (between 2^j and 2^{j+1})
///
/// `weights` may be p.sign itself. Errors, which are found before anything is written: spans of
/// unequal size, a weight that is NaN or infinite.
template <shift_weight_format F>
result<float> initialize_from(std::span<const float> weights, const latents<F>& p) noexcept {
    if (const status sizes = check_sizes(p, weights.size()); !sizes)
        return sizes.error();
    const auto unit = detail::checked_absmean_scale(weights, "weights");
    if (!unit)
        return unit;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const float w = weights[i], magnitude = std::fabs(w);
        p.sign[i] = w;
        if constexpr (F::has_zero)
            p.sparse[i] = magnitude - *unit / 2;
        constexpr float most = std::numeric_limits<float>::max();
        float threshold = std::min(1.5f * *unit, most);
        for (std::size_t k = shift_latents<F>; k > 0; --k) {
            p.shift[k - 1][i] = magnitude - threshold;
            threshold = std::min(2 * threshold, most); // infinity would make the latent so
        }
    }
    return unit;
}

} // namespace s3
