#include <s3/train/reparam.hpp>

#include "../support/fast_math.hpp"
#include "latents.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace {

/// The definition, one weight at a time, in double.
template <s3::shift_weight_format F>
struct definition {
    static constexpr std::size_t T = s3::shift_latents<F>;
    static constexpr std::size_t first = F::has_zero ? 2 : 1;
    double sgn = 1, h_sparse = 1, w = 0;
    std::vector<double> h, s; // H(l_k) and S_k, k = 1 … T; s[0] = S_0

    explicit definition(const std::vector<float>& x) {
        sgn = x[0] >= 0 ? 1 : -1;
        if (F::has_zero)
            h_sparse = x[1] > 0 ? 1 : 0;
        s.push_back(0);
        for (std::size_t k = 0; k < T; ++k) {
            h.push_back(x[first + k] > 0 ? 1 : 0);
            s.push_back(h.back() * (s.back() + 1));
        }
        w = sgn * h_sparse * std::exp2(s.back());
    }
    /// magnitude(S) and slope(S) are the surrogate's, as functions.
    std::vector<double> gradient(double g, double (*magnitude)(double), double (*slope)(double),
                                 bool masked, bool chained) const {
        std::vector<double> out{g * (masked ? h_sparse : 1) * magnitude(s.back())};
        if (F::has_zero)
            out.push_back(g * sgn * magnitude(s.back()));
        for (std::size_t k = 0; k < T; ++k) {
            double d = chained ? s[k] + 1 : 1;
            for (std::size_t j = k + 1; j < T; ++j)
                d *= h[j];
            out.push_back(g * sgn * h_sparse * slope(s.back()) * d);
        }
        return out;
    }
};

template <s3::shift_weight_format F>
std::vector<float> weight_latents(const owned_latents<F>& p, std::size_t i) {
    std::vector<float> x;
    for (const auto& field : p.data)
        x.push_back(field[i]);
    return x;
}

double power(double shift) {
    return std::exp2(shift);
}
double power_slope(double shift) {
    return std::exp2(shift) * std::log(2.0);
}
double root(double shift) {
    return std::sqrt(shift + 1);
}
double root_slope(double shift) {
    return 1 / (2 * std::sqrt(shift + 1));
}
double one(double) {
    return 1;
}

struct of_a_host {
    static constexpr bool masked = true, chained = true;
    float magnitude(float g, float, float) const { return 3 * g; }
    float slope(float g, float, float) const { return 5 * g; }
};

bool close(double a, double b) {
    return std::abs(a - b) <= 1e-6 * (std::abs(a) + std::abs(b));
}

} // namespace

TEST_CASE("realize is the definition, bit for bit, at every length") {
    each(tested_formats{}, []<class F>(F) {
        for (std::size_t size = 0; size <= 65; ++size) {
            auto p = random_latents<F>(size, 7 + unsigned(size));
            std::vector<float> w(size + 1, 99.0f);
            REQUIRE(s3::realize(p.view(), std::span(w).first(size)));
            CHECK(w[size] == 99.0f);
            for (std::size_t i = 0; i < size; ++i) {
                const double expected = definition<F>(weight_latents(p, i)).w;
                CHECK(w[i] == expected);
                CHECK(std::signbit(w[i]) == std::signbit(expected));
                CHECK(F::code_of(int(w[i])) >= 0);
            }
        }
    });
}

TEST_CASE("realize reaches every value of the format") {
    each(tested_formats{}, []<class F>(F) {
        auto p = random_latents<F>(200000, 3);
        std::vector<std::int32_t> w(200000);
        REQUIRE(s3::realize(p.view(), w));
        std::vector<bool> seen(F::codes);
        for (const auto v : w)
            seen[std::size_t(F::code_of(v))] = true;
        for (unsigned code = 0; code < F::codes; ++code)
            // 2^14 and beyond ask for so many positive latents in a row that chance rarely obliges.
            if (F::valid(code) && std::abs(F::value(code)) <= 256)
                CHECK(seen[code]);
    });
}

