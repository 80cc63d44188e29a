// NaN, infinities, denormals and the largest numbers at every input of training: each is an error
// that names it, or goes where the headers say; and gradients against finite differences, where a
// smooth function stands behind them.

#include <s3/train/absmean.hpp>
#include <s3/train/optimizer.hpp>
#include <s3/train/reparam.hpp>

#include "../support/fast_math.hpp"
#include "latents.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using limits = std::numeric_limits<float>;
constexpr float quiet_nan = limits::quiet_NaN(), infinity = limits::infinity();
constexpr float not_finite[] = {quiet_nan, -quiet_nan, infinity, -infinity};
constexpr float tiny[] = {limits::denorm_min(), -limits::denorm_min(), limits::min() / 2,
                          -limits::min() * 0.75f};

using s3::test::fast_math;

/// Every surrogate and every estimator, in pairs.
template <class Body>
void each_backward(Body body) {
    body(s3::surrogate::authors{}, s3::straight_through::identity{});
    body(s3::surrogate::square_root{}, s3::straight_through::identity{});
    body(s3::surrogate::flat{}, s3::straight_through::ewgs{0.25f});
    body(s3::surrogate::direct{}, s3::straight_through::clipped{0.5f});
}
/// The same number: one NaN is as good as another, −0 is not 0.
bool same(float a, float b) {
    return std::isnan(a) ? std::isnan(b)
                         : std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

constexpr std::size_t size = 65;              ///< whole vectors and a tail, of every width
constexpr std::size_t places[] = {0, 21, 64}; ///< first, in a vector, and in the tail

template <s3::shift_weight_format F>
std::vector<float> gradient(const std::vector<float>& g, owned_latents<F>& p, std::size_t k,
                            const auto& surrogate, const auto& estimate) {
    owned_latents<F> out(g.size());
    REQUIRE(s3::backward(p.view(), g, out.view(), s3::gradients::overwrite, surrogate, estimate));
    return out.data[k];
}

} // namespace

TEST_CASE(
    "a gradient that is not finite reaches the latents that it would reach, and no other weight" *
    doctest::skip(fast_math)) {
    each(formats<s3::shift3, s3::dense3>{}, []<class F>(F) {
        each_backward([&](const auto& surrogate, const auto& estimate) {
            const std::vector<float> ones(size, 1.0f);
            for (const std::size_t at : places)
                for (const float bad : not_finite) {
                    auto p = random_latents<F>(size, 3);
                    auto g = ones;
                    g[at] = bad;
                    for (std::size_t k = 0; k < s3::latents_per_weight<F>; ++k) {
                        const auto from = gradient(ones, p, k, surrogate, estimate);
                        const auto to = gradient(g, p, k, surrogate, estimate);
                        int wrong = 0;
                        for (std::size_t i = 0; i < size; ++i)
                            wrong += i == at ? std::isfinite(to[i]) != (from[i] == 0.0f)
                                             : !same(to[i], from[i]);
                        CHECK(wrong == 0);
                        // Infinity times a finite factor keeps its sign.
                        if (std::isinf(to[at]))
                            CHECK((to[at] > 0) == ((bad > 0) == (from[at] > 0)));
                        if (std::isnan(bad) && from[at] != 0)
                            CHECK(std::isnan(to[at]));
                    }
                }
        });
    });
}

TEST_CASE("denormal and largest gradients are scaled as all others are" *
          doctest::skip(fast_math)) {
    each(formats<s3::shift3, s3::dense5>{}, []<class F>(F) {
        const auto check = [](const auto& surrogate) {
            auto p = random_latents<F>(size, 5);
            const std::vector<float> ones(size, 1.0f);
            const s3::straight_through::identity estimate;
            std::vector<float> values(std::begin(tiny), std::end(tiny));
            values.insert(values.end(), {limits::max(), -limits::max(), limits::min(), -0.0f});
            for (std::size_t k = 0; k < s3::latents_per_weight<F>; ++k) {
                const auto factor = gradient(ones, p, k, surrogate, estimate);
                for (const float v : values) {
                    const auto to =
                        gradient(std::vector<float>(size, v), p, k, surrogate, estimate);
                    int wrong = 0;
                    for (std::size_t i = 0; i < size; ++i) {
                        const double exact = double{v} * factor[i];
                        // The chain of factors may pass infinity only where the gradient does.
                        if (std::fabs(exact) > limits::max())
                            wrong += !std::isinf(to[i]) || (to[i] > 0) != (exact > 0);
                        else if (std::isinf(to[i]))
                            wrong += std::fabs(exact) < limits::max() / (4.0 * F::exponents);
                        else // a few roundings, of denormals by one unit each
                            wrong += std::fabs(to[i] - exact) >
                                     1e-6 * std::fabs(exact) +
                                         F::exponents * double{limits::denorm_min()};
                    }
                    CHECK(wrong == 0);
                }
            }
        };
        check(s3::surrogate::authors{});
        check(s3::surrogate::square_root{});
        check(s3::surrogate::direct{});
    });
}

