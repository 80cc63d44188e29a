#include <s3/interop/torch_fused.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <sstream>
#include <vector>

namespace {

using torch::Tensor;
namespace hosts = s3::libtorch;

/// Two shift layers, a norm and a float layer: everything that trains in its own way.
template <s3::shift_weight_format F>
torch::nn::Sequential make_model() {
    return torch::nn::Sequential(
        hosts::ShiftConv2d<F>(torch::nn::Conv2dOptions(2, 5, 3).padding(1)),
        torch::nn::BatchNorm2d(5), torch::nn::ReLU(), torch::nn::Flatten(),
        hosts::ShiftLinear<F>(torch::nn::LinearOptions(5 * 36, 8)), torch::nn::ReLU(),
        torch::nn::Linear(8, 3));
}

struct batch {
    Tensor x = torch::randn({16, 2, 6, 6}), labels = torch::randint(3, {16}, torch::kInt64);
};

Tensor loss_of(torch::nn::Sequential& model, const batch& b) {
    return torch::cross_entropy_loss(model->forward(b.x), b.labels);
}

template <class Fused, class Rest>
void train_fused(torch::nn::Sequential& model, Fused& fused, Rest& rest,
                 const std::vector<batch>& batches) {
    for (const auto& b : batches) {
        fused.zero_grad();
        rest.zero_grad();
        loss_of(model, b).backward();
        rest.step();
        fused.step();
    }
}

void same_parameters(torch::nn::Module& a, torch::nn::Module& b, double tolerance) {
    const auto p = a.named_parameters(), q = b.named_parameters();
    REQUIRE(p.size() == q.size());
    for (const auto& item : p) {
        INFO(item.key());
        CHECK(torch::allclose(item.value(), q[item.key()], tolerance, tolerance));
    }
}

// A latent within rounding of zero may fall on either side of it, after which two runs part: few
// steps, and seeds at which none does.
template <s3::shift_weight_format F, class Optimizer, class Options, class Ours>
void compare(const Options& theirs, const Ours& ours, float strength) {
    torch::manual_seed(11);
    auto autograd_model = make_model<F>(), fused_model = make_model<F>();
    {
        torch::NoGradGuard guard;
        const auto from = autograd_model->named_parameters(), to = fused_model->named_parameters();
        for (const auto& item : from)
            to[item.key()].copy_(item.value());
    }
    const std::vector<batch> batches(4);

    Optimizer all(autograd_model->parameters(), theirs);
    for (const auto& b : batches) {
        all.zero_grad();
        loss_of(autograd_model, b).backward();
        hosts::add_dense_gradient(*autograd_model, strength);
        all.step();
    }

    Optimizer rest(hosts::other_parameters(*fused_model), theirs);
    hosts::fused_optimizer fused(*fused_model, ours, strength);
    train_fused(fused_model, fused, rest, batches);
    same_parameters(*autograd_model, *fused_model, 2e-5);
}

} // namespace

TEST_CASE("fused training follows torch's optimizers over autograd") {
    const auto check_format = []<class F>(F) {
        compare<F, torch::optim::SGD>(
            torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(1e-3),
            s3::sgd{.learning_rate = 0.05f, .momentum = 0.9f, .weight_decay = 1e-3f}, 1e-3f);
        compare<F, torch::optim::SGD>(
            torch::optim::SGDOptions(0.05).momentum(0.9).nesterov(true),
            s3::sgd{.learning_rate = 0.05f, .momentum = 0.9f, .weight_decay = 0, .nesterov = true},
            0);
        compare<F, torch::optim::Adam>(torch::optim::AdamOptions(0.005),
                                       s3::adam{.learning_rate = 0.005f}, -1e-3f);
        compare<F, torch::optim::AdamW>(
            torch::optim::AdamWOptions(0.005).weight_decay(0.1),
            s3::adam{.learning_rate = 0.005f, .weight_decay = 0.1f, .decoupled = true}, 0);
    };
    check_format(s3::shift2{});
    check_format(s3::shift3{});
    check_format(s3::shift4{});
    check_format(s3::dense3{});
}

