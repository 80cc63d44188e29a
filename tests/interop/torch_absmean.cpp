#include <s3/interop/torch_absmean.hpp>

#include <doctest/doctest.h>
#include <torch/torch.h>

namespace hosts = s3::libtorch;

TEST_CASE("the weights are the definition's and the gradient passes straight through") {
    torch::manual_seed(1);
    const auto v = torch::randn({7, 9}).t().requires_grad_(); // not contiguous
    const auto w = hosts::realize_absmean(v);
    const auto scale = v.detach().abs().mean();
    CHECK(torch::allclose(w, scale * (v.detach() / (scale + 1e-5)).round().clamp(-1, 1)));
    const auto g = torch::randn({9, 7});
    CHECK(torch::equal(torch::autograd::grad({w}, {v}, {g})[0], g));
    const auto cut = hosts::realize_absmean<s3::straight_through::clipped>(v);
    const auto inside = v.detach().abs() <= scale + 1e-5;
    CHECK(torch::allclose(torch::autograd::grad({cut}, {v}, {g})[0], g * inside));
}

TEST_CASE("a ternary layer learns") {
    torch::manual_seed(2);
    torch::nn::Linear layer(20, 3);
    const auto x = torch::randn({200, 20}), labels = x.slice(1, 0, 3).argmax(1);
    torch::optim::SGD optimizer(layer->parameters(), 0.5);
    double first = 0, last = 0;
    for (int step = 0; step < 100; ++step) {
        optimizer.zero_grad();
        const auto loss = torch::cross_entropy_loss(
            torch::linear(x, hosts::realize_absmean(layer->weight), layer->bias), labels);
        loss.backward();
        optimizer.step();
        last = loss.item<double>();
        first = step == 0 ? last : first;
    }
    CHECK(last < first / 2);
}

TEST_CASE("doubles are refused by name") {
    CHECK_THROWS_WITH_AS(hosts::realize_absmean(torch::zeros({2}, torch::kFloat64)),
                         doctest::Contains("latent must be float32"), c10::Error);
}
