#pragma once
// The training loop, the same for both arms: momentum SGD, learning rates that fall to zero along a
// cosine, batches drawn without replacement in an order that the seed fixes.
//
// The inner layers, whether of float weights or of latents, have a learning rate and a decay of
// their own in each arm, as tuning in examples/claims chose them.

#include "network.hpp"
#include "progress.hpp"

#include <cmath>
#include <numbers>

namespace fashion {

struct training_options {
    int epochs = 12;
    std::int64_t batch = 128;
    double rate = 0.1; ///< of the first and the last layer and the norms
    double momentum = 0.9;
    double weight_decay = 1e-4;
    float dense_weight = 1e-5f; ///< α of the dense-weight regularizer
    std::uint64_t seed = 1;
};

/// What an epoch left behind. Shares are in percent, one per inner layer.
struct epoch_record {
    double loss = 0;
    double test_accuracy = 0;
    std::vector<double> zeros;
    std::vector<double> sign_changes; ///< weights whose sign differs from their last one
    std::vector<double> ever_changed; ///< weights that have had both signs since the start
};
using history = std::vector<epoch_record>;

/// The settings of the inner layers.
struct inner_options {
    double rate;
    double weight_decay;
};
template <class Conv>
inline constexpr inner_options inner_tuned{1, 1e-4};
template <>
inline constexpr inner_options inner_tuned<shift_conv>{2, 3e-4};

/// Two parameter groups: those of the inner layers, and all others.
template <class Conv>
[[nodiscard]] torch::optim::SGD make_optimizer(network<Conv>& net, const training_options& o) {
    std::vector<torch::Tensor> others = net.parameters(), inner;
    for (const auto& layer : net.inner)
        for (const auto& p : layer->parameters())
            inner.push_back(p);
    std::erase_if(others, [&](const torch::Tensor& p) {
        return std::any_of(inner.begin(), inner.end(), [&](auto& i) { return i.is_same(p); });
    });
    const auto options = [&](double rate, double decay) {
        return torch::optim::SGDOptions(rate).momentum(o.momentum).weight_decay(decay);
    };
    const auto [rate, decay] = inner_tuned<Conv>;
    std::vector<torch::optim::OptimizerParamGroup> groups{{others}, {inner}};
    groups[1].set_options(std::make_unique<torch::optim::SGDOptions>(options(rate, decay)));
    return torch::optim::SGD(groups, options(o.rate, o.weight_decay));
}

template <class Conv>
void set_rates(torch::optim::SGD& optimizer, const training_options& o, double epochs_done) {
    const double cosine = (1 + std::cos(std::numbers::pi * epochs_done / o.epochs)) / 2;
    optimizer.param_groups()[0].options().set_lr(cosine * o.rate);
    optimizer.param_groups()[1].options().set_lr(cosine * inner_tuned<Conv>.rate);
}

/// Trains on this thread. `number` is the training's place in `bars`.
template <class Conv>
history train(network<Conv>& net, const dataset& data, const training_options& o,
              support::progress& bars, std::size_t number) {
    auto generator = at::detail::createCPUGenerator(o.seed);
    auto optimizer = make_optimizer(net, o);
    std::vector<s3::libtorch::weight_dynamics> dynamics(net.inner.size());
    for (std::size_t i = 0; i < dynamics.size(); ++i)
        dynamics[i].observe(weights_of(net.inner[i]));

    history past;
    for (int epoch = 0; epoch < o.epochs; ++epoch) {
        const support::stopwatch time;
        epoch_record record;
        const auto order =
            torch::randperm(data.train.size(), generator, torch::kInt64).split(o.batch);
        net.train();
        for (std::size_t b = 0; b < order.size(); ++b) {
            const auto labels = data.train.labels.index_select(0, order[b]);
            const auto pixels = data.train.images.index_select(0, order[b]);
            const double done = epoch + static_cast<double>(b) / static_cast<double>(order.size());
            set_rates<Conv>(optimizer, o, done);
            bars.step(number, done);
            optimizer.zero_grad();
            const auto loss =
                torch::nn::functional::cross_entropy(net.forward(to_float(pixels)), labels);
            loss.backward();
            s3::libtorch::add_dense_gradient(net, o.dense_weight);
            optimizer.step();
            record.loss += loss.template item<double>() / static_cast<double>(order.size());
        }
        record.test_accuracy = accuracy(classify(net, data.test.images), data.test.labels);
        for (std::size_t i = 0; i < dynamics.size(); ++i) {
            const auto weights = weights_of(net.inner[i]);
            const auto moved = dynamics[i].observe(weights);
            record.zeros.push_back(moved.zeros * 100);
            record.sign_changes.push_back(static_cast<double>(moved.flips) * 100 /
                                          static_cast<double>(weights.numel()));
            record.ever_changed.push_back((1 - moved.never_flipped) * 100);
        }
        char outcome[128];
        std::snprintf(outcome, sizeof outcome, "epoch %2d/%d  loss %.3f  test %.2f%%  %.1f s",
                      epoch + 1, o.epochs, record.loss, record.test_accuracy, time.seconds());
        bars.step(number, epoch + 1);
        bars.say(number, outcome);
        past.push_back(std::move(record));
    }
    return past;
}

} // namespace fashion
