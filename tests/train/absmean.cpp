#include <s3/train/absmean.hpp>

#include <s3/format/shift.hpp>
#include <s3/train/init.hpp>

#include "../support/fast_math.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {
std::vector<float> normal(std::size_t size, unsigned seed, double deviation) {
    std::vector<float> v(size);
    std::mt19937 generator(seed);
    s3::fill_normal(v, deviation, generator);
    return v;
}
} // namespace

TEST_CASE("weights are round and clip of the latent over its mean magnitude, at every length") {
    for (std::size_t size = 0; size <= 65; ++size) {
        const auto v = normal(size, unsigned(size), 0.02);
        std::vector<float> w(size), real(size);
        double mean = 0;
        for (const float x : v)
            mean += std::fabs(double{x}) / double(size);
        const auto scale = s3::realize_absmean(v, w, true);
        REQUIRE(scale);
        REQUIRE(s3::realize_absmean(v, real));
        CHECK(*scale == doctest::Approx(mean));
        for (std::size_t i = 0; i < size; ++i) {
            const double x = double{v[i]} / (mean + 1e-5);
            CHECK(w[i] == std::clamp(std::nearbyint(x), -1.0, 1.0));
            CHECK(s3::ternary::code_of(int(w[i])) >= 0);
            CHECK(real[i] == w[i] * *scale);
        }
    }
}

TEST_CASE("an all-zero tensor stays zero; one value alone is its own scale") {
    std::vector<float> v(9), w(9, 7.0f);
    REQUIRE(s3::realize_absmean(v, w));
    CHECK(w == std::vector<float>(9));
    v = {-3};
    w = {0};
    REQUIRE(s3::realize_absmean(v, w));
    CHECK(w[0] == -3);
}

TEST_CASE("the gradient passes straight through, or as the estimator says") {
    const auto v = normal(61, 3, 0.5), g = normal(61, 4, 1);
    std::vector<float> d(61), sum(61, 2.0f), cut(61);
    REQUIRE(s3::backward_absmean(v, g, d));
    CHECK(d == g);
    REQUIRE(s3::backward_absmean(v, g, sum, s3::gradients::accumulate));
    REQUIRE(s3::backward_absmean(v, g, cut, s3::gradients::overwrite,
                                 s3::straight_through::clipped{1.0f}));
    const double scale = double{s3::absmean_scale(v)} + 1e-5;
    for (std::size_t i = 0; i < 61; ++i) {
        CHECK(sum[i] == g[i] + 2.0f);
        CHECK(cut[i] == (std::fabs(double{v[i]}) <= scale ? g[i] : 0.0f));
    }
}

TEST_CASE("training with it fits a ternary target: signs move and zeros revive") {
    constexpr std::size_t size = 3000;
    auto v = normal(size, 5, 0.1);
    std::vector<float> target(size), w(size), g(size), start(size);
    REQUIRE(s3::realize_absmean(normal(size, 6, 0.1), target));
    REQUIRE(s3::realize_absmean(v, start));
    for (int step = 0; step < 200; ++step) {
        REQUIRE(s3::realize_absmean(v, w));
        for (std::size_t i = 0; i < size; ++i)
            g[i] = w[i] - target[i];
        REQUIRE(s3::backward_absmean(v, g, g));
        for (std::size_t i = 0; i < size; ++i)
            v[i] -= 0.1f * g[i];
    }
    std::size_t agree = 0, flipped = 0, revived = 0;
    for (std::size_t i = 0; i < size; ++i) {
        agree += (w[i] > 0) == (target[i] > 0) && (w[i] < 0) == (target[i] < 0);
        flipped += start[i] * w[i] < 0;
        revived += start[i] == 0 && w[i] != 0;
    }
    CHECK(agree > size * 9 / 10);
    CHECK(flipped > size / 20);
    CHECK(revived > size / 20);
}

TEST_CASE("sizes that differ are errors that name the argument") {
    const std::vector<float> v(4), g(3);
    std::vector<float> out(4), small(3);
    CHECK(std::string(s3::realize_absmean(v, small).error().argument) == "weights");
    CHECK(std::string(s3::backward_absmean(v, g, out).error().argument) == "grad_weights");
    CHECK(std::string(s3::backward_absmean(v, v, small).error().argument) == "grad_latent");
}

TEST_CASE("a latent that is not finite is named, and nothing is written") {
    auto v = normal(40, 7, 1);
    v[33] = s3::test::infinity;
    v[35] = s3::test::not_a_number;
    const std::vector<float> g(40, 1.0f), untouched(40, 9.0f);
    auto out = untouched;
    for (const auto& e :
         {s3::realize_absmean(v, out).error(), s3::backward_absmean(v, g, out).error()}) {
        CHECK(e.code == s3::errc::not_finite);
        CHECK(std::string(e.argument) == "latent");
        CHECK(e.index == 33);
    }
    CHECK(out == untouched);
}
