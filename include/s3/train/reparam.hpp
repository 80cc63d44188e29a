#pragma once
// The S3 re-parameterization (Li et al. 2021, section 4) and DenseShift's (Li et al. 2022).
//
//   H(x) = 1 if x > 0 else 0;  sgn(x) = +1 if x ≥ 0 else −1
//   S_0 = 0;  S_k = H(l_k)·(S_{k−1} + 1);  w = sgn(a)·H(b)·2^{S_T}
//
// `realize` writes w. `backward` takes g = ∂L/∂w and writes, or adds, the gradient of each latent.
// It is straight-through: the identity through H and sgn, unless another estimator is given
// (train/straight_through.hpp). What stands for 2^S there is a surrogate (train/surrogate.hpp):
// that of the format's authors, unless another is given.
//
//   a: g·H(b)·magnitude   b: g·sgn(a)·magnitude
//   l_k: g·sgn(a)·H(b)·slope·(S_{k−1}+1)·Π_{j>k} H(l_j)
//
// Surrogates may leave out the H(b) of a and the S_{k−1}+1 of l_k. Formats without zero have
// H(b) = 1 and no b. The gradient of b is not masked by H(b), which is what lets a zero revive. A
// zero weight is −0 where a < 0, as the product has it. Each function is one pass over memory.
// Outputs may be the very spans that are read, but must not overlap them otherwise. Errors: spans
// of unequal size, found before anything is written; a latent that is NaN or infinite, after which
// the outputs are unspecified. A g that is NaN or infinite is no error: it passes to those
// gradients of its own weight that would not be 0.

#include <s3/train/latents.hpp>
#include <s3/train/straight_through.hpp>
#include <s3/train/surrogate.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <utility>

namespace s3 {

/// Whether `backward` overwrites the contents of its spans of gradients, or adds to them.
enum class gradients : unsigned char { overwrite, accumulate };

/// Types that can hold every weight of the format F: float, or an integer that is wide enough.
template <class T, class F>
concept weight_value = std::same_as<T, float> ||
    (std::signed_integral<T>&& F::max_value <= std::numeric_limits<T>::max());

template <class Range>
using element_of = typename decltype(std::span(std::declval<Range&>()))::element_type;

namespace detail {

/// The formulas above for one lane V. Arrays have the order of `fields`.
template <shift_weight_format F>
struct reparam {
    static constexpr std::size_t count = latents_per_weight<F>;
    static constexpr std::size_t shifts = shift_latents<F>;
    static constexpr std::size_t first = count - shifts; ///< index of l_1

    template <class V>
    using lane_array = std::array<V, count>;

    /// The weights w of latents x.
    template <class V>
    [[nodiscard]] static S3_INLINE V realize(const lane_array<V>& x) noexcept {
        const V zero(0.0f), one(1.0f);
        V power = one;
        lanes::unroll<shifts>([&](auto k) S3_INLINE_LAMBDA {
            power = lanes::select(x[first + k] > zero, power + power, one);
        });
        if constexpr (F::has_zero)
            power = lanes::select(x[1] > zero, power, zero);
        // The sign is multiplied, because xsimd's negation is 0 − x, which never gives −0.
        return power * lanes::select(x[0] >= zero, one, V(-1.0f));
    }

    /// The gradients of latents x, given the gradient g of w.
    template <class V, class Surrogate, class Estimator>
    [[nodiscard]] static S3_INLINE lane_array<V> backward(const lane_array<V>& x, const V& g,
                                                          const Surrogate& surrogate,
                                                          const Estimator& estimate) noexcept {
        const V zero(0.0f), one(1.0f);
        const auto positive = [&](std::size_t k) S3_INLINE_LAMBDA { return x[k] > zero; };
        const auto heaviside = [&](std::size_t k) S3_INLINE_LAMBDA {
            return lanes::select(positive(k), one, zero);
        };

        std::array<V, shifts> next; // S_{k−1} + 1
        V shift = zero, power = one;
        lanes::unroll<shifts>([&](auto k) S3_INLINE_LAMBDA {
            next[k] = shift + one;
            shift = lanes::select(positive(first + k), next[k], zero);
            power = lanes::select(positive(first + k), power + power, one);
        });

        lane_array<V> out;
        const V sign = lanes::select(x[0] >= zero, one, V(-1.0f));
        const V unsigned_part = surrogate.magnitude(g, shift, power);
        V inner = surrogate.slope(g * sign, shift, power); // the gradient of S_T
        if constexpr (F::has_zero) {
            const bool masked = Surrogate::masked;
            out[0] = estimate(masked ? V(lanes::select(positive(1), unsigned_part, zero))
                                     : unsigned_part,
                              x[0], sign);
            out[1] = estimate(unsigned_part * sign, x[1], heaviside(1));
            inner = lanes::select(positive(1), inner, zero);
        } else {
            out[0] = estimate(unsigned_part, x[0], sign);
        }
        lanes::unroll<shifts>([&](auto outermost) S3_INLINE_LAMBDA {
            constexpr std::size_t k = shifts - 1 - outermost;
            const V jump = Surrogate::chained ? V(inner * next[k]) : inner;
            out[first + k] = estimate(jump, x[first + k], heaviside(first + k));
            inner = lanes::select(positive(first + k), inner, zero);
        });
        return out;
    }

