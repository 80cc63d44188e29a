#include <s3/train/init.hpp>

#include <s3/train/reparam.hpp>

#include "../support/fast_math.hpp"

#include <doctest/doctest.h>

#include "latents.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

TEST_CASE("latents have the mean and deviation asked for, and every field its own values") {
    constexpr std::size_t size = 40001;
    std::vector<float> a(size), b(size), c(size), d(size);
    std::mt19937 generator(1);
    const double deviation = s3::initial_deviation(9, 32);
    CHECK(deviation == doctest::Approx(std::sqrt(2.0 / 288)));
    s3::initialize(s3::latents<s3::shift3>{a, b, {c, d}}, deviation, generator);
    for (const auto* field : {&a, &b, &c, &d}) {
        double sum = 0, squares = 0;
        std::size_t within = 0;
        for (const float v : *field) {
            sum += v;
            squares += double{v} * v;
            within += std::abs(v) < deviation;
        }
        CHECK(std::abs(sum / size) < 4 * deviation / std::sqrt(double(size)));
        CHECK(std::sqrt(squares / size) == doctest::Approx(deviation).epsilon(0.02));
        CHECK(double(within) / size == doctest::Approx(0.6827).epsilon(0.02));
    }
    CHECK(a != b);
    CHECK(c != d);
}

TEST_CASE("the same seed gives the same latents, another seed others") {
    std::vector<float> a(101), b(101), c(101);
    std::mt19937_64 g1(5), g2(5), g3(6);
    s3::fill_normal(a, 1.0, g1);
    s3::fill_normal(b, 1.0, g2);
    s3::fill_normal(c, 1.0, g3);
    CHECK(a == b);
    CHECK(a != c);
}

TEST_CASE("uniform values stay in their interval and fill it") {
    std::vector<float> v(10000);
    std::mt19937 generator(3);
    s3::fill_uniform(v, -1, 3, generator);
    double sum = 0;
    for (const float x : v) {
        CHECK(x >= -1);
        CHECK(x <= 3);
        sum += x;
    }
    CHECK(sum / 10000 == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("latents from real weights realize the nearest values, in place too") {
    each(tested_formats{}, []<class F>(F) {
        constexpr std::size_t size = 2001;
        std::vector<float> w(size), realized(size);
        std::mt19937 generator(9);
        s3::fill_normal(w, 0.05, generator);
        w[7] = 0;
        owned_latents<F> p(size);
        const auto unit = s3::initialize_from<F>(w, p.view());
        REQUIRE(unit);
        double mean = 0;
        for (const float v : w)
            mean += std::abs(double{v}) / size;
        CHECK(*unit == doctest::Approx(mean));
        REQUIRE(s3::realize(p.view(), realized));
        for (std::size_t i = 0; i < size; ++i) {
            const double x = w[i] / double{*unit};
            double nearest = F::has_zero ? 0 : std::copysign(1, x);
            for (int e = 0; e < int(F::exponents); ++e)
                if (const double c = std::copysign(std::exp2(e), x);
                    std::abs(c - x) < std::abs(nearest - x))
                    nearest = c;
            CHECK(std::abs(std::abs(realized[i] - x) - std::abs(nearest - x)) < 1e-5);
        }
        owned_latents<F> q(size);
        q.data[0] = w;
        REQUIRE(s3::initialize_from<F>(q.view().sign, q.view()));
        CHECK(q.data == p.data);
    });
}

TEST_CASE("weights that are all zero stay so; what does not fit is named, and nothing is written") {
    owned_latents<s3::shift3> p(5, 9.0f);
    std::vector<float> w(5), realized(5, 7.0f);
    w[3] = s3::test::not_a_number;
    const auto spoilt = s3::initialize_from<s3::shift3>(w, p.view());
    CHECK(std::string(spoilt.error().argument) == "weights");
    CHECK(spoilt.error().index == 3);
    CHECK(std::string(
              s3::initialize_from<s3::shift3>(std::span(w).first(4), p.view()).error().argument) ==
          "sign");
    CHECK(p.data == owned_latents<s3::shift3>(5, 9.0f).data);
    w[3] = 0;
    REQUIRE(s3::initialize_from<s3::shift3>(w, p.view()));
    REQUIRE(s3::realize(p.view(), realized));
    CHECK(realized == std::vector<float>(5));
}
