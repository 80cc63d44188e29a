#pragma once
// Reads all weights of a described network from its state dict: convolutions and linear layers by
// import/weights.hpp, and batch norms as y = factor·x + offset per channel.
//
// Errors name the line and the tensor. They are those of import_weights; norms that are missing, of
// another shape or type, or not finite; and tensors that no line uses (except num_batches_tracked).

#include <s3/core/is_finite.hpp>
#include <s3/import/fuse.hpp>
#include <s3/import/weights.hpp>

#include <array>
#include <set>
#include <string>

namespace s3::importing::detail {

/// The weights of each line. Both vectors have one entry per line, which is empty if the line has
/// no weights.
struct network_weights {
    std::vector<float_weights> real;      ///< for float_network
    std::vector<imported_weights> packed; ///< of convolutions and linear layers
};

inline constexpr std::array norm_fields{"running_mean", "running_var", "weight", "bias"};

inline described_result<float_weights> read_norm(const safetensors::contents& file, const line& s,
                                                 std::size_t channels) {
    std::array<std::vector<float>, norm_fields.size()> fields;
    for (std::size_t k = 0; k < fields.size(); ++k) {
        const auto found = file.tensors.find(s.name + "." + norm_fields[k]);
        if (found == file.tensors.end()) {
            if (k < 2)
                return refuse(s, std::string("there is no tensor ") + norm_fields[k],
                              error(errc::foreign, norm_fields[k]));
            fields[k].assign(channels, k == 2 ? 1.0f : 0.0f); // PyTorch's affine=False
            continue;
        }
        auto values = safetensors::from_bytes<float>(found->second);
        if (!values && values.error().code == errc::out_of_memory)
            return values.error();
        if (!values || values->size() != channels)
            return refuse(s, std::string(norm_fields[k]) + " is not one F32 per channel",
                          error(errc::shape_mismatch, norm_fields[k]));
        fields[k] = *std::move(values);
    }
    const auto& [mean, variance, gamma, beta] = fields;
    float_weights w;
    for (std::size_t c = 0; c < channels; ++c) {
        const double factor = gamma[c] / std::sqrt(double{variance[c]} + s.eps);
        w.factor.push_back(factor);
        w.offset.push_back(beta[c] - mean[c] * factor);
        if (!is_finite_result(factor) || !is_finite_result(w.offset.back()))
            return refuse(s, "channel " + std::to_string(c) + " is not finite",
                          error(errc::not_finite, "bn").at(c));
    }
    return w;
}

/// `otherwise` is the format that real weights of layers inside the network are rounded to where
/// the description says auto; empty if they are refused.
inline described_result<network_weights> read_weights(const safetensors::contents& file,
                                                      const description& d, const fused_network& n,
                                                      const std::string& otherwise = {}) {
    network_weights w;
    w.real.resize(d.lines.size());
    w.packed.resize(d.lines.size());
    std::set<std::string> used;
    for (const fused_layer& l : n.layers) {
        const line& s = d.lines[l.first];
        if (!is_convolution(s.kind))
            continue;
        const bool reads_input = n.is_input[n.input_of(l)];
        weight_options o{s.format,
                         reads_input || &l == &n.layers.back(),
                         l.output == net::element_type::int32,
                         {},
                         otherwise};
        if (reads_input && l.output != net::element_type::float32)
            o.divide = d.deviation;
        auto packed = import_weights(file, s.name, n.shapes.filters[l.first], o);
        if (!packed)
            return refuse(s, packed.error().message(), packed.error());
        used.insert(packed->tensors.begin(), packed->tensors.end());
        w.real[l.first] = {packed->real, {}, packed->bias};
        w.packed[l.first] = *std::move(packed);
        if (l.norm) {
            auto norm = read_norm(file, d.lines[*l.norm], s.out);
            if (!norm)
                return norm.error();
            w.real[*l.norm] = *std::move(norm);
            for (const char* field : norm_fields)
                used.insert(d.lines[*l.norm].name + "." + field);
        }
    }
    for (const auto& [name, tensor] : file.tensors)
        if (used.count(name) == 0 && !name.ends_with(".num_batches_tracked"))
            return described_error(error(errc::foreign, "tensor"),
                                   "no line of the description uses the tensor " + name);
    return w;
}

} // namespace s3::importing::detail