    template <class V>
    [[nodiscard]] static S3_INLINE lane_array<V> load(const std::array<const float*, count>& from,
                                                      std::size_t i) noexcept {
        lane_array<V> x;
        lanes::unroll<count>([&](auto k) S3_INLINE_LAMBDA { x[k] = lanes::load<V>(from[k] + i); });
        return x;
    }
};

template <class Float, std::size_t N>
[[nodiscard]] constexpr auto pointers(const std::array<std::span<Float>, N>& spans) noexcept {
    std::array<Float*, N> p;
    for (std::size_t k = 0; k < N; ++k)
        p[k] = spans[k].data();
    return p;
}

template <shift_weight_format F, class Float>
[[nodiscard]] constexpr auto read_pointers(const latents<F, Float>& p) noexcept {
    std::array<const float*, latents_per_weight<F>> read;
    const auto all = fields(p);
    for (std::size_t k = 0; k < all.size(); ++k)
        read[k] = all[k].data();
    return read;
}

} // namespace detail

/// Writes the discrete weights of `p` to a span (or a range that converts to one) of floats or
/// integers.
template <architecture Arch = arch::native, shift_weight_format F, latent_float Float,
          class Weights>
requires weight_value<element_of<Weights>, F> status realize(const latents<F, Float>& p,
                                                             Weights&& weights_range)
noexcept {
    using lane = detail::reparam<F>;
    using T = element_of<Weights>;
    const std::span<T> weights(weights_range);
    if (const status sizes = check_sizes(p, weights.size()); !sizes)
        return sizes;
    const auto from = detail::read_pointers(p);
    T* const to = weights.data();
    if constexpr (std::same_as<T, float>) {
        const std::size_t end = detail::lanes::for_each_while<Arch>(
            weights.size(), [&]<class V>(V, std::size_t i) S3_INLINE_LAMBDA {
                const auto x = lane::template load<V>(from, i);
                if (!detail::lanes::all_finite(x))
                    return false;
                detail::lanes::store(to + i, lane::realize(x));
                return true;
            });
        return end == weights.size() ? status() : validate(p, end);
    } else {
        // Integer outputs cannot share memory with latents, so all may be written before the check.
        // The loop then has no early exit, so that compilers can vectorise it.
        std::uint32_t largest = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const auto x = lane::template load<float>(from, i);
            for (const float v : x)
                largest = std::max(largest, detail::lanes::magnitude_bits(v));
            to[i] = static_cast<T>(lane::realize(x));
        }
        return largest < detail::lanes::infinity_bits ? status() : validate(p);
    }
}

/// Writes the gradients of the latents `p` to `grad_latents`, or adds them there, given the
/// gradients of the discrete weights.
template <architecture Arch = arch::native, shift_weight_format F, latent_float Float,
          magnitude_surrogate Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
status backward(const latents<F, Float>& p, std::span<const float> grad_weights,
                const latents<F>& grad_latents, gradients into = gradients::overwrite,
                const Surrogate& surrogate = {}, const Estimator& estimate = {}) noexcept {
    using lane = detail::reparam<F>;
    if (const status sizes = check_sizes(p, p.size()); !sizes)
        return sizes;
    if (grad_weights.size() != p.size())
        return error(errc::shape_mismatch, "grad_weights").got(grad_weights.size()).needs(p.size());
    if (const status sizes = check_sizes(grad_latents, p.size()); !sizes)
        return sizes;
    const auto from = detail::read_pointers(p);
    const auto to = detail::pointers(fields(grad_latents));
    const float* const g = grad_weights.data();
    const auto run = [&](auto add) {
        return detail::lanes::for_each_while<Arch>(
            p.size(), [&]<class V>(V, std::size_t i) S3_INLINE_LAMBDA {
                using detail::lanes::load;
                const auto x = lane::template load<V>(from, i);
                if (!detail::lanes::all_finite(x))
                    return false;
                auto out = lane::template backward<V>(x, load<V>(g + i), surrogate, estimate);
                detail::lanes::unroll<lane::count>([&](auto k) S3_INLINE_LAMBDA {
                    if constexpr (add)
                        out[k] = out[k] + load<V>(to[k] + i);
                    detail::lanes::store(to[k] + i, out[k]);
                });
                return true;
            });
    };
    const std::size_t end =
        into == gradients::accumulate ? run(std::true_type{}) : run(std::false_type{});
    return end == p.size() ? status() : validate(p, end);
}

} // namespace s3
