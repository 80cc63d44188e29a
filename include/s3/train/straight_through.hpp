#pragma once
// Straight-through estimators, which replace the derivative of a step function q = H(x) or sgn(x).
// Each is called with the gradient g at q, the latent x, and q; it returns the gradient at x.
//
//   identity  g                                 (the S3 authors' choice)
//   clipped   g where |x| ≤ limit, else 0       (Hubara et al. 2016)
//   ewgs      g·(1 + δ·sign(g)·(x − q))         (Lee et al. 2021, element-wise gradient scaling)

#include <s3/train/vectorized_loop.hpp>

namespace s3::straight_through {

struct identity {
    template <class V>
    [[nodiscard]] V operator()(const V& g, const V&, const V&) const noexcept {
        return g;
    }
};

struct clipped {
    float limit = 1.0f;

    template <class V>
    [[nodiscard]] V operator()(const V& g, const V& x, const V&) const noexcept {
        return detail::lanes::select(detail::lanes::abs(x) <= V(limit), g, V(0.0f));
    }
};

struct ewgs {
    float delta = 1e-3f;

    template <class V>
    [[nodiscard]] V operator()(const V& g, const V& x, const V& q) const noexcept {
        return g + V(delta) * detail::lanes::abs(g) * (x - q);
    }
};

} // namespace s3::straight_through
