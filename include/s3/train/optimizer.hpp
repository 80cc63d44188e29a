#pragma once
// One training step of shift weights in one pass over memory: from the gradient of the weights to
// updated latents and moments, and the next discrete weights. The gradients of the latents exist
// only in registers. A 3-bit weight thus costs 9 floats read and 9 written per step under SGD with
// momentum, where separate passes (realize, backward, regularizer, optimizer) read 23 and write 14.
//
//   s3::step(s3::sgd{}, p, {momentum}, grad_weights, weights);
//
// `sgd` and `adam` are torch's, up to float rounding. An optimizer is any struct that has the
// number `moments` of its moments (spans shaped like the latents, zero before the first update),
// and whose `ready()` returns a function update(latent, gradient, moments) that computes the new
// latent of one lane. A host can write its own.

#include <s3/train/regularize.hpp>
#include <s3/train/reparam.hpp>

#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>

namespace s3 {

/// m ← μ·m + g + λ·x;  x ← x − η·m  (with Nesterov, x ← x − η·(g + λ·x + μ·m)).
///
/// The default rate was chosen by tuning in examples/claims, where a batch norm follows every shift
/// layer and rates fall to zero along a cosine. Of the rates within a standard error of the best,
/// it had the lowest training loss. In the same way float weights got 1; the other parameters had
/// 0.1. Networks without norms need smaller rates.
///
/// Weights depend only on the signs of latents. Multiplying latents, rate and 1/λ by the same power
/// of two therefore gives the same training, bit for bit, and the right rate for latents depends on
/// the deviation that they start from (train/init.hpp).
struct sgd {
    float learning_rate = 2.0f;
    float momentum = 0.9f;
    float weight_decay = 1e-4f;
    bool nesterov = false;

    static constexpr std::size_t moments = 1;

    [[nodiscard]] auto ready() const noexcept {
        return [o = *this]<class V>(const V& x, const V& gradient,
                                    std::array<V, 1>& m) S3_INLINE_LAMBDA {
            const V g = gradient + V(o.weight_decay) * x;
            m[0] = V(o.momentum) * m[0] + g;
            return x - V(o.learning_rate) * (o.nesterov ? g + V(o.momentum) * m[0] : m[0]);
        };
    }
};

/// Adam (Kingma and Ba 2015); with `decoupled` weight decay AdamW (Loshchilov and Hutter 2019).
struct adam {
    float learning_rate = 5e-3f;
    float beta1 = 0.9f;
    float beta2 = 0.999f;
    float epsilon = 1e-8f;
    float weight_decay = 0.0f;
    bool decoupled = false;
    std::int64_t number = 1; ///< of the update, from 1: the host counts

    static constexpr std::size_t moments = 2;

