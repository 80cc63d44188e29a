#pragma once
// The passes of training on libtorch tensors, without modules: realize, backward and the fused
// step. They work in the tensors' own memory and on libtorch's threads. interop/torch.hpp builds
// layers of them.
//
// `fields` are the latents of a weight tensor: sign, sparse (in formats with zero), shift_1 …
// shift_T. All passes work element by element, so any memory layout will do (contiguous, channels
// last) if all tensors of a call have the same one; `laid_out_as` copies one tensor into another's
// layout.
//
// Tensors are float32 on the CPU. Other tensors, and different shapes or layouts, throw c10::Error
// with the argument's name, as libtorch does everywhere. So do latents that are NaN or infinite;
// the index then counts elements in memory.

#include <s3/train/init.hpp>
#include <s3/train/optimizer.hpp>
#include <s3/train/reparam.hpp>

#include <torch/types.h>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/utils/grad_layout_contract.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

namespace s3::libtorch {

using ::torch::Tensor;
using tensors = std::vector<Tensor>;

/// Throws as libtorch does if `s` is an error. The pass began at element `first`, which is added to
/// the error's index.
inline void check(const status& s, std::size_t first = 0) {
    auto e = s.error();
    if (e.index >= 0)
        e.index += static_cast<std::int64_t>(first);
    TORCH_CHECK(s.has_value(), "s3: ", e.message());
}

/// Whether a tensor is there, and not a sparse one.
[[nodiscard]] inline bool has_strides(const Tensor& t) {
    return t.defined() && t.layout() == ::torch::kStrided;
}

/// The memory of a tensor, in the order of its strides. Throws, with the name `argument`, if the
/// tensor is not float32 on the CPU or has gaps.
[[nodiscard]] inline std::span<float> floats(const Tensor& t, const char* argument) {
    TORCH_CHECK(t.defined(), "s3: ", argument, " is undefined");
    TORCH_CHECK(t.device().is_cpu() && t.scalar_type() == ::torch::kFloat32, "s3: ", argument,
                " must be float32 on the CPU, not ", t.scalar_type(), " on ", t.device());
    TORCH_CHECK(has_strides(t) && t.is_non_overlapping_and_dense(), "s3: ", argument,
                " must be dense in memory");
    return {t.data_ptr<float>(), static_cast<std::size_t>(t.numel())};
}

/// The memory of a tensor that must have the shape and layout of `model`, whose name is
/// `model_name`.
[[nodiscard]] inline std::span<float> floats(const Tensor& t, const char* argument,
                                             const Tensor& model, const char* model_name) {
    TORCH_CHECK(!t.defined() || t.sizes() == model.sizes(), "s3: ", argument, " is ", t.sizes(),
                " where ", model_name, " is ", model.sizes());
    const auto memory = floats(t, argument);
    TORCH_CHECK(::torch::autograd::utils::obeys_layout_contract(t, model), "s3: ", argument,
                " has strides ", t.strides(), " where ", model_name, " has ", model.strides());
    return memory;
}

/// `t` in the memory layout of `model`, which is dense: `t` itself if it has that layout, else a
/// copy. What cannot be copied so remains what it is, for `floats` to name.
[[nodiscard]] inline Tensor laid_out_as(const Tensor& model, const Tensor& t) {
    if (!has_strides(t) || !has_strides(model) || t.sizes() != model.sizes() ||
        ::torch::autograd::utils::obeys_layout_contract(t, model))
        return t;
    return ::torch::empty_strided(model.sizes(), model.strides(), t.options()).copy_(t);
}

/// `fields` in one layout: the first tensor's, or contiguous if that one has gaps.
[[nodiscard]] inline tensors aligned(const at::TensorList& fields) {
    tensors all;
    for (const auto& f : fields)
        if (all.empty())
            all.push_back(!has_strides(f) || f.is_non_overlapping_and_dense() ? f : f.contiguous());
        else
            all.push_back(laid_out_as(all[0], f));
    return all;
}

/// The latents in the memory of `fields`.
template <shift_weight_format F>
[[nodiscard]] latents<F> latents_of(const tensors& fields) {
    TORCH_CHECK(fields.size() == latents_per_weight<F>, "s3: ", F::name, " has ",
                latents_per_weight<F>, " latents, not ", fields.size());
    std::array<std::span<float>, latents_per_weight<F>> spans;
    for (std::size_t k = 0; k < spans.size(); ++k)
        spans[k] = k == 0 ? floats(fields[0], "sign")
                          : floats(fields[k], field_name<F>(k), fields[0], "sign");
    return from_fields<F, float>(spans);
}

/// The `part` elements from `first` on of every latent.
template <shift_weight_format F>
[[nodiscard]] latents<F> slice(const latents<F>& p, std::size_t first, std::size_t part) {
    auto all = fields(p);
    for (auto& f : all)
        f = f.subspan(first, part);
    return from_fields<F, float>(all);
}

/// Calls body(first, size) for parts of [0, count), on libtorch's threads if the work is large
/// enough.
template <class Body>
void parallel(std::size_t count, const Body& body) {
    constexpr std::int64_t grain = 32768;
    at::parallel_for(
        0, static_cast<std::int64_t>(count), grain, [&](std::int64_t begin, std::int64_t end) {
            body(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
        });
}

/// Tells autograd, which cannot see it, that tensors are written to: before they are, since an
/// error may end a pass that has written a part.
inline void mark_written(const tensors& all) {
    for (const Tensor& t : all)
        if (!t.is_inference())
            t.unsafeGetTensorImpl()->bump_version();
}

/// Gradients as a `backward` returns them that has no derivatives itself: asked for those, autograd
/// throws.
[[nodiscard]] inline tensors once_differentiable(tensors grads) {
    if (!c10::GradMode::is_enabled())
        return grads;
    for (Tensor& g : grads)
        g = g.detach().requires_grad_();
    const auto refusal = std::make_shared<::torch::autograd::DelayedError>(
        "s3: latents have no second derivatives", static_cast<std::int64_t>(grads.size()));
    return (*refusal)(std::move(grads));
}

/// The value of a result. Throws as libtorch does if it is an error.
template <class T>
[[nodiscard]] T value(result<T> r) {
    check(r ? status() : status(r.error()));
    return *std::move(r);
}

/// Sets `fields` to latents that realize the values nearest to float weights (train/init.hpp);
/// returns the weights' unit.
template <shift_weight_format F>
float initialize_from(const Tensor& weights, const tensors& fields) {
    const auto p = latents_of<F>(fields);
    const Tensor w = laid_out_as(fields[0], weights);
    const auto reals = floats(w, "weights", fields[0], "sign");
    mark_written(fields);
    return value(s3::initialize_from<F>(reals, p));
}

/// Writes the discrete weights of `fields` into `weights`.
template <shift_weight_format F>
void realize_into(const tensors& fields, const Tensor& weights) {
    const auto p = latents_of<F>(fields);
    const auto w = floats(weights, "weights", fields[0], "sign");
    mark_written({weights});
    parallel(w.size(), [&](std::size_t first, std::size_t size) {
        check(s3::realize(slice<F>(p, first, size), w.subspan(first, size)), first);
    });
}

/// The discrete weights of `fields`, in the first one's layout. The layouts of `fields` may differ.
template <shift_weight_format F>
[[nodiscard]] Tensor realized(const at::TensorList& fields) {
    TORCH_CHECK(!fields.empty(), "s3: no latents");
    const tensors all = aligned(fields);
    (void)floats(all[0], "sign");
    const Tensor weights = ::torch::empty_like(all[0]);
    realize_into<F>(all, weights);
    return weights;
}

/// The gradients of `fields`, in the same order and in the first one's layout.
template <shift_weight_format F, magnitude_surrogate Surrogate, class Estimator>
[[nodiscard]] tensors backward(const at::TensorList& fields, const Tensor& grad_weights,
                               const Surrogate& surrogate, const Estimator& estimate) {
    const tensors all = aligned(fields);
    const auto p = latents_of<F>(all);
    const Tensor grad = laid_out_as(all[0], grad_weights);
    const auto g = floats(grad, "grad_weights", all[0], "sign");
    tensors grads;
    for (const auto& f : all)
        grads.push_back(::torch::empty_like(f));
    const auto to = latents_of<F>(grads);
    parallel(g.size(), [&](std::size_t first, std::size_t size) {
        check(s3::backward(slice<F>(p, first, size), g.subspan(first, size),
                           slice<F>(to, first, size), gradients::overwrite, surrogate, estimate),
              first);
    });
    return grads;
}

/// One fused step (train/optimizer.hpp), which writes new latents, moments and weights.
/// `moments[j]` have the shapes and layouts of `fields`, and `weights` that of each of them.
template <shift_weight_format F, latent_optimizer Optimizer, magnitude_surrogate Surrogate,
          class Estimator>
void step(const Optimizer& optimizer, const tensors& fields, const std::vector<tensors>& moments,
          const Tensor& grad_weights, const Tensor& weights, float dense_strength,
          const Surrogate& surrogate, const Estimator& estimate) {
    TORCH_CHECK(moments.size() == Optimizer::moments, "s3: the optimizer has ", Optimizer::moments,
                " moments, not ", moments.size());
    const auto p = latents_of<F>(fields);
    std::array<latents<F>, Optimizer::moments> m;
    for (std::size_t j = 0; j < m.size(); ++j) {
        m[j] = latents_of<F>(moments[j]);
        (void)floats(moments[j][0], "moments", fields[0], "sign");
    }
    const Tensor grad = laid_out_as(fields[0], grad_weights);
    const auto g = floats(grad, "grad_weights", fields[0], "sign");
    const auto w = floats(weights, "weights", fields[0], "sign");
    mark_written(fields);
    mark_written({weights});
    for (const tensors& moment : moments)
        mark_written(moment);
    parallel(w.size(), [&](std::size_t first, std::size_t size) {
        auto part = m;
        for (auto& moment : part)
            moment = slice<F>(moment, first, size);
        check(s3::step(optimizer, slice<F>(p, first, size), part, g.subspan(first, size),
                       w.subspan(first, size), dense_strength, surrogate, estimate),
              first);
    });
}

} // namespace s3::libtorch