TEST_CASE("latents are the fused optimizer's, the rest is the other's, and none is forgotten") {
    auto model = make_model<s3::shift3>();
    std::size_t latents = 0;
    for (const auto* layer : hosts::shift_layers(*model))
        latents += layer->fields().size();
    CHECK(latents == 8);
    CHECK(hosts::other_parameters(*model).size() + latents == model->parameters().size());
}

TEST_CASE("saved and resumed, training continues bit for bit") {
    torch::manual_seed(12);
    const std::vector<batch> first(3), second(3);
    auto model = make_model<s3::shift3>();
    const auto options = torch::optim::SGDOptions(0.1).momentum(0.9);
    const s3::adam adam{.learning_rate = 0.01f};
    torch::optim::SGD rest(hosts::other_parameters(*model), options);
    hosts::fused_optimizer fused(*model, adam, 1e-3f);
    train_fused(model, fused, rest, first);

    std::stringstream model_file, rest_file, fused_file;
    torch::save(model, model_file);
    torch::save(rest, rest_file);
    torch::serialize::OutputArchive out;
    fused.save(out);
    out.save_to(fused_file);
    train_fused(model, fused, rest, second);

    auto again = make_model<s3::shift3>();
    torch::optim::SGD rest_again(hosts::other_parameters(*again), options);
    hosts::fused_optimizer fused_again(*again, adam, 1e-3f);
    torch::load(again, model_file);
    torch::load(rest_again, rest_file);
    torch::serialize::InputArchive in;
    in.load_from(fused_file);
    fused_again.load(in);
    train_fused(again, fused_again, rest_again, second);
    same_parameters(*model, *again, 0);
}

TEST_CASE("images that are channels last train the same") {
    torch::manual_seed(14);
    auto model = make_model<s3::shift3>();
    auto other = make_model<s3::shift3>();
    std::stringstream file;
    torch::save(model, file);
    torch::load(other, file);
    std::vector<batch> straight(4), crossed;
    for (const auto& b : straight)
        crossed.push_back({b.x.contiguous(torch::MemoryFormat::ChannelsLast), b.labels});
    torch::optim::SGD rest(hosts::other_parameters(*model), 0.05);
    torch::optim::SGD other_rest(hosts::other_parameters(*other), 0.05);
    hosts::fused_optimizer fused(*model, s3::sgd{.learning_rate = 0.05f});
    hosts::fused_optimizer other_fused(*other, s3::sgd{.learning_rate = 0.05f});
    train_fused(model, fused, rest, straight);
    train_fused(other, other_fused, other_rest, crossed);
    same_parameters(*model, *other, 1e-4);
}

TEST_CASE("the leaf always is what the latents realize") {
    torch::manual_seed(13);
    auto model = make_model<s3::shift4>();
    torch::optim::SGD rest(hosts::other_parameters(*model), 0.1);
    hosts::fused_optimizer fused(*model, s3::sgd{.learning_rate = 0.5f});
    const auto layers = hosts::shift_layers(*model);
    const Tensor start = layers[1]->realized();
    train_fused(model, fused, rest, std::vector<batch>(3));
    for (const auto* layer : layers)
        CHECK(torch::equal(layer->discrete(), layer->realized()));
    CHECK(!torch::equal(layers[1]->realized(), start));
    CHECK(fused.gradients().size() == 2);

    const auto copy = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
    for (const auto* layer : hosts::shift_layers(*copy))
        CHECK(!layer->fused());
    {
        torch::NoGradGuard guard;
        layers[0]->fields()[0].neg_();
    }
    layers[0]->refresh();
    CHECK(torch::equal(layers[0]->discrete(), layers[0]->realized()));
}

