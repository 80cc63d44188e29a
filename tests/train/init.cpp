#include <s3/train/init.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <random>
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
