// Tests of what the experiment adds to the library: DeepShift's rules, RAdam, and the statistics.

#include "run.hpp"
#include "statistics.hpp"

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <set>

using namespace claims;

TEST_CASE("DeepShift-Q rounds the exponent, clamps it to 3 bits, and passes the gradient on") {
    const auto v = torch::randn({4000}) * torch::randn({4000}).exp();
    v.requires_grad_();
    const auto w = q_rule::weights({v});
    std::set<float> values;
    for (std::int64_t i = 0; i < v.numel(); ++i) {
        const double x = v[i].item<double>();
        const double p = std::clamp(std::round(std::log2(std::abs(x))), -3.0, 0.0);
        CHECK(w[i].item<double>() == std::copysign(std::exp2(p), x));
        values.insert(w[i].item<float>());
    }
    CHECK(values.size() == 8);
    const auto g = torch::randn({4000});
    w.backward(g);
    CHECK(torch::equal(v.grad(), g));
}

TEST_CASE("DeepShift-PS: round(sign)·2^round(p); the sign's gradient is unscaled") {
    const tensors x{torch::rand({4000}) * 2 - 1, torch::rand({4000}) * -2};
    for (const auto& t : x)
        t.requires_grad_();
    const auto w = ps_rule::weights(x);
    std::set<float> values;
    for (std::int64_t i = 0; i < w.numel(); ++i) {
        const double sign = std::nearbyint(x[0][i].item<double>());
        CHECK(w[i].item<double>() == sign * std::exp2(std::nearbyint(x[1][i].item<double>())));
        values.insert(w[i].item<float>());
    }
    CHECK(values.size() == 7); // 0, ±1/4, ±1/2, ±1
    const auto g = torch::randn({4000});
    w.backward(g);
    CHECK(torch::equal(x[0].grad(), g));
    CHECK(torch::allclose(x[1].grad(), g * w.detach() * std::numbers::ln2));
    const torch::NoGradGuard guard;
    const tensors far{torch::full({3}, 5.0), torch::full({3}, -9.0)};
    ps_rule::project(far);
    CHECK(far[0].max().item<double>() == 1);
    CHECK(far[1].min().item<double>() == -2);
}

TEST_CASE("RAdam starts as momentum, then finds a minimum") {
    const auto x = torch::full({1}, 3.0);
    x.mutable_grad() = torch::full({1}, 2.0);
    radam optimizer({x});
    optimizer.step(0.1); // the first steps are unrectified: m / (1 − β1) = g
    CHECK(x.item<double>() == doctest::Approx(3 - 0.1 * 2));
    for (int i = 0; i < 2000; ++i) {
        x.mutable_grad() = 2 * x.detach();
        optimizer.step(0.02);
    }
    CHECK(std::abs(x.item<double>()) < 0.05);
}

TEST_CASE("a paired interval by t") {
    const auto i = interval_of({1, 2, 3, 4, 5}); // 3 ± 2.776·√(2.5/5)
    CHECK(i.mean == doctest::Approx(3));
    CHECK(i.low == doctest::Approx(3 - 2.776 * std::sqrt(0.5)));
    CHECK(i.high == doctest::Approx(3 + 2.776 * std::sqrt(0.5)));
}
