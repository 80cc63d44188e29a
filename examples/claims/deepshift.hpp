#pragma once
// The rivals: DeepShift (Elhoushi et al. 2019, arXiv 1905.13298) at true 3-bit grids.
//
//   Q   w = sgn(v)·2^p, p = round(log2 |v|) in −3 … 0: 8 values; the gradient of v is that of w
//   PS  w = round(sign)·2^round(p), p in −2 … 0: {0, ±1/4, ±1/2, ±1}; sign gets g, p gets g·w·ln2
//
// PS keeps its latents within their ranges after each step, and trains with RAdam (Liu et al.
// 2020).

#include "network.hpp"

#include <cmath>
#include <numbers>

namespace claims {

using torch::Tensor;
using tensors = std::vector<Tensor>;
using fashion::weights_of;

struct q_rule {
    struct function : torch::autograd::Function<function> {
        static Tensor forward(torch::autograd::AutogradContext*, const Tensor& v) {
            const auto power = v.abs().clamp_min_(1e-30).log2_().round_().clamp_(-3, 0).exp2_();
            return torch::where(v >= 0, power, -power);
        }
        static tensors backward(torch::autograd::AutogradContext*, tensors g) { return g; }
    };
    static tensors latents(c10::IntArrayRef shape) {
        const double bound = 1 / std::sqrt(static_cast<double>(shape[1] * shape[2] * shape[3]));
        return {torch::empty(shape).uniform_(-bound, bound)};
    }
    static Tensor weights(const tensors& latents) { return function::apply(latents[0]); }
    static void project(const tensors&) {}
};

struct ps_rule {
    struct function : torch::autograd::Function<function> {
        static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& sign,
                              const Tensor& p) {
            const auto w = sign.round() * p.round().exp2();
            context->save_for_backward({w});
            return w;
        }
        static tensors backward(torch::autograd::AutogradContext* context, tensors g) {
            const auto w = context->get_saved_variables()[0];
            return {g[0], g[0] * w * std::numbers::ln2};
        }
    };
    static tensors latents(c10::IntArrayRef shape) {
        return {torch::empty(shape).uniform_(-1, 1), torch::empty(shape).uniform_(-2, 0)};
    }
    static Tensor weights(const tensors& latents) {
        return function::apply(latents[0], latents[1]);
    }
    static void project(const tensors& latents) {
        latents[0].clamp_(-1, 1);
        latents[1].clamp_(-2, 0);
    }
};

template <class Rule>
class rival_conv_impl : public torch::nn::Module {
public:
    explicit rival_conv_impl(const torch::nn::Conv2dOptions& o) : options(o) {
        const auto& k = *o.kernel_size();
        latents = Rule::latents({o.out_channels(), o.in_channels(), k[0], k[1]});
        for (std::size_t i = 0; i < latents.size(); ++i)
            latents[i] = register_parameter("latent" + std::to_string(i), latents[i]);
    }
    Tensor forward(const Tensor& x) {
        return torch::conv2d(x, Rule::weights(latents), {}, options.stride(), 1);
    }
    torch::nn::Conv2dOptions options;
    tensors latents;
};
template <class Rule>
class rival_conv : public torch::nn::ModuleHolder<rival_conv_impl<Rule>> {
public:
    using torch::nn::ModuleHolder<rival_conv_impl<Rule>>::ModuleHolder;
};
template <class Rule>
[[nodiscard]] Tensor weights_of(const rival_conv<Rule>& conv) {
    const torch::NoGradGuard guard;
    return Rule::weights(conv->latents);
}

class radam {
public:
    explicit radam(tensors parameters) : parameters_(std::move(parameters)) {
        for (const auto& p : parameters_) {
            first_.push_back(torch::zeros_like(p));
            second_.push_back(torch::zeros_like(p));
        }
    }
    void step(double rate) {
        const torch::NoGradGuard guard;
        const double n = ++number_, limit = 2 / (1 - beta2) - 1;
        const double unbias1 = 1 - std::pow(beta1, n), unbias2 = 1 - std::pow(beta2, n);
        const double length = limit - 2 * n * std::pow(beta2, n) / unbias2;
        const double rectified =
            std::sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length));
        for (std::size_t i = 0; i < parameters_.size(); ++i) {
            const auto& g = parameters_[i].grad();
            first_[i].mul_(beta1).add_(g, 1 - beta1);
            second_[i].mul_(beta2).addcmul_(g, g, 1 - beta2);
            if (length > 5)
                parameters_[i].addcdiv_(first_[i],
                                        second_[i].sqrt().div_(std::sqrt(unbias2)).add_(1e-8),
                                        -rate * rectified / unbias1);
            else
                parameters_[i].add_(first_[i], -rate / unbias1);
        }
    }

private:
    static constexpr double beta1 = 0.9, beta2 = 0.999;
    int number_ = 0;
    tensors parameters_, first_, second_;
};

} // namespace claims
