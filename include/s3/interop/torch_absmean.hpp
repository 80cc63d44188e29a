#pragma once
// Absmean ternary weights (BitNet b1.58, train/absmean.hpp) for libtorch: any module can hold the
// one latent as its ordinary weight and multiply with what this gives.
//
//   y = torch::linear(x, s3::libtorch::realize_absmean(layer->weight), layer->bias);
//
// Latents are float32 on the CPU; others throw c10::Error with the argument's name.

#include <s3/interop/torch.hpp>
#include <s3/train/absmean.hpp>

namespace s3::libtorch {

/// latent → γ·{−1, 0, 1}; the gradient passes straight through, as the estimator says.
template <class Estimator = straight_through::identity>
struct absmean_function : ::torch::autograd::Function<absmean_function<Estimator>> {
    static Tensor forward(::torch::autograd::AutogradContext* context, const Tensor& given) {
        const Tensor latent = given.contiguous();
        const std::span<const float> v = floats(latent, "latent");
        const Tensor weights = ::torch::empty_like(latent);
        const auto scale = s3::realize_absmean(v, floats(weights, "weights"));
        TORCH_CHECK(scale.has_value(), "s3: ", scale.error().message());
        context->save_for_backward({latent});
        return weights;
    }
    static tensors backward(::torch::autograd::AutogradContext* context, tensors grad_outputs) {
        const Tensor latent = context->get_saved_variables().at(0);
        const Tensor grad = grad_outputs.at(0).contiguous(), out = ::torch::empty_like(latent);
        check(s3::backward_absmean(std::span<const float>(floats(latent, "latent")),
                                   std::span<const float>(floats(grad, "grad_weights")),
                                   floats(out, "grad_latent"), gradients::overwrite, Estimator{}));
        return {out};
    }
};

template <class Estimator = straight_through::identity>
[[nodiscard]] Tensor realize_absmean(const Tensor& latent) {
    return absmean_function<Estimator>::apply(latent);
}

} // namespace s3::libtorch
