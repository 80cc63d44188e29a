#pragma once
// Which tensor of a file is which part of a Llama-like language model (import/decoder_shape.hpp),
// with names as Hugging Face's transformers or as GGUF files have them. `find_decoder` checks that
// all parts are there and of the right shape. A tensor that the decoder has no use for (a bias,
// say, or a scale) is an error, because it would be left out of the computation.

#include <s3/core/error.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/core/saturating.hpp>
#include <s3/import/decoder_shape.hpp>
#include <s3/io/safetensors.hpp>

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace s3::importing {

/// Names of tensors. W [rows][columns] computes y = W·x.
struct decoder_layer {
    std::string attention_norm;     ///< [hidden]
    std::string query, key, value;  ///< [heads · head_width][hidden], two of fewer heads
    std::string attention_sub_norm; ///< [heads · head_width], before `output`; or empty
    std::string output;             ///< [hidden][heads · head_width]
    std::string mlp_norm;           ///< [hidden]
    std::string gate, up;           ///< [inner][hidden]
    std::string mlp_sub_norm;       ///< [inner], before `down`; or empty
    std::string down;               ///< [hidden][inner]
};
struct decoder {
    std::string embedding; ///< [vocabulary][hidden]
    std::vector<decoder_layer> layers;
    std::string norm; ///< [hidden]
    std::string head; ///< [vocabulary][hidden]; the embedding's name where they are one tensor
};

/// The shape of each tensor of a file, or of several that make up a model, the slowest extent
/// first. Tensors of two bits (io/bitnet.hpp) have the shape of their weights.
using tensor_shapes = std::map<std::string, std::vector<std::size_t>>;

enum class naming : unsigned char { hugging_face, gguf };

inline result<tensor_shapes> shapes_of(const safetensors::contents& file) {
    return s3::detail::or_out_of_memory([&]() -> result<tensor_shapes> {
        tensor_shapes shapes;
        for (const auto& [name, t] : file.tensors) {
            const bool is_scale = name.ends_with(".weight_scale") &&
                                  file.tensors.contains(name.substr(0, name.size() - 6));
            if (is_scale) // it belongs to the weight of the same name
                continue;
            auto& shape = shapes[name] = t.shape;
            if (t.type == safetensors::dtype::u8 && file.tensors.contains(name + "_scale") &&
                !shape.empty())
                shape[0] = saturating_mul(shape[0], 4);
        }
        return shapes;
    });
}

namespace detail {

/// Finds tensors by name, checks their shapes, and remembers which were asked for.
class tensor_finder {
public:
    explicit tensor_finder(const tensor_shapes& shapes) : shapes_(shapes) {}

    /// The name of a tensor of this shape. Where it is missing or has another shape, the first
    /// such mistake is kept.
    std::string need(const std::string& name, std::vector<std::size_t> shape) {
        const auto found = shapes_.find(name);
        if (found == shapes_.end())
            fail(errc::foreign, "there is no tensor " + name + " " + text(shape));
        else if (found->second != shape)
            fail(errc::shape_mismatch, "the tensor " + name + " is " + text(found->second) +
                                           ", but must be " + text(shape));
        used_.insert(name);
        return name;
    }
    /// The same, or an empty name where there is no such tensor.
    std::string may_have(const std::string& name, std::vector<std::size_t> shape) {
        return shapes_.contains(name) ? need(name, std::move(shape)) : std::string();
    }
    void ignore(const std::string& name) { used_.insert(name); }
    [[nodiscard]] bool failed() const { return failure_.code != errc::ok; }
    /// The first mistake, or the first tensor that nothing asked for.
    [[nodiscard]] described_status done() {
        for (auto t = shapes_.begin(); !failed() && t != shapes_.end(); ++t)
            if (!used_.contains(t->first))
                fail(errc::unsupported, "no part of the model uses the tensor " + t->first);
        return failure_;
    }

private:
    static std::string text(const std::vector<std::size_t>& shape) {
        std::string all;
        for (const std::size_t extent : shape)
            all.append("[").append(std::to_string(extent)).append("]");
        return all;
    }
    void fail(errc code, const std::string& what) {
        if (!failed())
            failure_ = refuse_model(code, "tensor", what);
    }
    const tensor_shapes& shapes_;
    std::set<std::string> used_;
    described_error failure_;
};

/// What the two namings call the parts of layer N, behind "model.layers.N." and "blk.N.".
struct layer_words {
    const char *attention_norm, *query, *key, *value, *attention_sub_norm, *output, *mlp_norm,
        *gate, *up, *mlp_sub_norm, *down;
};
inline constexpr layer_words words_of_layers[] = {
    {"input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
     "self_attn.attn_sub_norm", "self_attn.o_proj", "post_attention_layernorm", "mlp.gate_proj",
     "mlp.up_proj", "mlp.ffn_sub_norm", "mlp.down_proj"},
    {"attn_norm", "attn_q", "attn_k", "attn_v", "attn_sub_norm", "attn_output", "ffn_norm",
     "ffn_gate", "ffn_up", "ffn_sub_norm", "ffn_down"}};

inline described_result<decoder> find_decoder(const decoder_shape& s, naming by,
                                              const tensor_shapes& shapes) {
    if (const auto good = check(s); !good)
        return good.error();
    const bool hf = by == naming::hugging_face;
    const auto& word = words_of_layers[hf ? 0 : 1];
    const std::size_t queries = saturating_mul(s.heads, s.head_width);
    const std::size_t keys = saturating_mul(s.key_value_heads, s.head_width);
    tensor_finder find(shapes);
    decoder d;
    d.embedding =
        find.need(hf ? "model.embed_tokens.weight" : "token_embd.weight", {s.vocabulary, s.hidden});
    for (std::size_t n = 0; n < s.layers && !find.failed(); ++n) {
        const std::string layer =
            std::string(hf ? "model.layers." : "blk.").append(std::to_string(n)).append(".");
        const auto name = [&](const char* part) { return layer + part + ".weight"; };
        decoder_layer l;
        l.attention_norm = find.need(name(word.attention_norm), {s.hidden});
        l.query = find.need(name(word.query), {queries, s.hidden});
        l.key = find.need(name(word.key), {keys, s.hidden});
        l.value = find.need(name(word.value), {keys, s.hidden});
        l.attention_sub_norm = find.may_have(name(word.attention_sub_norm), {queries});
        l.output = find.need(name(word.output), {s.hidden, queries});
        l.mlp_norm = find.need(name(word.mlp_norm), {s.hidden});
        l.gate = find.need(name(word.gate), {s.inner, s.hidden});
        l.up = find.need(name(word.up), {s.inner, s.hidden});
        l.mlp_sub_norm = find.may_have(name(word.mlp_sub_norm), {s.inner});
        l.down = find.need(name(word.down), {s.hidden, s.inner});
        // Older checkpoints keep the frequencies, which follow from the base.
        find.ignore(layer + "self_attn.rotary_emb.inv_freq");
        d.layers.push_back(std::move(l));
    }
    d.norm = find.need(hf ? "model.norm.weight" : "output_norm.weight", {s.hidden});
    d.head = find.may_have(hf ? "lm_head.weight" : "output.weight", {s.vocabulary, s.hidden});
    if (d.head.empty())
        d.head = d.embedding;
    if (const auto all = find.done(); !all)
        return all.error();
    return d;
}

} // namespace detail

/// The names of a decoder's parts. Errors name the first tensor that is missing, of another shape,
/// or of no use.
inline described_result<decoder> find_decoder(const decoder_shape& s, naming by,
                                              const tensor_shapes& shapes) {
    return s3::detail::or_out_of_memory([&] { return detail::find_decoder(s, by, shapes); });
}

} // namespace s3::importing