TEST_CASE("integer weights equal float weights") {
    each(formats<s3::shift2, s3::shift3, s3::shift4, s3::dense2, s3::dense3>{}, []<class F>(F) {
        auto p = random_latents<F>(1001, 5);
        std::vector<float> w(1001);
        std::vector<std::int8_t> v(1001);
        REQUIRE(s3::realize(p.view(), w));
        REQUIRE(s3::realize(p.view(), v));
        for (std::size_t i = 0; i < w.size(); ++i)
            CHECK(w[i] == v[i]);
    });
    static_assert(!s3::weight_value<std::int8_t, s3::dense4>, "+128 does not fit");
}

TEST_CASE("backward is the definition of each surrogate, at every length") {
    const auto check = []<class F, class Surrogate>(F, const Surrogate& surrogate,
                                                    double (*magnitude)(double),
                                                    double (*slope)(double)) {
        for (std::size_t size = 0; size <= 65; ++size) {
            auto p = random_latents<F>(size, 70 + unsigned(size));
            std::vector<float> g(size);
            std::mt19937 generator(11);
            s3::fill_normal(g, 1.0, generator);
            owned_latents<F> grad(size, 5.0f), sum(size, 5.0f);
            using enum s3::gradients;
            REQUIRE(s3::backward(p.view(), g, grad.view(), overwrite, surrogate));
            REQUIRE(s3::backward(p.view(), g, sum.view(), accumulate, surrogate));
            for (std::size_t i = 0; i < size; ++i) {
                const definition<F> at(weight_latents(p, i));
                const auto expected =
                    at.gradient(g[i], magnitude, slope, Surrogate::masked, Surrogate::chained);
                for (std::size_t k = 0; k < expected.size(); ++k) {
                    CHECK(close(grad.data[k][i], expected[k]));
                    CHECK(std::abs(sum.data[k][i] - (5.0 + grad.data[k][i])) <=
                          1e-6 * (5 + std::abs(grad.data[k][i])));
                }
            }
        }
    };
    each(tested_formats{}, [&]<class F>(F format) {
        check(format, s3::surrogate::authors{}, power, power_slope);
        check(format, s3::surrogate::square_root{}, root, root_slope);
        check(format, s3::surrogate::flat{}, one, root_slope);
        check(format, s3::surrogate::direct{}, one, root_slope);
    });
}

TEST_CASE("without a surrogate, gradients are those of the format's authors, bit for bit") {
    each(tested_formats{}, []<class F>(F) {
        auto p = random_latents<F>(100, 19);
        std::vector<float> g(100, 1.5f);
        owned_latents<F> published(100), named(100);
        REQUIRE(s3::backward(p.view(), g, published.view()));
        using authors =
            std::conditional_t<F::has_zero, s3::surrogate::authors, s3::surrogate::square_root>;
        REQUIRE(s3::backward(p.view(), g, named.view(), s3::gradients::overwrite, authors{}));
        CHECK(published.data == named.data);
    });
}

static_assert(std::same_as<s3::surrogate::recommended<s3::shift4>, s3::surrogate::direct>);
static_assert(
    std::same_as<s3::surrogate::recommended<s3::dense4>, s3::surrogate::published<s3::dense4>>);

TEST_CASE("a zero of the wrong sign returns with the other one, if the sign is not masked") {
    const auto steps_until_positive = [](const auto& surrogate) {
        std::vector<float> sign{-0.5f}, sparse{-0.5f}, g{-1}, w(1); // a zero that should be +1
        const s3::latents<s3::shift2> p{sign, sparse, {}};
        owned_latents<s3::shift2> grad(1);
        for (int step = 0; step < 100; ++step) {
            REQUIRE(s3::backward(p, g, grad.view(), s3::gradients::overwrite, surrogate));
            sign[0] -= 0.1f * grad.data[0][0];
            sparse[0] -= 0.1f * grad.data[1][0];
            REQUIRE(s3::realize(p, w));
            if (w[0] > 0)
                return step;
        }
        return -1;
    };
    CHECK(steps_until_positive(s3::surrogate::authors{}) == -1);
    CHECK(steps_until_positive(s3::surrogate::direct{}) > 0);
}

