#pragma once
// The network in libtorch. What the two arms differ in is the `Conv` of the inner layers:
// torch::nn::Conv2d or s3::libtorch::ShiftConv2d.

#include "architecture.hpp"
#include "data.hpp"

#include <s3/interop/torch.hpp>

#include <vector>

namespace fashion {

/// libtorch counts in signed numbers.
[[nodiscard]] constexpr std::int64_t to_int64(std::size_t n) {
    return static_cast<std::int64_t>(n);
}

using full_conv = torch::nn::Conv2d;
using shift_conv =
    s3::libtorch::ShiftConv2d<shift_format, s3::surrogate::recommended<shift_format>>;

[[nodiscard]] inline torch::nn::Conv2dOptions conv_options(const layer_shape& layer) {
    const auto [in, out, stride] = layer;
    return torch::nn::Conv2dOptions(to_int64(in), to_int64(out), 3)
        .stride(to_int64(stride))
        .padding(1)
        .bias(false);
}

/// Pixels as the float network sees them: 0 … 1, and 0 is both the background and the padding.
/// Channels last, in which all that follows stays: a step takes two thirds of the time.
[[nodiscard]] inline torch::Tensor to_float(const torch::Tensor& pixels) {
    return pixels
        .to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/false,
            torch::MemoryFormat::ChannelsLast)
        .div_(255);
}

template <class Conv>
class network : public torch::nn::Module {
public:
    network() {
        add_norm(first_layer);
        register_module("first", first);
        for (const auto& layer : inner_layers) {
            inner.push_back(Conv(conv_options(layer)));
            register_module("inner" + std::to_string(inner.size()), inner.back());
            add_norm(layer);
        }
        register_module("linear", linear);
    }

    /// What each convolution with its norm and ReLU gives, for pixels 0 … 1, [batch][1][28][28].
    std::vector<torch::Tensor> activations(const torch::Tensor& pixels) {
        std::vector<torch::Tensor> all{norms[0](first(pixels)).relu_()};
        for (std::size_t i = 0; i < inner.size(); ++i)
            all.push_back(norms[i + 1](inner[i](all.back())).relu_());
        return all;
    }
    /// Logits [batch][10].
    torch::Tensor forward(const torch::Tensor& pixels) {
        return linear(activations(pixels).back().mean({2, 3}));
    }

    full_conv first{conv_options(first_layer)};
    std::vector<Conv> inner;
    /// After `first` and after each of `inner`.
    std::vector<torch::nn::BatchNorm2d> norms;
    torch::nn::Linear linear{to_int64(features), to_int64(classes)};

private:
    void add_norm(const layer_shape& layer) {
        norms.emplace_back(to_int64(layer.out_channels));
        register_module("norm" + std::to_string(norms.size() - 1), norms.back());
    }
};

/// The weights that the forward pass multiplies with.
[[nodiscard]] inline torch::Tensor weights_of(const full_conv& conv) {
    return conv->weight.detach();
}
template <class F, class Surrogate, class Estimator>
[[nodiscard]] torch::Tensor
weights_of(const s3::libtorch::ShiftConv2d<F, Surrogate, Estimator>& conv) {
    return conv->realized();
}

/// Logits of all images, in inference mode.
template <class Conv>
[[nodiscard]] torch::Tensor classify(network<Conv>& net, const torch::Tensor& pixels,
                                     std::int64_t batch = 250) {
    const torch::NoGradGuard no_gradients;
    net.eval();
    std::vector<torch::Tensor> logits;
    for (const auto& some : pixels.split(batch))
        logits.push_back(net.forward(to_float(some)));
    return torch::cat(logits);
}

/// In percent.
[[nodiscard]] inline double accuracy(const torch::Tensor& logits, const torch::Tensor& labels) {
    const auto right = logits.argmax(1).eq(labels).sum().item<std::int64_t>();
    return 100.0 * static_cast<double>(right) / static_cast<double>(labels.size(0));
}

} // namespace fashion
