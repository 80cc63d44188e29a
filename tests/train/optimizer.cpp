#include <s3/train/optimizer.hpp>

#include "../support/fast_math.hpp"
#include "latents.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

/// torch.optim.SGD and Adam(W) for one parameter, in double, from their documentation.
double documented(const s3::sgd& o, double x, double g, std::array<double, 1>& m) {
    g += double{o.weight_decay} * x;
    m[0] = double{o.momentum} * m[0] + g;
    return x - double{o.learning_rate} * (o.nesterov ? g + double{o.momentum} * m[0] : m[0]);
}
double documented(const s3::adam& o, double x, double g, std::array<double, 2>& m) {
    const double t = double(o.number), rate = double{o.learning_rate};
    if (o.decoupled)
        x -= rate * double{o.weight_decay} * x;
    else
        g += double{o.weight_decay} * x;
    m[0] = double{o.beta1} * m[0] + (1 - double{o.beta1}) * g;
    m[1] = double{o.beta2} * m[1] + (1 - double{o.beta2}) * g * g;
    const double first = m[0] / (1 - std::pow(double{o.beta1}, t));
    const double second = m[1] / (1 - std::pow(double{o.beta2}, t));
    return x - rate * first / (std::sqrt(second) + double{o.epsilon});
}

/// Takes `steps` fused steps; each is compared with separate passes from the same state.
template <s3::shift_weight_format F, class Optimizer, class Surrogate = s3::surrogate::published<F>,
          class Estimator = s3::straight_through::identity>
void compare(Optimizer optimizer, float strength, const Surrogate& surrogate = {},
             const Estimator& estimate = {}) {
    constexpr std::size_t size = 83, count = s3::latents_per_weight<F>;
    auto p = random_latents<F>(size, 41);
    std::array<owned_latents<F>, 2> moments{owned_latents<F>(size), owned_latents<F>(size)};
    std::array<s3::latents<F>, Optimizer::moments> views;
    for (std::size_t j = 0; j < views.size(); ++j)
        views[j] = moments[j].view();
    std::mt19937 generator(43);
    std::vector<float> g(size), weights(size), expected_weights(size);
    for (int t = 1; t <= 5; ++t) {
        s3::fill_normal(g, 1.0, generator);
        if constexpr (requires { optimizer.number; })
            optimizer.number = t;
        const auto old = p;
        const auto old_moments = moments;
        REQUIRE(s3::step(optimizer, p.view(), views, g, weights, strength, surrogate, estimate));

        auto before = old;
        owned_latents<F> grad(size);
        REQUIRE(s3::backward(before.view(), g, grad.view(), s3::gradients::overwrite, surrogate,
                             estimate));
        if (F::has_zero)
            REQUIRE(s3::add_dense_gradient(before.data[1], grad.data[1], strength));
        for (std::size_t k = 0; k < count; ++k)
            for (std::size_t i = 0; i < size; ++i) {
                std::array<double, Optimizer::moments> m;
                for (std::size_t j = 0; j < m.size(); ++j)
                    m[j] = old_moments[j].data[k][i];
                const double x = old.data[k][i];
                const double next = documented(optimizer, x, grad.data[k][i], m);
                CHECK(std::abs(p.data[k][i] - next) <=
                      1e-6 * (std::abs(x) + std::abs(next)) + 1e-5 * std::abs(next - x) + 1e-37);
                for (std::size_t j = 0; j < m.size(); ++j)
                    CHECK(std::abs(moments[j].data[k][i] - m[j]) <=
                          1e-6 * (std::abs(m[j]) + std::abs(old_moments[j].data[k][i]) +
                                  std::abs(grad.data[k][i])) +
                              1e-37);
            }
        REQUIRE(s3::realize(p.view(), expected_weights));
        CHECK(weights == expected_weights);
    }
}

} // namespace

TEST_CASE("latents, rate and 1/decay times a power of two are the same training") {
    using F = s3::shift3;
    constexpr std::size_t size = 83;
    const float factor = 0.125f;
    std::mt19937 generator(53);
    owned_latents<F> one(size), other(size);
    for (std::size_t k = 0; k < one.data.size(); ++k) {
        s3::fill_normal(one.data[k], 1.0, generator);
        for (std::size_t i = 0; i < size; ++i)
            other.data[k][i] = factor * one.data[k][i];
    }
    owned_latents<F> one_moment(size), other_moment(size);
    const s3::sgd plain{.learning_rate = 0.7f};
    s3::sgd scaled = plain;
    scaled.learning_rate *= factor;
    scaled.weight_decay /= factor;
    std::vector<float> g(size), weights(size), same(size), first;
    for (int t = 0; t < 20; ++t) {
        s3::fill_normal(g, 1.0, generator);
        REQUIRE(s3::step(plain, one.view(), {one_moment.view()}, g, weights, 1e-2f));
        REQUIRE(s3::step(scaled, other.view(), {other_moment.view()}, g, same, 1e-2f));
        CHECK(weights == same);
        if (first.empty())
            first = weights;
    }
    CHECK(weights != first);
}