TEST_CASE("a host's own surrogate") {
    std::vector<float> sign{-1}, l1{1}, g{2};
    owned_latents<s3::dense2> grad(1);
    const s3::latents<s3::dense2> p{sign, {l1}};
    REQUIRE(
        s3::backward<s3::arch::scalar>(p, g, grad.view(), s3::gradients::overwrite, of_a_host{}));
    CHECK(grad.data[0][0] == 6);   // 3·g
    CHECK(grad.data[1][0] == -10); // 5·g·sgn(a)
}

TEST_CASE("scalar and vector loops agree") {
    each(tested_formats{}, []<class F>(F) {
        auto p = random_latents<F>(777, 13);
        std::vector<float> g(777), w(777), v(777);
        std::mt19937 generator(17);
        s3::fill_normal(g, 1.0, generator);
        REQUIRE(s3::realize(p.view(), w));
        REQUIRE(s3::realize<s3::arch::scalar>(p.view(), v));
        CHECK(w == v);
        owned_latents<F> a(777), b(777);
        REQUIRE(s3::backward(p.view(), g, a.view()));
        REQUIRE(s3::backward<s3::arch::scalar>(p.view(), g, b.view()));
        for (std::size_t k = 0; k < a.data.size(); ++k)
            for (std::size_t i = 0; i < w.size(); ++i)
                CHECK(close(a.data[k][i], b.data[k][i]));
    });
}

TEST_CASE("H(0) is 0 and sgn(0) is +1, of either zero") {
    for (const float zero : {0.0f, -0.0f}) {
        std::vector<float> sign{zero, -1, zero}, sparse{1, 1, zero}, l1{zero, 1, 1}, l2{1, zero, 1};
        std::vector<float> w(3);
        REQUIRE(s3::realize(s3::latents<s3::shift3>{sign, sparse, {l1, l2}}, w));
        CHECK(w == std::vector<float>{2, -1, 0});
    }
}

TEST_CASE("a zero weight has a gradient that can revive it") {
    std::vector<float> sign{1, -1}, sparse{-0.1f, -0.1f}, l1{1, 1}, l2{1, -1}, g{-3, -3};
    owned_latents<s3::shift3> grad(2);
    REQUIRE(s3::backward(s3::latents<s3::shift3>{sign, sparse, {l1, l2}}, g, grad.view()));
    CHECK(grad.data[0] == std::vector<float>{0, 0});
    CHECK(grad.data[1] == std::vector<float>{-12, 3});
    CHECK(grad.data[2] == std::vector<float>{0, 0});
    CHECK(grad.data[3] == std::vector<float>{0, 0});
}

TEST_CASE("gradients may overwrite the latents they belong to") {
    auto p = random_latents<s3::shift4>(100, 23);
    std::vector<float> g(100, 1.5f);
    owned_latents<s3::shift4> grad(100);
    REQUIRE(s3::backward(p.view(), g, grad.view()));
    REQUIRE(s3::backward(p.view(), g, p.view()));
    CHECK(p.data == grad.data);
}

TEST_CASE("straight-through estimators follow their definitions" *
          doctest::skip(s3::test::fast_math)) {
    each(tested_formats{}, []<class F>(F) {
        constexpr std::size_t size = 131;
        auto p = random_latents<F>(size, 29);
        std::vector<float> g(size);
        std::mt19937 generator(31);
        s3::fill_normal(g, 1.0, generator);
        owned_latents<F> identity(size), clipped(size), ewgs(size);
        using s3::gradients::overwrite;
        const s3::surrogate::flat flat;
        REQUIRE(s3::backward(p.view(), g, identity.view(), overwrite, flat));
        REQUIRE(s3::backward(p.view(), g, clipped.view(), overwrite, flat,
                             s3::straight_through::clipped{0.5f}));
        REQUIRE(s3::backward(p.view(), g, ewgs.view(), overwrite, flat,
                             s3::straight_through::ewgs{0.25f}));
        for (std::size_t k = 0; k < p.data.size(); ++k)
            for (std::size_t i = 0; i < size; ++i) {
                const double x = p.data[k][i], d = identity.data[k][i];
                const double q = k == 0 ? (x >= 0 ? 1 : -1) : (x > 0 ? 1 : 0);
                CHECK(clipped.data[k][i] == (std::abs(x) <= 0.5 ? d : 0));
                const double sign = d > 0 ? 1 : d < 0 ? -1 : 0;
                CHECK(std::abs(ewgs.data[k][i] - d * (1 + 0.25 * sign * (x - q))) <=
                      1e-5 * std::abs(d));
            }
    });
}

