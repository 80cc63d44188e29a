#pragma once
// The dense-weight regularizer of sparse latents b (Li et al. 2021, section 4.3), in both
// directions. With the strength α it adds to the loss
//
//   α > 0   α·Σ max(−b, 0):  pulls zeros back to life (the paper's; gradient −α where b < 0)
//   α < 0  |α|·Σ max(b, 0):  pushes weights towards zero    (gradient +|α| where b > 0)
//
// To reach a given share of zeros, set α before each step from the present share:
// `strength_for_share`. Plain weight decay does neither, since it never carries a latent across
// zero. A latent that is NaN counts as 0 here: the passes of train/reparam.hpp find it.

#include <s3/train/latents.hpp>
#include <s3/train/vectorized_loop.hpp>

#include <span>

namespace s3 {

namespace detail {

/// The regularizer's gradient with respect to the sparse latents of one lane.
template <class V>
[[nodiscard]] S3_INLINE V dense_gradient(const V& sparse, float strength) noexcept {
    const V zero(0.0f);
    const auto affected = strength > 0 ? sparse < zero : sparse > zero;
    return lanes::select(affected, V(-strength), zero);
}

} // namespace detail

/// The regularizer's loss.
[[nodiscard]] inline double dense_penalty(std::span<const float> sparse, float strength) noexcept {
    const float side = strength > 0 ? -1.0f : 1.0f;
    double sum = 0;
    for (const float b : sparse)
        sum += b * side > 0 ? double{b} * side : 0.0;
    return sum * (strength > 0 ? strength : -strength);
}

/// Adds the regularizer's gradient to the gradient of the sparse latents.
template <architecture Arch = arch::native>
status add_dense_gradient(std::span<const float> sparse, std::span<float> grad_sparse,
                          float strength) noexcept {
    if (grad_sparse.size() != sparse.size())
        return error(errc::shape_mismatch, "grad_sparse")
            .got(grad_sparse.size())
            .needs(sparse.size());
    detail::lanes::for_each<Arch>(sparse.size(), [&]<class V>(V, std::size_t i) {
        using detail::lanes::load;
        const V b = load<V>(sparse.data() + i), g = load<V>(grad_sparse.data() + i);
        detail::lanes::store(grad_sparse.data() + i, g + detail::dense_gradient(b, strength));
    });
    return {};
}

/// The share of zero weights that these sparse latents make, in [0, 1].
[[nodiscard]] inline double share_of_zeros_from(std::span<const float> sparse) noexcept {
    std::size_t zeros = 0;
    for (const float b : sparse)
        zeros += !(b > 0);
    return sparse.empty() ? 0.0 : static_cast<double>(zeros) / static_cast<double>(sparse.size());
}

/// The strength that steers the share of zeros from `share` towards `target`, both in [0, 1]. This
/// is proportional control: `gain` is the strength at an error of 1.
[[nodiscard]] constexpr float strength_for_share(double share, double target, float gain) noexcept {
    return gain * static_cast<float>(share - target);
}

} // namespace s3
