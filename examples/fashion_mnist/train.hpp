#pragma once
// The training loop, the same for both arms: momentum SGD, learning rates that fall to zero along a
// cosine, batches drawn without replacement in an order that the seed fixes.
//
// The latents of shift weights have a learning rate of their own (s3/train/optimizer.hpp): at the
// ordinary one they cross zero too seldom to fit the data.

#include "network.hpp"
#include "progress.hpp"

#include <cmath>
#include <numbers>

namespace fashion {

struct training_options {
    int epochs = 12;
    std::int64_t batch = 128;
    double rate = 0.1;
    double latent_rate = s3::sgd{}.learning_rate;
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

/// Two parameter groups: ordinary weights, and latents.
template <class Conv>
[[nodiscard]] torch::optim::SGD make_optimizer(network<Conv>& net, const training_options& o) {
    std::vector<torch::Tensor> ordinary = net.parameters(), latents;
    for (const auto* layer : s3::libtorch::shift_layers(net))
        latents.insert(latents.end(), layer->fields().begin(), layer->fields().end());
    std::erase_if(ordinary, [&](const torch::Tensor& p) {
        return std::any_of(latents.begin(), latents.end(), [&](auto& l) { return l.is_same(p); });
    });
    const auto options =
        torch::optim::SGDOptions(o.rate).momentum(o.momentum).weight_decay(o.weight_decay);
    return torch::optim::SGD({{ordinary}, {latents}}, options);
}

inline void set_rates(torch::optim::SGD& optimizer, const training_options& o, double epochs_done) {
    const double cosine = (1 + std::cos(std::numbers::pi * epochs_done / o.epochs)) / 2;
    optimizer.param_groups()[0].options().set_lr(cosine * o.rate);
    optimizer.param_groups()[1].options().set_lr(cosine * o.latent_rate);
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
            set_rates(optimizer, o, done);
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
        char outcome[96];
        std::snprintf(outcome, sizeof outcome, "loss %.3f  test %.2f%%  %.1f s", record.loss,
                      record.test_accuracy, time.seconds());
        bars.finish_epoch(number, epoch + 1, outcome);
        past.push_back(std::move(record));
    }
    return past;
}

} // namespace fashion