TEST_CASE("spans of unequal size are errors that name the argument, and nothing is written") {
    std::vector<float> sign(8), sparse(8), l1(8), l2(7), w(8, 9.0f), g(8);
    const s3::latents<s3::shift3> odd{sign, sparse, {l1, l2}};
    const auto r = s3::realize(odd, w);
    REQUIRE(!r);
    CHECK(r.error().code == s3::errc::shape_mismatch);
    CHECK(std::string(r.error().argument) == "shift_2");
    CHECK(w == std::vector<float>(8, 9.0f));

    owned_latents<s3::shift3> p(8), grad(8, 9.0f), small(6);
    CHECK(std::string(s3::realize(p.view(), std::span(w).first(5)).error().argument) == "sign");
    CHECK(
        std::string(s3::backward(p.view(), std::span(g).first(7), grad.view()).error().argument) ==
        "grad_weights");
    CHECK(s3::backward(p.view(), g, small.view()).error().code == s3::errc::shape_mismatch);
    CHECK(s3::backward(odd, g, grad.view()).error().code == s3::errc::shape_mismatch);
    CHECK(grad.data == owned_latents<s3::shift3>(8, 9.0f).data);
}

TEST_CASE("validate names the first latent that is not finite") {
    each(tested_formats{}, []<class F>(F) {
        for (std::size_t k = 0; k < s3::latents_per_weight<F>; ++k)
            for (const float bad : {s3::test::not_a_number, -s3::test::infinity}) {
                auto p = random_latents<F>(33, 37);
                CHECK(s3::validate(p.view()));
                p.data[k][21] = bad;
                const auto v = s3::validate(p.view());
                REQUIRE(!v);
                CHECK(v.error().code == s3::errc::not_finite);
                CHECK(std::string(v.error().argument) == s3::field_name<F>(k));
                CHECK(v.error().index == 21);
            }
    });
}

TEST_CASE("a latent that is not finite ends every pass, in place too, and is named" *
          doctest::skip(s3::test::fast_math)) {
    each(tested_formats{}, []<class F>(F) {
        for (std::size_t k = 0; k < s3::latents_per_weight<F>; ++k)
            for (const std::size_t at : {0u, 21u, 64u}) // 64: in the tail of every vector width
                for (const float bad : {s3::test::not_a_number, -s3::test::infinity}) {
                    auto p = random_latents<F>(65, 38);
                    p.data[k][at] = bad;
                    const auto named = [&](const s3::status& s) {
                        CHECK(s.error().code == s3::errc::not_finite);
                        CHECK(std::string(s.error().argument) == s3::field_name<F>(k));
                        CHECK(s.error().index == std::int64_t(at));
                    };
                    std::vector<float> g(65, 1.0f), w(65, 99.0f);
                    std::vector<std::int32_t> integers(65);
                    owned_latents<F> grad(65, 99.0f);
                    named(s3::realize(p.view(), w));
                    named(s3::realize(p.view(), integers));
                    named(s3::backward(p.view(), g, grad.view()));
                    named(s3::backward(p.view(), g, grad.view(), s3::gradients::accumulate));
                    CHECK(w[64] == 99.0f); // it ended
                    CHECK(grad.data[0][64] == 99.0f);
                    auto q = p;
                    named(s3::realize(p.view(), p.view().sign));
                    named(s3::backward(q.view(), g, q.view()));
                }
    });
}

TEST_CASE("a gradient that is not finite passes through to the latents' own" *
          doctest::skip(s3::test::fast_math)) {
    owned_latents<s3::shift3> p(20, 1.0f), grad(20);
    std::vector<float> g(20, 1.0f);
    g[3] = s3::test::not_a_number;
    REQUIRE(s3::backward(p.view(), g, grad.view()));
    for (const auto& field : grad.data)
        CHECK(std::isnan(field[3]));
}
