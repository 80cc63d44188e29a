#pragma once
// Absmean ternary weights (BitNet b1.58, train/absmean.hpp) for libtorch. Any module can keep the
// single latent as its ordinary weight, and multiply by what `realize_absmean` returns.
//
//   y = torch::linear(x, s3::libtorch::realize_absmean(layer->weight), layer->bias);
//
// Errors are those of interop/torch_passes.hpp.

#include <s3/interop/torch_passes.hpp>
#include <s3/train/absmean.hpp>

#include <torch/csrc/autograd/custom_function.h>

namespace s3::libtorch {

/// The real weights γ·w of a latent, in the latent's memory layout.
[[nodiscard]] inline Tensor realized_absmean(const Tensor& given) {
    const Tensor latent = aligned(given)[0];
    const auto v = floats(latent, "latent");
    const Tensor weights = ::torch::empty_like(latent);
    (void)value(s3::realize_absmean(v, floats(weights, "weights")));
    return weights;
}

/// The gradient of the latent, given the gradient of the real weights.
template <class Estimator>
[[nodiscard]] Tensor backward_absmean(const Tensor& given, const Tensor& grad_weights,
                                      const Estimator& estimate) {
    const Tensor latent = aligned(given)[0], grad = laid_out_as(latent, grad_weights);
    const auto v = floats(latent, "latent");
    const auto g = floats(grad, "grad_weights", latent, "latent");
    const Tensor out = ::torch::empty_like(latent);
    check(s3::backward_absmean(v, g, floats(out, "grad_latent"), gradients::overwrite, estimate));
    return out;
}

/// The autograd function latent → γ·{−1, 0, 1}. The gradient passes straight through, as the
/// estimator says.
template <class Estimator = straight_through::identity>
struct absmean_function : ::torch::autograd::Function<absmean_function<Estimator>> {
    static Tensor forward(::torch::autograd::AutogradContext* context, const Tensor& latent) {
        context->save_for_backward({latent});
        return realized_absmean(latent);
    }
    static tensors backward(::torch::autograd::AutogradContext* context, tensors grad_outputs) {
        return once_differentiable({backward_absmean(context->get_saved_variables().at(0),
                                                     grad_outputs.at(0), Estimator{})});
    }
};

/// The real weights γ·w of a latent, differentiable.
template <class Estimator = straight_through::identity>
[[nodiscard]] Tensor realize_absmean(const Tensor& latent) {
    return absmean_function<Estimator>::apply(latent);
}

} // namespace s3::libtorch