TEST_CASE("training moves every layer to the share of zeros that is asked for") {
    for (const double target : {0.2, 0.8})
        for (const bool fuse : {false, true}) {
            torch::manual_seed(15);
            auto model = make_model<s3::shift3>();
            const batch data{torch::randn({64, 2, 6, 6}), torch::randint(3, {64}, torch::kInt64)};
            const auto sgd = torch::optim::SGDOptions(0.1).momentum(0.9);
            if (fuse) {
                torch::optim::SGD rest(hosts::other_parameters(*model), sgd);
                hosts::fused_optimizer fused(*model, s3::sgd{.learning_rate = 0.2f});
                for (int step = 0; step < 300; ++step) {
                    hosts::steer_zeros(*model, target);
                    train_fused(model, fused, rest, {data});
                }
            } else {
                torch::optim::SGD all(model->parameters(), sgd);
                for (int step = 0; step < 300; ++step) {
                    model->zero_grad(true);
                    loss_of(model, data).backward();
                    hosts::steer_zeros(*model, target);
                    hosts::add_dense_gradient(*model);
                    all.step();
                }
            }
            for (const auto* layer : hosts::shift_layers(*model)) {
                const double zeros =
                    (layer->realized() == 0).to(torch::kFloat64).mean().item<double>();
                CHECK(std::abs(zeros - target) < 0.1); // half of them at the start
            }
        }
    auto model = make_model<s3::shift3>();
    CHECK_THROWS_WITH_AS(hosts::steer_zeros(*model, 1.5), doctest::Contains("target is 1.5"),
                         c10::Error);
}

TEST_CASE("a layer in two places is one layer") {
    hosts::ShiftLinear<s3::shift3> shared(torch::nn::LinearOptions(4, 4));
    torch::nn::Sequential model(shared, shared);
    CHECK(hosts::shift_layers(*model).size() == 1);
    hosts::fused_optimizer fused(*model, s3::sgd{});
    model->forward(torch::randn({3, 4})).sum().backward();
    CHECK(fused.gradients().size() == 1);
}

TEST_CASE("a frozen layer stays what it is when the others are fused") {
    torch::nn::Sequential model(hosts::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(4, 4)),
                                hosts::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(4, 4)));
    const auto layers = hosts::shift_layers(*model);
    std::vector<Tensor> before;
    for (const auto* layer : layers)
        before.push_back(layer->fields()[0].detach().clone());
    for (const Tensor& f : layers[0]->fields())
        f.set_requires_grad(false);
    hosts::fused_optimizer fused(*model, s3::sgd{1.0f});
    model->forward(torch::randn({3, 4})).square().sum().backward();
    fused.step();
    CHECK(torch::equal(layers[0]->fields()[0], before[0]));
    CHECK_FALSE(torch::equal(layers[1]->fields()[0], before[1]));
}

TEST_CASE("a layer whose gradients come late moves as a new one, as in torch's Adam") {
    torch::nn::Sequential model(hosts::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(4, 4)),
                                hosts::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(4, 4)));
    const auto layers = hosts::shift_layers(*model);
    s3::adam options;
    options.learning_rate = 0.005f;
    hosts::fused_optimizer fused(*model, options);
    const auto step = [&](const hosts::shift_layer& of) {
        fused.zero_grad();
        of.discrete().mutable_grad() = torch::ones({4, 4});
        fused.step();
    };
    for (int i = 0; i < 100; ++i)
        step(*layers[0]);
    const Tensor before = layers[1]->fields()[0].detach().clone();
    step(*layers[1]);
    const Tensor moved = (layers[1]->fields()[0] - before).abs();
    CHECK(moved.max().item<float>() == doctest::Approx(0.005).epsilon(1e-3));
}