TEST_CASE("a fused step equals backward, regularizer, optimizer and realize in turn") {
    each(tested_formats{}, []<class F>(F) {
        compare<F>(s3::sgd{}, 1e-3f);
        compare<F>(s3::sgd{.learning_rate = 0.1f, .momentum = 0}, -0.01f);
        compare<F>(s3::sgd{.weight_decay = 1e-2f, .nesterov = true}, 0);
        compare<F>(s3::adam{}, 1e-3f);
        compare<F>(s3::adam{.weight_decay = 0.1f}, 0);
        compare<F>(s3::adam{.weight_decay = 0.1f, .decoupled = true}, 0);
        compare<F>(s3::sgd{}, 1e-3f, s3::surrogate::direct{});
    });
    each(formats_with_all_backwards{}, []<class F>(F) {
        const s3::surrogate::flat flat;
        compare<F>(s3::sgd{}, 1e-3f, s3::surrogate::square_root{});
        compare<F>(s3::sgd{}, 1e-3f, flat);
        compare<F>(s3::sgd{}, 1e-3f, flat, s3::straight_through::clipped{0.5f});
        compare<F>(s3::sgd{}, 1e-3f, flat, s3::straight_through::ewgs{0.1f});
    });
}

TEST_CASE("lengths that are no multiple of a vector: all are updated, and nothing beyond") {
    for (std::size_t size = 0; size <= 65; ++size) {
        auto p = random_latents<s3::shift3>(size + 1, 47);
        const auto before = p;
        owned_latents<s3::shift3> m(size + 1, 0.5f);
        auto cut = fields(p.view()), cut_m = fields(m.view());
        for (auto* all : {&cut, &cut_m})
            for (auto& f : *all)
                f = f.first(size);
        std::vector<float> g(size, 1.0f), w(size + 1, 99.0f);
        REQUIRE(s3::step(s3::sgd{}, s3::from_fields<s3::shift3, float>(cut),
                         {s3::from_fields<s3::shift3, float>(cut_m)}, g, std::span(w).first(size)));
        for (std::size_t k = 0; k < p.data.size(); ++k) {
            CHECK(p.data[k][size] == before.data[k][size]);
            CHECK(m.data[k][size] == 0.5f);
            for (std::size_t i = 0; i < size; ++i)
                CHECK(p.data[k][i] != before.data[k][i]);
        }
        CHECK(w[size] == 99.0f);
    }
}

TEST_CASE("the weights may take their gradient's place") {
    auto p = random_latents<s3::shift4>(100, 53), q = p;
    owned_latents<s3::shift4> m(100), n(100);
    std::vector<float> g(100, 0.3f), w(100);
    REQUIRE(s3::step(s3::sgd{}, p.view(), {m.view()}, g, w));
    REQUIRE(s3::step(s3::sgd{}, q.view(), {n.view()}, g, g));
    CHECK(w == g);
    CHECK(p.data == q.data);
}

TEST_CASE("shifts, signs and zeros all move when weights learn a target" *
          doctest::skip(s3::test::fast_math)) {
    constexpr std::size_t size = 4000;
    auto p = random_latents<s3::shift3>(size, 59);
    std::vector<float> target(size), w(size), start(size), g(size);
    auto wanted = random_latents<s3::shift3>(size, 61);
    REQUIRE(s3::realize(wanted.view(), target));
    REQUIRE(s3::realize(p.view(), w));
    start = w;
    owned_latents<s3::shift3> m(size);
    const auto distance = [&] {
        double sum = 0;
        for (std::size_t i = 0; i < size; ++i)
            sum += std::pow(double{w[i]} - double{target[i]}, 2);
        return sum;
    };
    const double before = distance();
    for (int step = 0; step < 100; ++step) {
        for (std::size_t i = 0; i < size; ++i)
            g[i] = w[i] - target[i];
        REQUIRE(s3::step(s3::sgd{.learning_rate = 0.05f, .momentum = 0.5f}, p.view(), {m.view()}, g,
                         w));
    }
    CHECK(distance() < 0.3 * before);
    std::size_t revived = 0, flipped = 0, reshifted = 0;
    for (std::size_t i = 0; i < size; ++i) {
        revived += start[i] == 0 && w[i] != 0;
        flipped += start[i] * w[i] < 0;
        reshifted += start[i] * w[i] > 0 && start[i] != w[i];
    }
    CHECK(revived > size / 20);
    CHECK(flipped > size / 20);
    CHECK(reshifted > size / 20);
}

