#pragma once
// The model in libtorch, to be trained. Its linear layers are one of three kinds:
//
//   fp32      float weights, float activations
//   ternary   γ·{−1, 0, 1} by absmean (BitNet b1.58), one γ per matrix
//   shift3    g·{0, ±1, ±2, ±4} by S3's latents, one trained g per row
//
// In the last two, training sees what inference will compute: activations rounded to int8, one
// scale per vector, and an embedding rounded to int8, one scale per row. Gradients pass straight
// through the roundings.

#include "config.hpp"

#include <s3/interop/torch.hpp>
#include <s3/interop/torch_absmean.hpp>

#include <torch/torch.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace lm {

using torch::Tensor;

enum class arm { fp32, ternary, shift3 };
inline constexpr std::array<arm, 3> arms{arm::fp32, arm::ternary, arm::shift3};

[[nodiscard]] inline std::int64_t to_int64(std::size_t n) {
    return static_cast<std::int64_t>(n);
}

/// Vectors (the last dimension) as integers of −127 … 127 and a scale each, which s3::linear makes
/// of activations as well: x ≈ integers · scale.
struct rounded {
    Tensor integers, scale;
};
[[nodiscard]] inline rounded round_vectors(const Tensor& x) {
    const auto largest = x.abs().amax(-1, true).clamp_min_(0x1p-100);
    return {x.mul(127 / largest).round_(), largest.div(127)};
}

/// The rounded vectors, through which gradients pass straight.
struct rounded_function : torch::autograd::Function<rounded_function> {
    static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) {
        const auto [integers, scale] = round_vectors(x);
        return integers * scale;
    }
    static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::tensor_list gradients) {
        return gradients;
    }
};

/// A matrix [out][in] without bias.
struct linear_layer : torch::nn::Module {
    virtual Tensor forward(const Tensor& x) const = 0;
    Tensor weight; ///< the latent; undefined where a shift layer has several
    Tensor gain;   ///< [out]; undefined unless it is trained

protected:
    /// Deviation 1/√in: outputs have the size of inputs.
    void make_weight(std::size_t in, std::size_t out) {
        weight = register_parameter("weight", torch::randn({to_int64(out), to_int64(in)}) /
                                                  std::sqrt(static_cast<double>(in)));
    }
};

struct float_layer : linear_layer {
    float_layer(std::size_t in, std::size_t out) { make_weight(in, out); }
    Tensor forward(const Tensor& x) const override { return torch::linear(x, weight); }
};

struct ternary_layer : linear_layer {
    ternary_layer(std::size_t in, std::size_t out) { make_weight(in, out); }
    Tensor forward(const Tensor& x) const override {
        return torch::linear(x, s3::libtorch::realize_absmean(weight));
    }
};

struct shift3_layer : linear_layer {
    using module = s3::libtorch::ShiftLinear<s3::shift3, s3::surrogate::recommended<s3::shift3>>;

    shift3_layer(std::size_t in, std::size_t out)
        : shift(torch::nn::LinearOptions(to_int64(in), to_int64(out)).bias(false)) {
        register_module("shift", shift.ptr());
        // The nearest values of normal weights. Each latent starts at its weight's distance from
        // the threshold that it decides on, so that one step of Adam moves few weights.
        const torch::NoGradGuard no_gradients;
        shift->initialize_from(torch::randn({to_int64(out), to_int64(in)}) * 0.1);
        const auto square = shift->realized().square().mean().item<double>();
        unit_ = 1 / std::sqrt(static_cast<double>(in) * square);
        gain = register_parameter("gain", torch::ones({to_int64(out)}));
    }
    Tensor forward(const Tensor& x) const override {
        return torch::linear(x, shift->discrete()) * scale();
    }
    /// The real weight that 1 stands for, of each row.
    [[nodiscard]] Tensor scale() const { return gain * unit_; }

    module shift;

private:
    double unit_ = 1; ///< makes outputs as large as inputs before training
};

[[nodiscard]] inline std::shared_ptr<linear_layer> make_layer(arm kind, std::size_t in,
                                                              std::size_t out) {
    if (kind == arm::fp32)
        return std::make_shared<float_layer>(in, out);
    if (kind == arm::ternary)
        return std::make_shared<ternary_layer>(in, out);
    return std::make_shared<shift3_layer>(in, out);
}

[[nodiscard]] inline Tensor rms_norm(const Tensor& x, const Tensor& weight) {
    return x * (x.square().mean(-1, true) + config().epsilon).rsqrt() * weight;
}

class network : public torch::nn::Module {
public:
    network(const config& c, arm of) : shape(c), kind(of) {
        embedding = register_parameter("embedding",
                                       torch::randn({to_int64(c.vocabulary), to_int64(c.width)}) /
                                           std::sqrt(static_cast<double>(c.width)));
        const std::size_t kv = c.key_value_width();
        for (std::size_t i = 0; i < c.layers; ++i) {
            const std::string prefix = "layer" + std::to_string(i) + "_";
            const auto matrix = [&](const char* name, std::size_t in, std::size_t out) {
                return register_module(prefix + name, make_layer(of, in, out));
            };
            const auto ones = [&](const char* name) {
                return register_parameter(prefix + name, torch::ones({to_int64(c.width)}));
            };
            blocks.push_back({ones("attention_norm"), ones("mlp_norm"),
                              matrix("query", c.width, c.width), matrix("key", c.width, kv),
                              matrix("value", c.width, kv), matrix("output", c.width, c.width),
                              matrix("gate", c.width, c.hidden), matrix("up", c.width, c.hidden),
                              matrix("down", c.hidden, c.width)});
        }
        norm = register_parameter("norm", torch::ones({to_int64(c.width)}));
        make_tables();
    }