TEST_CASE(
    "a leaf that is fused once more stays trained, and a failed step counts as one that wrote") {
    hosts::ShiftLinear<s3::shift3> layer(torch::nn::LinearOptions(4, 4));
    hosts::fused_optimizer first(*layer, s3::sgd{});
    for (const Tensor& f : layer->fields())
        f.set_requires_grad(false);
    hosts::fused_optimizer second(*layer, s3::sgd{});
    CHECK(layer->discrete().requires_grad());
    layer->discrete().mutable_grad() = torch::full({4, 4}, NAN);
    const auto before = layer->discrete()._version();
    CHECK_THROWS_AS(second.step(), c10::Error);
    CHECK(layer->discrete()._version() > before);
}

TEST_CASE("latents have no second derivatives, and autograd says so") {
    hosts::ShiftLinear<s3::shift3> layer(torch::nn::LinearOptions(4, 4));
    const Tensor x = torch::randn({3, 4}, torch::requires_grad());
    const auto grads = torch::autograd::grad({layer->forward(x).square().sum()},
                                             {layer->fields()[0], x}, {}, {}, true);
    CHECK_NOTHROW(grads[1].square().sum().backward({}, /*retain_graph=*/true));
    CHECK_THROWS_WITH(grads[0].square().sum().backward(), "s3: latents have no second derivatives");
}

TEST_CASE("autograd notices a step between forward and backward") {
    torch::nn::Sequential model(hosts::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(4, 4)),
                                torch::nn::Tanh(),
                                hosts::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(4, 4)));
    hosts::fused_optimizer fused(*model, s3::sgd{1.0f});
    const Tensor loss = model->forward(torch::randn({3, 4})).square().sum();
    loss.backward({}, /*retain_graph=*/true);
    fused.step();
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("modified by an inplace operation"),
                         c10::Error);
}

TEST_CASE("a fused layer starts from trained weights") {
    torch::manual_seed(16);
    hosts::ShiftConv2d<s3::shift3> layer(torch::nn::Conv2dOptions(3, 4, 3));
    hosts::fused_optimizer fused(*layer, s3::sgd{});
    const auto w = torch::randn({4, 3, 3, 3}).contiguous(torch::MemoryFormat::ChannelsLast);
    const float unit = layer->initialize_from(w);
    CHECK(unit == doctest::Approx(w.abs().mean().item<double>()));
    CHECK(torch::equal(layer->discrete(), layer->realized()));
    CHECK((layer->discrete() - (w / unit).clamp(-4, 4)).abs().max().item<double>() <= 1);
    CHECK_THROWS_WITH_AS(layer->initialize_from(w[0]), doctest::Contains("weights is [3, 3, 3]"),
                         c10::Error);
}

TEST_CASE("a NaN gradient is refused, not trained on") {
    hosts::ShiftLinear<s3::shift3> layer(torch::nn::LinearOptions(4, 4));
    hosts::fused_optimizer fused(*layer, s3::sgd{});
    Tensor g = torch::zeros({4, 4});
    g[1][2] = NAN;
    layer->discrete().mutable_grad() = g;
    CHECK_THROWS_WITH_AS(fused.step(), doctest::Contains("grad_weights[6]: value is not finite"),
                         c10::Error);
}

TEST_CASE("an archive that does not fit, and a step without gradient, are errors") {
    auto small = make_model<s3::shift2>();
    auto large = make_model<s3::shift4>();
    hosts::fused_optimizer a(*small, s3::sgd{}), b(*large, s3::sgd{});
    std::stringstream file;
    torch::serialize::OutputArchive out;
    a.save(out);
    out.save_to(file);
    torch::serialize::InputArchive in;
    in.load_from(file);
    CHECK_THROWS_AS(b.load(in), c10::Error);

    hosts::ShiftLinear<s3::shift3> alone(torch::nn::LinearOptions(2, 2));
    CHECK_THROWS_AS(alone->step(s3::sgd{}, {alone->fields()}, 0), c10::Error);
    CHECK_THROWS_AS(alone->step(s3::sgd{}, {}, 0), c10::Error);
}