TEST_CASE("latents are on their side of zero however small they are" * doctest::skip(fast_math)) {
    std::vector<float> sign(size, -limits::denorm_min()), sparse(size, limits::denorm_min()),
        l1(size, limits::denorm_min()), l2(size, -limits::denorm_min()), w(size);
    REQUIRE(s3::realize(s3::latents<s3::shift3>{sign, sparse, {l2, l1}}, w));
    CHECK(w == std::vector<float>(size, -2.0f));
    REQUIRE(s3::realize(s3::latents<s3::shift3>{sign, l2, {l1, l1}}, w));
    CHECK(w == std::vector<float>(size, 0.0f));
}

TEST_CASE("a latent that is not finite is named, whatever the surrogate and the estimator") {
    each_backward([&](const auto& surrogate, const auto& estimate) {
        for (std::size_t k = 0; k < 4; ++k)
            for (const float bad : not_finite) {
                auto p = random_latents<s3::shift3>(size, 7);
                p.data[k][64] = bad; // in the tail: vectors may miss it under -ffast-math
                owned_latents<s3::shift3> out(size);
                const std::vector<float> g(size, 1.0f);
                const auto s = s3::backward(p.view(), g, out.view(), s3::gradients::accumulate,
                                            surrogate, estimate);
                CHECK(s.error().code == s3::errc::not_finite);
                CHECK(std::string(s.error().argument) == s3::field_name<s3::shift3>(k));
                CHECK(s.error().index == 64);
            }
    });
}

TEST_CASE("what gradients are added to keeps what it is; what they overwrite leaves no trace" *
          doctest::skip(fast_math)) {
    auto p = random_latents<s3::shift4>(size, 9);
    const std::vector<float> g(size, 1.0f), v(size, 0.1f);
    owned_latents<s3::shift4> clean(size);
    REQUIRE(s3::backward(p.view(), g, clean.view()));
    std::vector<float> absmean(size);
    REQUIRE(s3::backward_absmean(v, g, absmean));
    for (const float bad : not_finite) {
        owned_latents<s3::shift4> over(size, bad), sum(size, bad);
        REQUIRE(s3::backward(p.view(), g, over.view()));
        CHECK(over.data == clean.data);
        REQUIRE(s3::backward(p.view(), g, sum.view(), s3::gradients::accumulate));
        std::vector<float> to(size, bad), more(size, bad);
        REQUIRE(s3::backward_absmean(v, g, to));
        CHECK(to == absmean);
        REQUIRE(s3::backward_absmean(v, g, more, s3::gradients::accumulate));
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(same(more[i], bad + 1));
            for (const auto& field : sum.data)
                CHECK(same(field[i], bad + 1));
        }
    }
}

namespace {

/// The weight as a function of real numbers in the place of sgn(a), H(b) and H(l_k), at which the
/// straight-through gradient of the surrogates that follow the chain rule is its derivative.
template <s3::shift_weight_format F>
double relaxed(const std::vector<double>& q, double (*size_of)(double)) {
    constexpr std::size_t first = F::has_zero ? 2 : 1;
    double shift = 0;
    for (std::size_t k = first; k < q.size(); ++k)
        shift = q[k] * (shift + 1);
    return q[0] * (F::has_zero ? q[1] : 1) * size_of(shift);
}

} // namespace

