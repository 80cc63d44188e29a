#pragma once
// A trained network with its weights packed. What it computes does not change: the weights are
// those that training multiplied with. Errors are thrown as std::runtime_error.

#include "network.hpp"
#include "results.hpp"
#include "weights.hpp"

#include <s3/interop/torch_passes.hpp>
#include <s3/pack/pack.hpp>

#include <span>

namespace lm {

[[nodiscard]] inline std::span<const float> span_of(const Tensor& t) {
    return {t.data_ptr<float>(), static_cast<std::size_t>(t.numel())};
}

/// A matrix of ternary weights and their γ.
[[nodiscard]] inline s3::packed_matrix<s3::ternary> packed(const ternary_layer& layer) {
    const auto latent = layer.weight.detach().contiguous();
    std::vector<float> weights(span_of(latent).size());
    const float scale =
        support::checked(s3::realize_absmean(span_of(latent), weights, true), "ternary weights");
    return support::checked(s3::pack<s3::ternary>(weights, static_cast<std::size_t>(latent.size(0)),
                                                  static_cast<std::size_t>(latent.size(1)),
                                                  {.scale = std::span(&scale, 1)}),
                            "ternary weights");
}
/// A matrix of S3 weights and the gains of its rows.
[[nodiscard]] inline s3::packed_matrix<s3::shift3> packed(const shift3_layer& layer) {
    const auto weights = layer.shift->realized().contiguous();
    const auto gain = layer.scale().detach().contiguous();
    return support::checked(
        s3::pack<s3::shift3>(span_of(weights), static_cast<std::size_t>(weights.size(0)),
                             static_cast<std::size_t>(weights.size(1)), {.scale = span_of(gain)}),
        "shift3 weights");
}
/// The embedding as training rounds it.
[[nodiscard]] inline s3::packed_matrix<s3::int8_weights> packed_embedding(const Tensor& embedding) {
    const auto [integers, scale] = round_vectors(embedding.detach());
    return support::checked(s3::pack<s3::int8_weights>(span_of(integers),
                                                       static_cast<std::size_t>(integers.size(0)),
                                                       static_cast<std::size_t>(integers.size(1)),
                                                       {.scale = span_of(scale)}),
                            "embedding");
}

/// `Layer` is the kind of all linear layers of the network, and F their format.
template <class Layer, s3::weight_format F>
[[nodiscard]] packed_weights<F> pack(const network& net) {
    const auto floats = [](const Tensor& t) {
        const auto values = t.detach().contiguous();
        const auto all = span_of(values);
        return std::vector<float>(all.begin(), all.end());
    };
    const auto matrix = [](const std::shared_ptr<linear_layer>& layer) {
        return packed(dynamic_cast<const Layer&>(*layer));
    };
    packed_weights<F> w;
    w.shape = net.shape;
    w.embedding = packed_embedding(net.embedding);
    w.norm = floats(net.norm);
    for (const auto& b : net.blocks)
        w.layers.push_back({floats(b.attention_norm), floats(b.mlp_norm), matrix(b.query),
                            matrix(b.key), matrix(b.value), matrix(b.output), matrix(b.gate),
                            matrix(b.up), matrix(b.down)});
    return w;
}

/// Writes the file of a network whose weights are not float.
inline void save(const network& net, const std::string& path) {
    const auto bytes = net.kind == arm::ternary ? write(pack<ternary_layer, s3::ternary>(net))
                                                : write(pack<shift3_layer, s3::shift3>(net));
    support::check(s3::safetensors::save(path, support::checked(bytes, path)), path);
}

} // namespace lm
