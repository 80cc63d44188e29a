#include <s3/train/regularize.hpp>

#include <s3/train/dynamics.hpp>
#include <s3/train/init.hpp>
#include <s3/train/reparam.hpp>

#include "../support/fast_math.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

TEST_CASE("the gradient is the derivative of the penalty, away from zero") {
    std::vector<float> sparse(67);
    std::mt19937 generator(1);
    s3::fill_normal(sparse, 1.0, generator);
    for (const float strength : {0.5f, -0.25f, 0.0f}) {
        std::vector<float> gradient(sparse.size(), 1.0f);
        REQUIRE(s3::add_dense_gradient(sparse, gradient, strength));
        for (std::size_t i = 0; i < sparse.size(); ++i) {
            auto moved = sparse;
            const float h = std::abs(sparse[i]) / 2;
            moved[i] = sparse[i] + h;
            const double above = s3::dense_penalty(moved, strength);
            moved[i] = sparse[i] - h;
            const double below = s3::dense_penalty(moved, strength);
            CHECK(gradient[i] - 1 == doctest::Approx((above - below) / (2.0 * h)).epsilon(1e-4));
        }
    }
}

TEST_CASE("at zero and with sizes that differ") {
    const std::vector<float> sparse{0.0f, -0.0f};
    std::vector<float> gradient{0, 0}, small{0};
    for (const float strength : {1.0f, -1.0f}) {
        REQUIRE(s3::add_dense_gradient(sparse, gradient, strength));
        CHECK(gradient == std::vector<float>{0, 0});
    }
    CHECK(s3::add_dense_gradient(sparse, small, 1).error().code == s3::errc::shape_mismatch);
}

TEST_CASE("a share of zeros can be asked for" * doctest::skip(s3::test::fast_math)) {
    constexpr std::size_t size = 10000;
    for (const double target : {0.0, 0.2, 0.5, 0.8}) {
        std::mt19937 generator(2);
        std::vector<float> sign(size), sparse(size), w(size);
        const s3::latents<s3::shift2> p{sign, sparse, {}};
        s3::initialize(p, 0.1, generator);
        for (int step = 0; step < 400; ++step) {
            REQUIRE(s3::realize(p, w));
            const double share = s3::share_of_zeros<float>(w);
            CHECK(share == s3::share_of_zeros_from(sparse));
            std::vector<float> gradient(size);
            REQUIRE(s3::add_dense_gradient(sparse, gradient,
                                           s3::strength_for_share(share, target, 0.1f)));
            for (std::size_t i = 0; i < size; ++i)
                sparse[i] -= 0.1f * gradient[i];
        }
        CHECK(s3::share_of_zeros<float>(w) == doctest::Approx(target).epsilon(0.03));
    }
}