TEST_CASE("gradients are the finite differences of the weight, where the surrogate is smooth") {
    each(formats<s3::shift2, s3::shift4, s3::dense3, s3::dense5>{}, []<class F>(F) {
        const auto check = [](const auto& surrogate, double (*size_of)(double)) {
            constexpr std::size_t count = s3::latents_per_weight<F>;
            auto p = random_latents<F>(401, 11);
            owned_latents<F> out(401);
            REQUIRE(s3::backward(p.view(), std::vector<float>(401, 1.0f), out.view(),
                                 s3::gradients::overwrite, surrogate));
            int wrong = 0;
            for (std::size_t i = 0; i < 401; ++i) {
                std::vector<double> q(count);
                for (std::size_t k = 0; k < count; ++k)
                    q[k] = p.data[k][i] > 0 || (k == 0 && p.data[k][i] == 0) ? 1 : k == 0 ? -1 : 0;
                for (std::size_t k = 0; k < count; ++k) {
                    constexpr double h = 1e-5;
                    auto above = q, below = q;
                    above[k] += h;
                    below[k] -= h;
                    const double expected =
                        (relaxed<F>(above, size_of) - relaxed<F>(below, size_of)) / (2 * h);
                    wrong += !(std::fabs(out.data[k][i] - expected) <=
                               1e-5 * std::fabs(expected) + 1e-9);
                }
            }
            CHECK(wrong == 0);
        };
        check(s3::surrogate::authors{}, [](double shift) { return std::exp2(shift); });
        check(s3::surrogate::square_root{}, [](double shift) { return std::sqrt(shift + 1); });
    });
}

namespace {

/// One fused step with a number spoilt, and what it says: the argument and its index, or "".
template <class Optimizer>
struct attempt {
    owned_latents<s3::shift3> p = random_latents<s3::shift3>(size, 13);
    std::vector<owned_latents<s3::shift3>> moments{Optimizer::moments,
                                                   owned_latents<s3::shift3>(size)};
    std::vector<float> g = std::vector<float>(size, 1.0f), w = std::vector<float>(size, 99.0f);
    float strength = 0;

    template <class Surrogate, class Estimator>
    std::string operator()(const Optimizer& o, const Surrogate& surrogate,
                           const Estimator& estimate) {
        std::array<s3::latents<s3::shift3>, Optimizer::moments> views;
        for (std::size_t j = 0; j < views.size(); ++j)
            views[j] = moments[j].view();
        const auto s = s3::step(o, p.view(), views, g, w, strength, surrogate, estimate);
        if (s)
            return "";
        CHECK(s.error().code == s3::errc::not_finite);
        return std::string(s.error().argument) + "@" + std::to_string(s.error().index);
    }
};

} // namespace

TEST_CASE(
    "a fused step names what is not finite: gradient, latent, moment, or what becomes of them" *
    doctest::skip(fast_math)) {
    const auto check = [](const auto& optimizer) {
        using attempt_of = attempt<std::decay_t<decltype(optimizer)>>;
        each_backward([&](const auto& surrogate, const auto& estimate) {
            for (const std::size_t at : places)
                for (const float bad : not_finite) {
                    const std::string place = "@" + std::to_string(at);
                    attempt_of of_gradient;
                    of_gradient.g[at] = bad;
                    CHECK(of_gradient(optimizer, surrogate, estimate) == "grad_weights" + place);
                    for (std::size_t k = 0; k < 4; ++k) {
                        attempt_of of_latent;
                        of_latent.p.data[k][at] = bad;
                        CHECK(of_latent(optimizer, surrogate, estimate) ==
                              s3::field_name<s3::shift3>(k) + place);
                    }
                    for (std::size_t j = 0; j < optimizer.moments; ++j) {
                        attempt_of of_moment;
                        of_moment.moments[j].data[2][at] = bad;
                        const auto said = of_moment(optimizer, surrogate, estimate);
                        CHECK((said == "shift_1" + place || said == "moments" + place));
                    }
                }
        });
    };
    check(s3::sgd{});
    check(s3::sgd{.momentum = 0.5f, .nesterov = true});
    check(s3::adam{});
    check(s3::adam{.weight_decay = 0.1f, .decoupled = true});
}