TEST_CASE("sizes that differ are errors that name the argument, and nothing is written") {
    auto p = random_latents<s3::shift3>(8, 67);
    const auto before = p;
    owned_latents<s3::shift3> m(8), small(7);
    std::vector<float> g(8), w(8);
    const auto name = [](const s3::status& s) { return std::string(s.error().argument); };
    CHECK(name(s3::step(s3::sgd{}, p.view(), {small.view()}, g, w)) == "moments");
    CHECK(name(s3::step(s3::adam{}, p.view(), {m.view(), small.view()}, g, w)) == "moments");
    CHECK(name(s3::step(s3::sgd{}, p.view(), {m.view()}, std::span(g).first(5), w)) ==
          "grad_weights");
    CHECK(name(s3::step(s3::sgd{}, p.view(), {m.view()}, g, std::span(w).first(5))) == "weights");
    p.data[2].pop_back();
    CHECK(name(s3::step(s3::sgd{}, p.view(), {m.view()}, g, w)) == "shift_1");
    p.data[2].push_back(before.data[2].back());
    CHECK(p.data == before.data);
}

TEST_CASE("what is not finite ends the step and is named: gradient, latent, or what becomes of it" *
          doctest::skip(s3::test::fast_math)) {
    constexpr std::size_t size = 65;
    const float nan = s3::test::not_a_number;
    for (const std::size_t at : {0u, 21u, 64u}) {
        const auto failed = [&](auto spoil, const s3::sgd& optimizer = {}) {
            auto p = random_latents<s3::shift3>(size, 71);
            owned_latents<s3::shift3> m(size);
            std::vector<float> g(size, 1.0f), w(size, 99.0f);
            spoil(p, m, g);
            const auto s = s3::step(optimizer, p.view(), {m.view()}, g, w);
            CHECK(w[size - 1] == 99.0f); // it ended
            auto again = p, again_m = m; // in the gradient's place
            const auto t = s3::step(optimizer, again.view(), {again_m.view()}, g, g);
            CHECK(t.error().code == s3::errc::not_finite);
            CHECK(s.error().code == s3::errc::not_finite);
            return std::string(s.error().argument) + "@" + std::to_string(s.error().index);
        };
        const std::string place = "@" + std::to_string(at);
        CHECK(failed([&](auto&, auto&, auto& g) { g[at] = nan; }) == "grad_weights" + place);
        CHECK(failed([&](auto& p, auto&, auto&) { p.data[1][at] = nan; }) == "sparse" + place);
        CHECK(failed([&](auto& p, auto&, auto&) { p.data[3][at] = -nan; }) == "shift_2" + place);
        CHECK(failed([&](auto&, auto& m, auto&) { m.data[2][at] = nan; }) == "shift_1" + place);
        CHECK(failed([&](auto&, auto& m, auto&) { m.data[0][at] = 1e30f; },
                     {.learning_rate = 1e30f}) == "sign" + place);
    }
}

TEST_CASE("a gradient that is not finite ends the step, even where the estimator drops it" *
          doctest::skip(s3::test::fast_math)) {
    constexpr std::size_t size = 65;
    for (const std::size_t at : {0u, 21u, 64u})
        for (const float bad : {s3::test::not_a_number, s3::test::infinity}) {
            auto p = random_latents<s3::shift3>(size, 71);
            owned_latents<s3::shift3> m(size);
            for (auto& field : p.data)
                std::fill(field.begin(), field.end(), 2.0f); // beyond the limit, all of them
            std::vector<float> g(size, 1.0f), w(size, 99.0f);
            g[at] = bad;
            const auto s = s3::step(s3::sgd{}, p.view(), {m.view()}, g, w, 0.0f,
                                    s3::surrogate::authors{}, s3::straight_through::clipped{0.5f});
            CHECK(s.error().code == s3::errc::not_finite);
            CHECK(std::string(s.error().argument) == "grad_weights");
            CHECK(s.error().index == at);
        }
}
