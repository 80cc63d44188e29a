#pragma once
// The trained shift network → the integer network. An activation is a uint8 q that stands for the
// real q·step; a pixel's step is 1/255. With the integer sum acc = Σ w·q,
//
//   real convolution   x = acc·unit,  unit = step_in · scale of the channel's weights (shift: 1)
//   batch norm         y = factor·x + offset
//   epilogue           multiplier = factor·unit / step_out,  bias = round(offset / (factor·unit))

#include "integer.hpp"
#include "network.hpp"

#include <cmath>

namespace fashion {

/// Batch norm in inference: y = factor·x + offset, per channel.
struct affine {
    torch::Tensor factor, offset;
};
[[nodiscard]] inline affine fold(const torch::nn::BatchNorm2d& norm) {
    const torch::NoGradGuard no_gradients;
    const auto as_double = [](const torch::Tensor& t) { return t.to(torch::kFloat64); };
    const auto deviation = (as_double(norm->running_var) + norm->options.eps()).sqrt();
    const auto factor = as_double(norm->weight) / deviation;
    return {factor, as_double(norm->bias) - as_double(norm->running_mean) * factor};
}

/// The step of the uint8 grid that represents these activations with the least squared error. The
/// largest ones may saturate so that the others are finer.
[[nodiscard]] inline double best_step(const torch::Tensor& activations) {
    const double largest = std::max(activations.max().item<double>(), 1e-6);
    double best = 0, least = std::numeric_limits<double>::infinity();
    for (const double share : {1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4}) {
        const double step = largest * share / 255;
        const auto rounded = (activations / step).round_().clamp_max_(255).mul_(step);
        const double error = (rounded - activations).square_().mean().item<double>();
        if (error < least)
            least = error, best = step;
    }
    return best;
}

/// One convolution and its norm, between activations of the two steps. `scale`: real weight =
/// scale · packed weight, per channel.
template <s3::weight_format F>
[[nodiscard]] integer_conv<F> integer_conv_of(s3::packed_filter<F> filter, const affine& norm,
                                              const torch::Tensor& scale, double step_in,
                                              double step_out) {
    integer_conv<F> conv{std::move(filter), {}, {}};
    for (std::int64_t c = 0; c < scale.numel(); ++c) {
        const double unit = step_in * scale[c].item<double>();
        const double offset = norm.offset[c].item<double>();
        double factor = norm.factor[c].item<double>();
        // A channel that the norm all but switches off: keep its bias within 30 bits.
        const double smallest = std::max(std::abs(offset) / unit / (1 << 30), 1e-30);
        factor = std::copysign(std::max(std::abs(factor), smallest), factor);
        conv.multiplier.push_back(static_cast<float>(factor * unit / step_out));
        conv.bias.push_back(static_cast<std::int32_t>(std::lround(offset / (factor * unit))));
    }
    return conv;
}

/// Packs the weights, folds the norms, and measures activations on `calibration` images.
[[nodiscard]] inline integer_network to_integer(network<shift_conv>& net,
                                                const torch::Tensor& calibration) {
    const torch::NoGradGuard no_gradients;
    net.eval();
    std::vector<double> steps{1.0 / 255};
    for (const auto& activations : net.activations(to_float(calibration)))
        steps.push_back(best_step(activations));

    integer_network out;
    const auto first = weights_of(net.first);
    const auto first_scale = first.abs().amax({1, 2, 3}).clamp_min(1e-12) / 127;
    const auto first_bytes =
        (first / first_scale.view({-1, 1, 1, 1})).round().to(torch::kInt8).contiguous();
    out.first = integer_conv_of(
        checked(s3::pack_filter<byte_format>(span_of<std::int8_t>(first_bytes),
                                             shape_of(first_layer), s3::filter_order::oihw),
                "first layer"),
        fold(net.norms[0]), first_scale, steps[0], steps[1]);

    for (std::size_t i = 0; i < net.inner.size(); ++i) {
        const auto weights = weights_of(net.inner[i]).contiguous();
        out.inner.push_back(integer_conv_of(
            checked(s3::pack_filter<shift_format>(
                        span_of<float>(weights), shape_of(inner_layers[i]), s3::filter_order::oihw),
                    "shift layer " + std::to_string(i + 1)),
            fold(net.norms[i + 1]), torch::ones(weights.size(0)), steps[i + 1], steps[i + 2]));
    }

    const auto linear = net.linear->weight.detach();
    const double linear_scale = linear.abs().max().item<double>() / 127;
    const auto linear_bytes = (linear / linear_scale).round().to(torch::kInt8).contiguous();
    out.linear =
        checked(s3::pack<byte_format>(span_of<std::int8_t>(linear_bytes), classes, features),
                "linear layer");
    constexpr int positions = 49;
    const double logit = linear_scale * steps.back() / positions;
    for (const double bias : span_of<float>(net.linear->bias))
        out.linear_bias.push_back(static_cast<std::int32_t>(std::lround(bias / logit)));
    return out;
}

} // namespace fashion