TEST_CASE("a moment that overflows is an error, though the latent would stand still" *
          doctest::skip(fast_math)) {
    for (const std::size_t at : places) {
        attempt<s3::adam> large;
        std::fill(large.p.data[1].begin(), large.p.data[1].end(), 1.0f); // no zeros, which mask
        large.g[at] = 1e25f; // its square is infinite, and what is divided by it 0
        const auto said =
            large(s3::adam{}, s3::surrogate::authors{}, s3::straight_through::identity{});
        const std::string place = "@" + std::to_string(at);
        // The quotient is NaN where vectors divide by way of a reciprocal.
        CHECK((said == "moments" + place || said == "sign" + place));
    }
}

TEST_CASE("parameters of optimizers that are not numbers are no silent damage" *
          doctest::skip(fast_math)) {
    const s3::surrogate::authors authors;
    const s3::straight_through::identity identity;
    for (const float bad : not_finite) {
        for (const s3::sgd& o : {s3::sgd{.learning_rate = bad}, s3::sgd{.momentum = bad},
                                 s3::sgd{.weight_decay = bad}}) {
            attempt<s3::sgd> a;
            a.moments[0] = owned_latents<s3::shift3>(size, 0.5f);
            CHECK(a(o, authors, identity).ends_with("@0"));
        }
        for (const s3::adam& o : {s3::adam{.learning_rate = bad}, s3::adam{.beta1 = bad},
                                  s3::adam{.beta2 = bad}, s3::adam{.weight_decay = bad}}) {
            attempt<s3::adam> a;
            for (auto& moment : a.moments)
                moment = owned_latents<s3::shift3>(size, 0.5f);
            CHECK(a(o, authors, identity).ends_with("@0"));
        }
        attempt<s3::sgd> a;
        std::fill(a.p.data[1].begin(), a.p.data[1].end(), bad < 0 ? 1.0f : -1.0f);
        a.strength = bad;
        if (!std::isnan(bad))
            CHECK(a(s3::sgd{}, authors, identity) == "sparse@0");
    }
    attempt<s3::adam> uncounted;
    CHECK(uncounted(s3::adam{.number = 0}, authors, identity) == "sign@0");
}

TEST_CASE("denormals pass through fused and plain steps as other numbers do" *
          doctest::skip(fast_math)) {
    for (const float v : tiny) {
        attempt<s3::sgd> a;
        a.p = owned_latents<s3::shift3>(size, v > 0 ? v : 1.0f);
        a.moments[0] = owned_latents<s3::shift3>(size, v);
        std::fill(a.g.begin(), a.g.end(), v);
        const s3::sgd o{.learning_rate = 0.5f, .momentum = 0.5f, .weight_decay = 0};
        owned_latents<s3::shift3> grad(size);
        REQUIRE(s3::backward(a.p.view(), a.g, grad.view()));
        auto expected = a.p;
        const auto update = o.ready();
        for (std::size_t k = 0; k < 4; ++k)
            for (std::size_t i = 0; i < size; ++i) {
                std::array<float, 1> m{v};
                expected.data[k][i] = update(a.p.data[k][i], grad.data[k][i], m);
                const double exact = 0.5 * v + double{grad.data[k][i]};
                CHECK(std::fabs(m[0] - exact) <= 2 * double{limits::denorm_min()});
            }
        CHECK(a(o, s3::surrogate::authors{}, s3::straight_through::identity{}) == "");
        for (std::size_t k = 0; k < 4; ++k)
            for (std::size_t i = 0; i < size; ++i)
                CHECK(std::fabs(double{a.p.data[k][i]} - expected.data[k][i]) <=
                      2 * double{limits::denorm_min()});
    }
    // Squares of gradients below 2⁻⁷⁵ vanish; Adam then divides by its epsilon, not by 0.
    attempt<s3::adam> a;
    std::fill(a.g.begin(), a.g.end(), limits::denorm_min());
    const auto before = a.p.data;
    CHECK(a(s3::adam{}, s3::surrogate::authors{}, s3::straight_through::identity{}) == "");
    CHECK(a.p.data == before);
}

