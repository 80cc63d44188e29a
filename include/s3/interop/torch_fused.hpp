#pragma once
// Fused training of a libtorch model's shift layers. Autograd stops at the discrete weights, and
// one pass per layer turns their gradient into new latents, moments and weights
// (train/optimizer.hpp).
//
//   s3::libtorch::fused_optimizer shift(*model, s3::sgd{}, 1e-5f);
//   torch::optim::SGD rest(s3::libtorch::other_parameters(*model), 0.1);
//   …  loss.backward();  rest.step();  shift.step();  rest.zero_grad();  shift.zero_grad();
//
// Data-parallel hosts reduce `gradients()` between `backward` and `step`. A layer that is cloned
// from a fused model is not fused. A model that is loaded realizes its weights anew.

#include <s3/interop/torch.hpp>

#include <string>
#include <utility>
#include <vector>

namespace s3::libtorch {

/// The parameters that are not latents of a shift layer: biases, norms, float layers.
[[nodiscard]] inline tensors other_parameters(::torch::nn::Module& model) {
    tensors rest;
    const auto layers = shift_layers(model);
    for (const auto& parameter : model.parameters()) {
        const auto is_parameter = [&](const Tensor& t) { return t.is_same(parameter); };
        const bool latent = std::any_of(layers.begin(), layers.end(), [&](const shift_layer* l) {
            return std::any_of(l->fields().begin(), l->fields().end(), is_parameter);
        });
        if (!latent)
            rest.push_back(parameter);
    }
    return rest;
}

/// Trains all shift layers of a model, which must outlive it, with `sgd` or `adam`.
template <class Optimizer>
class fused_optimizer {
public:
    fused_optimizer(::torch::nn::Module& model, const Optimizer& o, float dense = 0.0f)
        : options(o), dense_strength(dense), layers_(shift_layers(model)),
          numbers_(layers_.size()) {
        for (shift_layer* layer : layers_) {
            layer->fuse();
            auto& moments = moments_.emplace_back(Optimizer::moments);
            for (auto& moment : moments)
                for (const auto& field : layer->fields())
                    moment.push_back(::torch::zeros_like(field));
        }
    }

    /// Steps every layer that has a gradient. As in torch's Adam, each counts its own steps.
    void step() {
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            if (!layers_[i]->discrete().grad().defined())
                continue;
            ++numbers_[i];
            if constexpr (requires { options.number; })
                options.number = numbers_[i];
            layers_[i]->step(options, moments_[i], dense_strength);
        }
    }
    void zero_grad() {
        for (const shift_layer* layer : layers_)
            layer->discrete().mutable_grad() = Tensor();
    }
    /// The gradients of the weights, as far as they are defined: these are reduced between
    /// machines.
    [[nodiscard]] tensors gradients() const {
        tensors all;
        for (const shift_layer* layer : layers_)
            if (const Tensor g = layer->discrete().grad(); g.defined())
                all.push_back(g);
        return all;
    }

    void save(::torch::serialize::OutputArchive& archive) const {
        archive.write("number", ::torch::tensor(numbers_), true);
        each_moment([&](const std::string& key, const Tensor& m) { archive.write(key, m, true); });
    }
    void load(::torch::serialize::InputArchive& archive) {
        Tensor number;
        archive.read("number", number, true);
        const auto count = static_cast<std::int64_t>(numbers_.size());
        TORCH_CHECK(number.numel() == 1 || number.numel() == count, "s3: number is of ",
                    number.numel(), " layers, not ", count);
        for (std::int64_t i = 0; i < count; ++i) // one number is of all layers
            numbers_[static_cast<std::size_t>(i)] =
                number.view(-1)[i % number.numel()].item<std::int64_t>();
        each_moment([&](const std::string& key, const Tensor& m) {
            Tensor saved;
            archive.read(key, saved, true);
            TORCH_CHECK(saved.sizes() == m.sizes(), "s3: ", key, " is ", saved.sizes(), " where ",
                        m.sizes(), " is needed");
            m.copy_(saved);
        });
    }

    Optimizer options;    ///< may be changed between steps, for example by a schedule
    float dense_strength; ///< of the regularizer; may be changed, too; added to each layer's own

private:
    template <class Body>
    void each_moment(const Body& body) const {
        for (std::size_t i = 0; i < moments_.size(); ++i)
            for (std::size_t j = 0; j < moments_[i].size(); ++j)
                for (std::size_t k = 0; k < moments_[i][j].size(); ++k)
                    body("layer" + std::to_string(i) + "_moment" + std::to_string(j) + "_field" +
                             std::to_string(k),
                         moments_[i][j][k]);
    }

    std::vector<shift_layer*> layers_;
    std::vector<std::int64_t> numbers_; ///< of the steps of each layer
    std::vector<std::vector<tensors>> moments_;
};

} // namespace s3::libtorch
