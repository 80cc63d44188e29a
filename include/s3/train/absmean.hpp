#pragma once
// Absmean ternary weights (Ma et al. 2024, "The Era of 1-bit LLMs", BitNet b1.58). They have one
// real latent v per weight and one scale γ per tensor:
//
//   γ = mean |v|,   w = clip(round(v / (γ + ε)), −1, 1) ∈ {−1, 0, 1},   real weight = γ·w
//
// with ties rounded to even. The ternary part is the format `ternary` (2 bits), and the epilogue
// multiplies by γ. Backward is straight through: the gradient of v is that of the real weight (γ
// itself gets none), filtered by the estimator, which sees v / (γ + ε) and w. Errors, which are
// found before anything is written: spans of unequal size, a latent that is NaN or infinite.

#include <s3/train/reparam.hpp>

#include <array>
#include <cmath>
#include <span>

namespace s3 {

namespace detail {

/// The ε of the formula, with which a tensor of zeros has w = 0 rather than 0/0.
inline constexpr float absmean_epsilon = 1e-5f;

/// The w of x = v / (γ + ε): ±1 where |x| > ½, else 0, since ½ itself rounds to the even 0.
template <class V>
[[nodiscard]] S3_INLINE V ternary_of(const V& x) noexcept {
    const V zero(0.0f), half(0.5f);
    return lanes::select(x > half, V(1.0f), lanes::select(x < zero - half, V(-1.0f), zero));
}

} // namespace detail

/// The γ of a tensor. Its sum is computed in double and in a fixed order, so it is the same
/// everywhere.
[[nodiscard]] inline float absmean_scale(std::span<const float> latent) noexcept {
    if (latent.empty())
        return 0.0f;
    std::array<double, 8> sum{};
    for (std::size_t i = 0; i < latent.size(); ++i)
        sum[i % 8] += std::fabs(double{latent[i]});
    double total = 0;
    for (const double part : sum)
        total += part;
    return static_cast<float>(total / static_cast<double>(latent.size()));
}

namespace detail {
/// γ, or an error at the first value that is NaN or infinite. Values are only searched if γ is not
/// finite, which any such value makes it.
inline result<float> checked_absmean_scale(std::span<const float> latent,
                                           const char* argument) noexcept {
    const float scale = absmean_scale(latent);
    for (std::size_t i = 0; !is_finite_result(scale) && i < latent.size(); ++i)
        if (!is_finite(latent[i]))
            return error(errc::not_finite, argument).at(i);
    return scale;
}
} // namespace detail

/// Writes the real weight γ·w of each latent to `weights`, or w alone if `unit`; returns γ.
template <architecture Arch = arch::native>
result<float> realize_absmean(std::span<const float> latent, std::span<float> weights,
                              bool unit = false) noexcept {
    if (weights.size() != latent.size())
        return error(errc::shape_mismatch, "weights").got(weights.size()).needs(latent.size());
    const auto scale = detail::checked_absmean_scale(latent, "latent");
    if (!scale)
        return scale;
    const float inverse = 1.0f / (*scale + detail::absmean_epsilon);
    const float out = unit ? 1.0f : *scale;
    detail::lanes::for_each<Arch>(latent.size(), [&]<class V>(V, std::size_t i) S3_INLINE_LAMBDA {
        const V x = detail::lanes::load<V>(latent.data() + i) * V(inverse);
        detail::lanes::store(weights.data() + i, detail::ternary_of(x) * V(out));
    });
    return scale;
}

/// Writes the gradient of each latent to `grad_latent`, or adds it there, given the gradients of
/// the real weights γ·w.
template <architecture Arch = arch::native, class Estimator = straight_through::identity>
status backward_absmean(std::span<const float> latent, std::span<const float> grad_weights,
                        std::span<float> grad_latent, gradients into = gradients::overwrite,
                        const Estimator& estimate = {}) noexcept {
    if (grad_weights.size() != latent.size())
        return error(errc::shape_mismatch, "grad_weights")
            .got(grad_weights.size())
            .needs(latent.size());
    if (grad_latent.size() != latent.size())
        return error(errc::shape_mismatch, "grad_latent")
            .got(grad_latent.size())
            .needs(latent.size());
    const auto scale = detail::checked_absmean_scale(latent, "latent");
    if (!scale)
        return scale.error();
    const float inverse = 1.0f / (*scale + detail::absmean_epsilon);
    const bool add = into == gradients::accumulate;
    const float* const g = grad_weights.data();
    float* const to = grad_latent.data();
    detail::lanes::for_each<Arch>(latent.size(), [&]<class V>(V, std::size_t i) S3_INLINE_LAMBDA {
        using detail::lanes::load;
        const V x = load<V>(latent.data() + i) * V(inverse);
        V d = estimate(load<V>(g + i), x, detail::ternary_of(x));
        if (add)
            d = d + load<V>(to + i);
        detail::lanes::store(to + i, d);
    });
    return {};
}

} // namespace s3