    [[nodiscard]] auto ready() const noexcept {
        const double n = static_cast<double>(number);
        const double unbias1 = 1 - std::pow(double{beta1}, n);
        const double unbias2 = 1 - std::pow(double{beta2}, n);
        const float rate = static_cast<float>(learning_rate / unbias1);
        const float root = static_cast<float>(1 / std::sqrt(unbias2));
        const float into_gradient = decoupled ? 0.0f : weight_decay;
        const float keep = decoupled ? 1 - learning_rate * weight_decay : 1.0f;
        return [=, o = *this]<class V>(const V& x, const V& gradient, std::array<V, 2>& m)
                   S3_INLINE_LAMBDA {
                       const V g = gradient + V(into_gradient) * x;
                       m[0] = V(o.beta1) * m[0] + V(1 - o.beta1) * g;
                       m[1] = V(o.beta2) * m[1] + V(1 - o.beta2) * g * g;
                       const V scale = detail::lanes::sqrt(m[1]) * V(root) + V(o.epsilon);
                       return x * V(keep) - V(rate) * m[0] / scale;
                   };
    }
};

template <class O>
concept latent_optimizer = requires(const O& o, std::array<float, O::moments>& m) {
    { o.ready()(1.0f, 1.0f, m) } -> std::convertible_to<float>;
};

/// Updates the latents `p` and their `moments` from the gradient of the weights, then writes the
/// discrete weights of the new latents (`weights` may be `grad_weights` itself). `dense_strength`
/// is that of the regularizer (train/regularize.hpp); formats without zero ignore it. A gradient, a
/// latent or a moment that is not finite, or becomes so, is an error that names it and ends the
/// pass, which then has updated some of the latents: restore them from elsewhere. (An infinite
/// second moment of Adam would otherwise stop its latent for good, without a sign.)
template <architecture Arch = arch::native, shift_weight_format F, latent_optimizer Optimizer,
          magnitude_surrogate Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
status step(const Optimizer& optimizer, const latents<F>& p,
            const std::array<latents<F>, Optimizer::moments>& moments,
            std::span<const float> grad_weights, std::span<float> weights,
            float dense_strength = 0.0f, const Surrogate& surrogate = {},
            const Estimator& estimate = {}) noexcept {
    using lane = detail::reparam<F>;
    const std::size_t size = p.size();
    if (const status sizes = check_sizes(p, size); !sizes)
        return sizes;
    for (const auto& m : moments)
        if (const status sizes = check_sizes(m, size); !sizes)
            return error(errc::shape_mismatch, "moments").got(sizes.error().value).needs(size);
    if (grad_weights.size() != size)
        return error(errc::shape_mismatch, "grad_weights").got(grad_weights.size()).needs(size);
    if (weights.size() != size)
        return error(errc::shape_mismatch, "weights").got(weights.size()).needs(size);

    const auto x_at = detail::pointers(fields(p));
    const auto read_at = detail::read_pointers(p);
    std::array<std::array<float*, lane::count>, Optimizer::moments> m_at;
    for (std::size_t j = 0; j < m_at.size(); ++j)
        m_at[j] = detail::pointers(fields(moments[j]));
    const auto update = optimizer.ready();

    const auto pass = [&]<class V>(V, std::size_t i) S3_INLINE_LAMBDA {
        using detail::lanes::load;
        auto x = lane::template load<V>(read_at, i);
        const std::array<V, 1> of_weights{load<V>(grad_weights.data() + i)};
        auto g = lane::template backward<V>(x, of_weights[0], surrogate, estimate);
        if constexpr (F::has_zero)
            g[1] = g[1] + detail::dense_gradient(x[1], dense_strength);
        bool moments_are_finite = true;
        detail::lanes::unroll<lane::count>([&](auto k) S3_INLINE_LAMBDA {
            std::array<V, Optimizer::moments> m;
            for (std::size_t j = 0; j < m.size(); ++j)
                m[j] = load<V>(m_at[j][k] + i);
            x[k] = update(x[k], g[k], m);
            moments_are_finite &= detail::lanes::all_finite(m);
            for (std::size_t j = 0; j < m.size(); ++j)
                detail::lanes::store(m_at[j][k] + i, m[j]);
            detail::lanes::store(x_at[k] + i, x[k]);
        });
        // Gradients are checked, too, because an estimator may drop them, NaN among them, so that
        // the latents stay finite.
        if (!moments_are_finite || !detail::lanes::all_finite(x) ||
            !detail::lanes::all_finite(of_weights))
            return false; // before `grad_weights` may be overwritten: it is searched below
        detail::lanes::store(weights.data() + i, lane::realize(x));
        return true;
    };
    const std::size_t end = detail::lanes::for_each_while<Arch>(size, pass);
    for (std::size_t i = end; i < size; ++i) {
        if (!is_finite(grad_weights[i]))
            return error(errc::not_finite, "grad_weights").at(i);
        for (std::size_t k = 0; k < lane::count; ++k)
            if (!is_finite(read_at[k][i]))
                return error(errc::not_finite, field_name<F>(k)).at(i);
        for (const auto& of_moment : m_at)
            for (const float* const field : of_moment)
                if (!is_finite(field[i]))
                    return error(errc::not_finite, "moments").at(i);
    }
    return {};
}

} // namespace s3
