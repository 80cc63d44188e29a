#pragma once
// Surrogates: what stands for the derivatives of a weight w = sgn(a)·H(b)·2^S in the backward pass,
// S being the shift S_T of train/reparam.hpp. The forward pass always has 2^S. Of the gradient g of
// the weight, a and b (sign and sparse latents) get g·magnitude, and S gets g·slope:
//
// clang-format off
//   name          magnitude   slope         masked, chained   source
//   authors       2^S         2^S·ln2       yes, yes          chain rule (Li et al. 2021, section 4)
//   square_root   √(S+1)      1/(2·√(S+1))  yes, yes          DenseShift (Li et al. 2022)
//   flat          1           1/(2·√(S+1))  yes, yes
//   direct        1           1/(2·√(S+1))  no, no
// clang-format on
//
// With `authors` the largest weights have the largest gradients of sign and sparse latents, so they
// change sign most, and by the largest jump: from +2^S to −2^S. `flat` takes the factor away, as
// DeepShift-PS does (Elhoushi et al. 2019).
//
// masked: while a weight is zero, its sign latent stands still, as the chain rule has it. If its
// sign is wrong, the gradient of b, g·sgn(a), then holds the weight at zero, because with that sign
// it would do harm. Unmasked, the sign of a zero follows the gradient, and the weight can return
// with the other sign.
//
// chained: the gradient of the shift latent l_k has the chain rule's factor S_{k−1} + 1, the length
// of the jump that S makes if l_k changes sign. Without it, all latents of a weight learn at one
// pace.
//
// A host can write its own: a struct with the four members below, generic over the lane type V.

#include <s3/format/shift.hpp>
#include <s3/train/vectorized_loop.hpp>

#include <concepts>
#include <numbers>
#include <type_traits>

namespace s3 {

namespace surrogate {

struct authors {
    /// Whether the gradient of the sign latent is masked by H(b).
    static constexpr bool masked = true;
    /// Whether the gradient of l_k has the factor S_{k−1} + 1.
    static constexpr bool chained = true;

    /// g·magnitude, for the shift S of a weight and its power 2^S.
    template <class V>
    [[nodiscard]] V magnitude(const V& g, const V&, const V& power) const noexcept {
        return g * power;
    }
    /// g·slope.
    template <class V>
    [[nodiscard]] V slope(const V& g, const V&, const V& power) const noexcept {
        return g * power * V(std::numbers::ln2_v<float>);
    }
};

struct square_root {
    static constexpr bool masked = true;
    static constexpr bool chained = true;

    template <class V>
    [[nodiscard]] V magnitude(const V& g, const V& shift, const V&) const noexcept {
        return g * detail::lanes::sqrt(shift + V(1.0f));
    }
    template <class V>
    [[nodiscard]] V slope(const V& g, const V& shift, const V&) const noexcept {
        const V root = detail::lanes::sqrt(shift + V(1.0f));
        return g / (root + root);
    }
};

struct flat : square_root {
    template <class V>
    [[nodiscard]] V magnitude(const V& g, const V&, const V&) const noexcept {
        return g;
    }
};

struct direct : flat {
    static constexpr bool masked = false;
    static constexpr bool chained = false;
};

/// The surrogate that a format's own authors use: S3's with zero, DenseShift's without.
template <shift_weight_format F>
using published = std::conditional_t<F::has_zero, authors, square_root>;

/// What to train with: `direct` for formats with zero, from latents of init.hpp's small_deviation.
/// Against `authors`, each at its own best rate and decay, it had +0.59 points of accuracy at 2
/// bits, +0.15 at 3 and +0.37 at 4, and the lower training loss at each (examples/claims). For
/// formats without zero it was not compared, and DenseShift's own stands.
template <shift_weight_format F>
using recommended = std::conditional_t<F::has_zero, direct, square_root>;

} // namespace surrogate

template <class S>
concept magnitude_surrogate = requires(const S& s, float v) {
    { s.magnitude(v, v, v) } -> std::convertible_to<float>;
    { s.slope(v, v, v) } -> std::convertible_to<float>;
    requires std::same_as<decltype(S::masked), const bool>;
    requires std::same_as<decltype(S::chained), const bool>;
};

} // namespace s3
