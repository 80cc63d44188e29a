#pragma once
// The weights of Llama-like models of others:
//
//   GGUF file   matrices of one of Q4_0, Q8_0, TQ1_0 and TQ2_0, or both of the last
//   folder      of BitNet b1.58 as Hugging Face publishes it: config.json, model.safetensors
//
// Matrices keep their integers and scales. The embedding and the head, which such files have as
// floats or in groups, are rounded to int8 with one scale per token.

#include "weights.hpp"

#include <s3/import/decoder_gguf.hpp>
#include <s3/import/rotary_rows.hpp>
#include <s3/io/bitnet.hpp>
#include <s3/io/gguf_weights.hpp>
#include <s3/pack/quantize.hpp>

namespace lm {

namespace detail {

/// The config of a decoder. How far back it may look is not among a decoder's sizes: 2048 tokens,
/// unless a cache of another size is asked for.
[[nodiscard]] inline s3::described_result<config> config_of(const s3::importing::decoder_shape& s,
                                                            const s3::importing::decoder& parts) {
    config c{s.vocabulary, s.hidden, s.layers, s.heads, s.key_value_heads, s.inner};
    c.context = 2048;
    c.rotary_base = s.rope_base;
    c.epsilon = s.norm_epsilon;
    c.squared_relu = s.activation == s3::importing::mlp_function::squared_relu;
    c.tied = parts.head == parts.embedding;
    c.sub_norms = !parts.layers.front().attention_sub_norm.empty();
    for (const auto& l : parts.layers)
        if (l.attention_sub_norm.empty() == c.sub_norms || l.mlp_sub_norm.empty() == c.sub_norms)
            return s3::described_error(s3::error(s3::errc::unsupported, "tensor"),
                                       "layers differ in their further norms");
    if (s.head_width * s.heads != s.hidden)
        return s3::described_error(
            s3::error(s3::errc::unsupported, "head_width").got(s.head_width).needs(s.hidden));
    if (const auto sound = c.check(); !sound)
        return s3::described_error(sound.error());
    return c;
}

/// All weights of a decoder. source.matrix(name) and source.floats(name) give its tensors.
template <s3::weight_format F, class Source>
s3::described_result<packed_weights<F>> import_parts(const s3::importing::decoder_shape& s,
                                                     const s3::importing::decoder& parts,
                                                     const Source& source) {
    packed_weights<F> w;
    const auto shape = config_of(s, parts);
    if (!shape)
        return shape.error();
    w.shape = *shape;
    s3::described_status done;
    const auto keep = [&](const std::string& name, auto&& made, auto& to) {
        if (!made)
            done = s3::described_error(made.error()).in(name);
        else
            to = *std::move(made);
    };
    const auto matrix = [&](const std::string& name, s3::packed_matrix<F>& to) {
        if (done)
            keep(name, source.matrix(name), to);
    };
    const auto rotated = [&](const std::string& name, s3::packed_matrix<F>& to) {
        matrix(name, to);
        if (done && s.rotary == s3::importing::rotary_order::interleaved)
            keep(name, s3::importing::half_split_rows(to, s.head_width), to);
    };
    const auto floats = [&](const std::string& name, std::vector<float>& to) {
        if (!done || name.empty())
            return;
        keep(name, source.floats(name), to);
        for (std::size_t i = 0; done && i < to.size(); ++i)
            if (!s3::is_finite(to[i]))
                done =
                    s3::described_error(s3::error(s3::errc::not_finite, "weight").at(i)).in(name);
    };
    const auto tokens = [&](const std::string& name, s3::packed_matrix<s3::int8_weights>& to) {
        std::vector<float> values;
        floats(name, values);
        if (done)
            keep(name,
                 s3::quantize<s3::int8_weights>(
                     values, s.vocabulary, s.hidden,
                     {.granularity = s3::scale_per::row, .scale = s3::scale_kind::real}),
                 to);
    };
    tokens(parts.embedding, w.embedding);
    if (!w.shape.tied)
        tokens(parts.head, w.head);
    floats(parts.norm, w.norm);
    for (const auto& l : parts.layers) {
        auto& to = w.layers.emplace_back();
        floats(l.attention_norm, to.attention_norm);
        floats(l.mlp_norm, to.mlp_norm);
        floats(l.attention_sub_norm, to.attention_sub_norm);
        floats(l.mlp_sub_norm, to.mlp_sub_norm);
        rotated(l.query, to.query);
        rotated(l.key, to.key);
        matrix(l.value, to.value);
        matrix(l.output, to.output);
        matrix(l.gate, to.gate);
        matrix(l.up, to.up);
        matrix(l.down, to.down);
    }
    if (!done)
        return done.error();
    return w;
}

template <s3::weight_format F>
struct gguf_source {
    const s3::gguf::contents& file;