    /// Logits [batch][length][vocabulary] of the bytes that follow `tokens`, int64 [batch][length].
    Tensor forward(const Tensor& tokens) const {
        const auto table = seen(embedding);
        Tensor x = torch::embedding(table, tokens);
        for (const auto& b : blocks) {
            const auto n = seen(rms_norm(x, b.attention_norm));
            x = x + b.output->forward(
                        seen(attend(b.query->forward(n), b.key->forward(n), b.value->forward(n))));
            const auto m = seen(rms_norm(x, b.mlp_norm));
            const auto inner = torch::silu(b.gate->forward(m)) * b.up->forward(m);
            x = x + b.down->forward(seen(inner));
        }
        return torch::linear(seen(rms_norm(x, norm)), table);
    }

    /// The weights of linear layers, unless those have S3 latents.
    [[nodiscard]] std::vector<Tensor> weights() const {
        std::vector<Tensor> all;
        for (const auto& b : blocks)
            for (const auto& layer : b.matrices())
                if (layer->weight.defined())
                    all.push_back(layer->weight);
        return all;
    }
    /// The parameters of all else: embedding, norms, gains.
    [[nodiscard]] std::vector<Tensor> others() {
        std::vector<Tensor> all{embedding, norm};
        for (const auto& b : blocks) {
            all.insert(all.end(), {b.attention_norm, b.mlp_norm});
            for (const auto& layer : b.matrices())
                if (layer->gain.defined())
                    all.push_back(layer->gain);
        }
        return all;
    }

    struct block {
        Tensor attention_norm, mlp_norm;
        std::shared_ptr<linear_layer> query, key, value, output, gate, up, down;

        [[nodiscard]] std::array<std::shared_ptr<linear_layer>, 7> matrices() const {
            return {query, key, value, output, gate, up, down};
        }
    };

    config shape;
    arm kind;
    Tensor embedding, norm;
    std::vector<block> blocks;

private:
    /// What a linear layer sees of its input.
    [[nodiscard]] Tensor seen(const Tensor& x) const {
        return kind == arm::fp32 ? x : rounded_function::apply(x);
    }

    /// Tables of rotary positions [context][head_width], and the mask of the future.
    void make_tables() {
        const auto half = to_int64(shape.head_width() / 2), length = to_int64(shape.context);
        const auto frequency =
            torch::pow(double{shape.rotary_base},
                       -torch::arange(half, torch::kFloat64) / static_cast<double>(half));
        const auto angle = torch::outer(torch::arange(length, torch::kFloat64), frequency);
        cosine_ = torch::cat({angle.cos(), angle.cos()}, 1).to(torch::kFloat32);
        sine_ = torch::cat({-angle.sin(), angle.sin()}, 1).to(torch::kFloat32);
        mask_ = torch::full({length, length}, -std::numeric_limits<float>::infinity()).triu(1);
    }
    /// Turns each pair (i, i + half) of a head by its position's angle; x [batch][head][length][·].
    [[nodiscard]] Tensor rotary(const Tensor& x) const {
        const auto length = x.size(2), half = x.size(3) / 2;
        return x * cosine_.slice(0, 0, length) + x.roll(half, 3) * sine_.slice(0, 0, length);
    }
    /// Causal attention; [batch][length][·] each.
    [[nodiscard]] Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value) const {
        const auto batch = query.size(0), length = query.size(1);
        const auto width = to_int64(shape.head_width());
        const auto shared = to_int64(shape.heads / shape.key_value_heads);
        const auto by_heads = [&](const Tensor& t) {
            return t.view({batch, length, -1, width}).transpose(1, 2);
        };
        const auto for_all = [&](const Tensor& t) { return t.repeat_interleave(shared, 1); };
        const auto q = rotary(by_heads(query)) / std::sqrt(static_cast<double>(width));
        const auto k = for_all(rotary(by_heads(key))), v = for_all(by_heads(value));
        const auto scores =
            torch::matmul(q, k.transpose(2, 3)) + mask_.slice(0, 0, length).slice(1, 0, length);
        return torch::matmul(scores.softmax(-1), v).transpose(1, 2).reshape({batch, length, -1});
    }

    Tensor cosine_, sine_, mask_;
};

/// The number of weights, each of which may have several latents, and of all other parameters.
[[nodiscard]] inline std::size_t weights_in(network& net) {
    std::size_t all = 0;
    for (const auto& t : net.weights())
        all += static_cast<std::size_t>(t.numel());
    for (const auto* layer : s3::libtorch::shift_layers(net))
        all += static_cast<std::size_t>(layer->fields()[0].numel());
    for (const auto& t : net.others())
        all += static_cast<std::size_t>(t.numel());
    return all;
}

} // namespace lm
