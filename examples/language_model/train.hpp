#pragma once
// The training loop, the same for all arms: AdamW, rates that rise over the first steps and then
// fall to zero along a cosine, gradients clipped to norm 1. A batch is of windows of the text,
// drawn at random places by the seed. The linear layers have a rate of their own in each arm.

#include "network.hpp"

#include <s3/interop/torch_fused.hpp>

#include <cmath>
#include <functional>
#include <numbers>

namespace lm {

struct training_options {
    int steps = 1100;
    std::int64_t batch = 4;   ///< windows of the text
    double other_rate = 3e-3; ///< of the embedding, norms and gains
    int points = 15;          ///< how often held-out text is looked at
    std::uint64_t seed = 1;
};

/// The settings of the linear layers in each arm. Rates were chosen as README.md tells. S3 latents
/// do not decay: that would pull each towards the threshold that it decides on, not towards zero.
struct arm_settings {
    double rate;
    double decay;
};
[[nodiscard]] inline arm_settings tuned(arm kind) {
    return kind == arm::shift3 ? arm_settings{5e-3, 0.0} : arm_settings{3e-3, 0.1};
}

/// What a look at held-out text found.
struct point {
    double training = 0; ///< bits per byte since the last look
    double held_out = 0; ///< bits per byte of a part of the held-out text
};

/// What Adam remembers of gradients. Short runs do better with a short memory.
inline constexpr float beta1 = 0.8f, beta2 = 0.95f;

/// Windows of a text that start at `starts`: int64 [count][length + 1].
[[nodiscard]] inline Tensor windows(const Tensor& text, const Tensor& starts, std::int64_t length) {
    const auto places = starts.unsqueeze(1) + torch::arange(length + 1, torch::kInt64);
    return text.index_select(0, places.flatten()).view(places.sizes()).to(torch::kInt64);
}

[[nodiscard]] inline Tensor loss_of(const network& net, const Tensor& some) {
    const auto length = some.size(1) - 1;
    const auto logits = net.forward(some.slice(1, 0, length));
    return torch::nn::functional::cross_entropy(logits.flatten(0, 1),
                                                some.slice(1, 1, length + 1).flatten());
}

/// Bits per byte of the first `count` windows of a text.
[[nodiscard]] inline double bits_per_byte(const network& net, const Tensor& text,
                                          std::int64_t count) {
    const torch::NoGradGuard no_gradients;
    const auto length = to_int64(net.shape.context);
    double sum = 0;
    for (std::int64_t done = 0; done < count; done += 8) {
        const auto starts = torch::arange(done, std::min(done + 8, count), torch::kInt64) * length;
        sum += loss_of(net, windows(text, starts, length)).item<double>() *
               static_cast<double>(starts.size(0));
    }
    return sum / static_cast<double>(count) / std::numbers::ln2;
}

/// Trains on this thread. Calls done() after each step, and say(line) with what it found at times.
inline std::vector<point> train(network& net, const Tensor& text, const Tensor& held_out,
                                const training_options& o, const std::function<void()>& done,
                                const std::function<void(const std::string&)>& say) {
    const auto [rate, decay] = tuned(net.kind);
    auto generator = at::detail::createCPUGenerator(o.seed);
    const auto length = to_int64(net.shape.context);
    // S3 latents are stepped in one pass with their gradients; all else is torch's.
    s3::libtorch::fused_optimizer<s3::adam> shift(
        net, {static_cast<float>(rate), beta1, beta2, 1e-8f, static_cast<float>(decay), true});
    const auto options = [rate = rate](double with_decay) {
        return torch::optim::AdamWOptions(rate).betas({beta1, beta2}).weight_decay(with_decay);
    };
    std::vector<torch::optim::OptimizerParamGroup> groups{{net.weights()}, {net.others()}};
    groups[1].set_options(std::make_unique<torch::optim::AdamWOptions>(options(0)));
    torch::optim::AdamW optimizer(groups, options(decay));

    std::vector<Tensor> leaves = net.others();
    for (const auto& weights : net.weights())
        leaves.push_back(weights);
    for (const auto* layer : s3::libtorch::shift_layers(net))
        leaves.push_back(layer->discrete());

    std::vector<point> past;
    double sum = 0;
    int counted = 0;
    for (int step = 0; step < o.steps; ++step) {
        const double rise = std::min(1.0, (step + 1) / (0.05 * o.steps + 1));
        const double cosine = (1 + std::cos(std::numbers::pi * step / o.steps)) / 2;
        optimizer.param_groups()[0].options().set_lr(rise * cosine * rate);
        shift.options.learning_rate = static_cast<float>(rise * cosine * rate);
        optimizer.param_groups()[1].options().set_lr(rise * cosine * o.other_rate);
        const auto starts =
            torch::randint(text.size(0) - length, {o.batch}, generator, torch::kInt64);
        optimizer.zero_grad();
        shift.zero_grad();
        const auto loss = loss_of(net, windows(text, starts, length));
        loss.backward();
        torch::nn::utils::clip_grad_norm_(leaves, 1.0);
        optimizer.step();
        shift.step();
        sum += loss.item<double>() / std::numbers::ln2;
        ++counted;
        done();
        if ((step + 1) * o.points / o.steps != step * o.points / o.steps) {
            past.push_back({sum / counted, bits_per_byte(net, held_out, 64)});
            sum = counted = 0;
            char line[128];
            std::snprintf(line, sizeof line, "step %5d/%d  bits per byte %.3f  held out %.3f",
                          step + 1, o.steps, past.back().training, past.back().held_out);
            say(line);
        }
    }
    return past;
}

} // namespace lm