TEST_CASE("plain optimizers hide nothing: what is not finite stays so in the latent or a moment" *
          doctest::skip(fast_math)) {
    const auto check = [](const auto& o) {
        using moments = std::array<float, std::decay_t<decltype(o)>::moments>;
        const auto update = o.ready();
        for (const float bad : not_finite)
            for (std::size_t spoilt = 0; spoilt < 2 + moments{}.size(); ++spoilt) {
                moments m{};
                if (spoilt >= 2)
                    m[spoilt - 2] = bad;
                const float x = update(spoilt == 0 ? bad : 1.0f, spoilt == 1 ? bad : 1.0f, m);
                bool finite = std::isfinite(x);
                for (const float v : m)
                    finite = finite && std::isfinite(v);
                CHECK(!finite);
            }
    };
    check(s3::sgd{});
    check(s3::sgd{.nesterov = true});
    check(s3::adam{});
    check(s3::adam{.weight_decay = 0.1f, .decoupled = true});
}

TEST_CASE(
    "absmean: gradients that are not finite pass, and the largest and smallest latents train" *
    doctest::skip(fast_math)) {
    const std::vector<float> v(size, 0.3f);
    for (const std::size_t at : places)
        for (const float bad : not_finite) {
            std::vector<float> g(size, 2.0f), d(size), cut(size);
            g[at] = bad;
            REQUIRE(s3::backward_absmean(v, g, d));
            REQUIRE(s3::backward_absmean(v, g, cut, s3::gradients::overwrite,
                                         s3::straight_through::clipped{0.5f}));
            for (std::size_t i = 0; i < size; ++i) {
                CHECK(same(d[i], g[i]));
                CHECK(cut[i] == 0); // |v| is about γ, beyond the limit
            }
        }
    for (const float magnitude : {limits::max(), limits::denorm_min(), limits::min()}) {
        std::vector<float> latent(size, magnitude), w(size), unit(size);
        latent[3] = -magnitude;
        REQUIRE(s3::realize_absmean(latent, w));
        const auto scale = s3::realize_absmean(latent, unit, true);
        REQUIRE(scale);
        CHECK(*scale == magnitude);
        // Magnitudes far below the ε of the formula are 0.
        const float one = magnitude < 1 ? 0.0f : 1.0f;
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(unit[i] == (i == 3 ? -one : one));
            CHECK(w[i] == unit[i] * magnitude);
        }
    }
}

TEST_CASE("the regularizer takes a NaN for 0, and an infinite latent for what it is" *
          doctest::skip(fast_math)) {
    for (const float strength : {0.5f, -0.5f}) {
        std::vector<float> sparse(size, quiet_nan), grad(size, 1.0f);
        REQUIRE(s3::add_dense_gradient(sparse, grad, strength));
        CHECK(grad == std::vector<float>(size, 1.0f));
        CHECK(s3::dense_penalty(sparse, strength) == 0);
        const float affected = strength > 0 ? -infinity : infinity;
        std::fill(sparse.begin(), sparse.end(), affected);
        REQUIRE(s3::add_dense_gradient(sparse, grad, strength));
        CHECK(grad == std::vector<float>(size, 1.0f - strength));
        CHECK(s3::dense_penalty(sparse, strength) == double{infinity});
    }
    CHECK(s3::share_of_zeros_from(std::vector<float>{quiet_nan, infinity, -infinity}) == 2.0 / 3);
}

TEST_CASE(
    "latents from the largest weights are finite, and realize the same values as small ones") {
    each(formats<s3::shift3, s3::dense5>{}, []<class F>(F) {
        std::vector<float> w(size), large(size), from(size), from_large(size);
        for (std::size_t i = 0; i < size; ++i) {
            w[i] = (i % 2 == 0 ? 1.0f : -1.0f) * std::ldexp(1.0f + 0.01f * float(i), -int(i % 12));
            large[i] = std::ldexp(w[i], 126);
        }
        owned_latents<F> p(size), q(size);
        REQUIRE(s3::initialize_from<F>(w, p.view()));
        REQUIRE(s3::initialize_from<F>(large, q.view()));
        CHECK(s3::validate(q.view()));
        REQUIRE(s3::realize(p.view(), from));
        REQUIRE(s3::realize(q.view(), from_large));
        CHECK(from == from_large);
    });
}
