#pragma once
// The network: five 3×3 convolutions (16, 32/2, 32, 64/2, 64 channels, "/2" = stride 2), each with
// batch norm and ReLU, then the mean over the image and one linear layer. 5.5 million products an
// image. The first convolution and the linear layer are ordinary; the four between them, with 99%
// of the weights, are what the two arms differ in: torch::nn::Conv2d or s3::libtorch::ShiftConv2d.

#include "data.hpp"

#include <s3/interop/torch.hpp>

#include <vector>

namespace fashion {

struct layer_shape {
    std::int64_t in_channels;
    std::int64_t out_channels;
    std::int64_t stride;
};
inline constexpr layer_shape first_layer{1, 16, 1};
inline constexpr std::array<layer_shape, 4> inner_layers{
    {{16, 32, 2}, {32, 32, 1}, {32, 64, 2}, {64, 64, 1}}};
inline constexpr int features = 64;

using format = s3::shift3;
using full_conv = torch::nn::Conv2d;
using shift_conv = s3::libtorch::ShiftConv2d<format>;

[[nodiscard]] inline torch::nn::Conv2dOptions conv_options(const layer_shape& layer) {
    return torch::nn::Conv2dOptions(layer.in_channels, layer.out_channels, 3)
        .stride(layer.stride)
        .padding(1)
        .bias(false);
}

/// Pixels as the float network sees them: 0 … 1, and 0 is both the background and the padding.
[[nodiscard]] inline torch::Tensor to_float(const torch::Tensor& pixels) {
    return pixels.to(torch::kFloat32).div_(255);
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
    torch::nn::Linear linear{features, classes};

private:
    void add_norm(const layer_shape& layer) {
        norms.emplace_back(layer.out_channels);
        register_module("norm" + std::to_string(norms.size() - 1), norms.back());
    }
};

/// The weights that the forward pass multiplies with.
[[nodiscard]] inline torch::Tensor weights_of(const full_conv& conv) {
    return conv->weight.detach();
}
[[nodiscard]] inline torch::Tensor weights_of(const shift_conv& conv) {
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