    [[nodiscard]] s3::result<s3::packed_matrix<F>> matrix(const std::string& name) const {
        return s3::gguf::packed<F>(file.tensors.at(name));
    }
    /// Of a tensor of any type that is read.
    [[nodiscard]] s3::result<std::vector<float>> floats(const std::string& name) const {
        const auto& t = file.tensors.at(name);
        return s3::gguf::holds<s3::int8_weights>(t)   ? values<s3::int8_weights>(t)
               : s3::gguf::holds<s3::int4_weights>(t) ? values<s3::int4_weights>(t)
                                                      : s3::gguf::floats(t);
    }

private:
    template <s3::weight_format G>
    static s3::result<std::vector<float>> values(const s3::gguf::tensor& t) {
        const auto packed = s3::gguf::packed<G>(t);
        if (!packed)
            return packed.error();
        std::vector<float> all;
        all.reserve(packed->size());
        for (std::size_t row = 0; row < packed->rows(); ++row)
            for (std::size_t c = 0; c < packed->columns(); ++c)
                all.push_back(static_cast<float>(packed->value(row, c)) *
                              packed->real_scale(row, c / packed->group()));
        return all;
    }
};

struct bitnet_source {
    const s3::safetensors::contents& file;
    s3::bitnet::scale_use use;

    [[nodiscard]] auto matrix(const std::string& name) const {
        return s3::bitnet::packed(file, name, use);
    }
    [[nodiscard]] auto floats(const std::string& name) const {
        return s3::safetensors::floats(file.tensors.at(name));
    }
};

/// The weights of a decoder of this shape, whose tensors are named in one of two ways.
template <s3::weight_format F, class Source>
s3::described_result<packed_weights<F>>
import_decoder(const s3::described_result<s3::importing::decoder_shape>& shape,
               s3::importing::naming by, const Source& source) {
    if (!shape)
        return shape.error();
    const auto shapes = s3::importing::shapes_of(source.file);
    if (!shapes)
        return s3::described_error(shapes.error());
    const auto parts = s3::importing::find_decoder(*shape, by, *shapes);
    if (!parts)
        return parts.error();
    return import_parts<F>(*shape, *parts, source);
}

} // namespace detail

/// Whether F is the format of the matrices in a GGUF file.
template <s3::weight_format F>
[[nodiscard]] bool holds(const s3::gguf::contents& file) {
    const auto first = file.tensors.find("blk.0.attn_q.weight");
    return first != file.tensors.end() && s3::gguf::holds<F>(first->second);
}

/// The weights in a GGUF file whose matrices are of format F. Errors name the key or the tensor.
template <s3::weight_format F>
[[nodiscard]] s3::described_result<packed_weights<F>> import_gguf(const s3::gguf::contents& file) {
    return detail::import_decoder<F>(s3::importing::shape_of(file), s3::importing::naming::gguf,
                                     detail::gguf_source<F>{file});
}

/// The weights of BitNet b1.58: the text of config.json, and model.safetensors.
[[nodiscard]] inline s3::described_result<packed_weights<s3::ternary>>
import_bitnet(std::string_view config_json, const s3::safetensors::contents& file) {
    const auto use = s3::bitnet::scale_use_in(config_json);
    if (!use)
        return use.error();
    return detail::import_decoder<s3::ternary>(s3::importing::shape_of(config_json),
                                               s3::importing::naming::hugging_face,
                                               detail::bitnet_source{file, *use});
}

} // namespace lm
