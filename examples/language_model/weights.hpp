#pragma once
// The packed weights of a model, and the file that holds them: safetensors, with the shape as
// metadata, tensors by the names that Hugging Face gives to those of a Llama, each matrix as a
// record (s3/pack/record.hpp) and each norm as float32. `read` refuses, by name, whatever is
// missing, damaged, superfluous, not finite, or of another shape than the metadata say.

#include "config.hpp"

#include <s3/io/safetensors.hpp>
#include <s3/pack/record.hpp>

#include <charconv>
#include <iterator>
#include <list>
#include <locale>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lm {

template <s3::weight_format F>
struct layer_weights {
    std::vector<float> attention_norm, mlp_norm;
    s3::packed_matrix<F> query, key, value, output, gate, up, down;
    std::vector<float> attention_sub_norm = {}, mlp_sub_norm = {}; ///< where the shape has them
};

template <s3::weight_format F>
struct packed_weights {
    config shape;
    s3::packed_matrix<s3::int8_weights> embedding; ///< one scale per token
    s3::packed_matrix<s3::int8_weights> head;      ///< the same, where it is not the embedding
    std::vector<float> norm;
    std::vector<layer_weights<F>> layers;
};

/// Calls visit(name, vector, size) and visit(name, matrix, rows, columns) for all tensors.
template <class Weights, class Visit>
void each_tensor(Weights& w, Visit&& visit) {
    const config& c = w.shape;
    visit("model.embed_tokens.weight", w.embedding, c.vocabulary, c.width);
    visit("model.norm.weight", w.norm, c.width);
    if (!c.tied)
        visit("lm_head.weight", w.head, c.vocabulary, c.width);
    for (std::size_t i = 0; i < w.layers.size(); ++i) {
        auto& l = w.layers[i];
        const std::string prefix = "model.layers." + std::to_string(i) + ".";
        visit(prefix + "input_layernorm.weight", l.attention_norm, c.width);
        visit(prefix + "self_attn.q_proj.weight", l.query, c.width, c.width);
        visit(prefix + "self_attn.k_proj.weight", l.key, c.key_value_width(), c.width);
        visit(prefix + "self_attn.v_proj.weight", l.value, c.key_value_width(), c.width);
        visit(prefix + "self_attn.o_proj.weight", l.output, c.width, c.width);
        visit(prefix + "post_attention_layernorm.weight", l.mlp_norm, c.width);
        visit(prefix + "mlp.gate_proj.weight", l.gate, c.hidden, c.width);
        visit(prefix + "mlp.up_proj.weight", l.up, c.hidden, c.width);
        visit(prefix + "mlp.down_proj.weight", l.down, c.width, c.hidden);
        if (c.sub_norms) {
            visit(prefix + "self_attn.attn_sub_norm.weight", l.attention_sub_norm, c.width);
            visit(prefix + "mlp.ffn_sub_norm.weight", l.mlp_sub_norm, c.hidden);
        }
    }
}

namespace detail {

inline constexpr const char* format_key = "s3.language_model";

/// Puts tensors into a file.
struct tensor_writer {
    s3::safetensors::contents file;
    std::list<std::vector<std::byte>> memory; ///< that `file` refers to

    void operator()(const std::string& name, const std::vector<float>& v, std::size_t) {
        const auto& bytes = memory.emplace_back(s3::safetensors::to_bytes(std::span(v)));
        file.tensors[name] = {s3::safetensors::dtype::f32, {v.size()}, bytes};
    }
    template <s3::weight_format F>
    void operator()(const std::string& name, const s3::packed_matrix<F>& m, std::size_t,
                    std::size_t) {
        const auto& bytes = memory.emplace_back(s3::serialize(m));
        file.tensors[name] = {s3::safetensors::dtype::u8, {bytes.size()}, bytes};
    }
};

/// Takes tensors from a file; after the first error it does nothing.
struct tensor_reader {
    const s3::safetensors::contents& file;
    s3::described_status done = {};

    void operator()(const std::string& name, std::vector<float>& to, std::size_t size) {
        const auto* const t = find(name);
        if (t == nullptr)
            return;
        auto values = s3::safetensors::from_bytes<float>(*t);
        if (!values)
            return fail(name, values.error());
        if (fits(name, "size", values->size(), size))
            to = *std::move(values);
        for (std::size_t i = 0; i < to.size(); ++i)
            if (!s3::is_finite(to[i]))
                return fail(name, s3::error(s3::errc::not_finite, "weight").at(i));
    }
    template <s3::weight_format F>
    void operator()(const std::string& name, s3::packed_matrix<F>& to, std::size_t rows,
                    std::size_t columns) {
        const auto* const t = find(name);
        if (t == nullptr)
            return;
        auto matrix = s3::deserialize<F>(t->data);
        if (!matrix)
            return fail(name, matrix.error());
        if (fits(name, "rows", matrix->rows(), rows) &&
            fits(name, "columns", matrix->columns(), columns))
            to = *std::move(matrix);
    }

private:
    [[nodiscard]] const s3::safetensors::tensor* find(const std::string& name) {
        const auto found = file.tensors.find(name);
        if (done && found == file.tensors.end())
            fail(name, s3::error(s3::errc::foreign, "no such tensor"));
        return done ? &found->second : nullptr;
    }
    [[nodiscard]] bool fits(const std::string& name, const char* what, std::size_t got,
                            std::size_t needs) {
        if (got != needs)
            fail(name, s3::error(s3::errc::shape_mismatch, what).got(got).needs(needs));
        return got == needs;
    }
    void fail(const std::string& name, const s3::error& e) {
        done = s3::described_error(e).in(name);
    }
};

/// The number that is all of a text; whether it is one.
template <class T>
[[nodiscard]] bool read_number(const std::string& text, T& value) {
    if constexpr (std::is_integral_v<T>) {
        const char* const end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        return read.ec == std::errc() && read.ptr == end;
    } else { // libc++ 19 has no from_chars for real numbers
        std::istringstream in(text);
        in.imbue(std::locale::classic());
        in >> std::noskipws >> value;
        return !in.fail() && in.peek() == std::istringstream::traits_type::eof();
    }
}

/// The shape that the metadata of a file say.
[[nodiscard]] inline s3::described_result<config>
read_shape(const s3::safetensors::contents& file) {
    config c;
    s3::described_status done;
    config::each(c, [&]<class T>(const char* name, T& member) {
        const auto found = file.metadata.find(name);
        const std::string text = found == file.metadata.end() ? "" : found->second;
        std::conditional_t<std::is_same_v<T, bool>, unsigned, T> value{};
        if (done && (!read_number(text, value) || (std::is_same_v<T, bool> && value > 1)))
            done =
                s3::described_error(s3::error(s3::errc::foreign, "metadata: no number")).in(name);
        member = static_cast<T>(value);
    });
    if (!done)
        return done.error();
    if (const auto sound = c.check(); !sound)
        return sound.error();
    const std::size_t needed = (c.tied ? 2 : 3) + (c.sub_norms ? 11 : 9) * c.layers;
    if (file.tensors.size() != needed)
        return s3::error(s3::errc::shape_mismatch, "tensors")
            .got(file.tensors.size())
            .needs(needed);
    return c;
}

} // namespace detail

/// The bytes of a file.
template <s3::weight_format F>
[[nodiscard]] s3::result<std::vector<std::byte>> write(const packed_weights<F>& w) {
    detail::tensor_writer writer;
    each_tensor(w, writer);
    config::each(w.shape, [&]<class T>(const char* name, const T& value) {
        char text[32] = {}; // holds the shortest text of any number
        if constexpr (std::is_same_v<T, bool>)
            text[0] = value ? '1' : '0';
        else
            std::to_chars(std::begin(text), std::end(text) - 1, value);
        writer.file.metadata[name] = text;
    });
    writer.file.metadata[detail::format_key] = F::name;
    return s3::safetensors::write(writer.file);
}

/// The name of the format of a file's matrices, e.g. "shift3".
[[nodiscard]] inline s3::result<std::string> format_of(const s3::safetensors::contents& file) {
    const auto found = file.metadata.find(detail::format_key);
    if (found == file.metadata.end())
        return s3::error(s3::errc::foreign, "metadata (not a language model of this program)");
    return found->second;
}

/// The weights in a file whose `format_of` is F.
template <s3::weight_format F>
[[nodiscard]] s3::described_result<packed_weights<F>> read(const s3::safetensors::contents& file) {
    const auto shape = detail::read_shape(file);
    if (!shape)
        return shape.error();
    packed_weights<F> w;
    w.shape = *shape;
    w.layers.resize(shape->layers);
    detail::tensor_reader reader{file};
    each_tensor(w, reader);
    if (!reader.done)
        return reader.done.error();
    return w;
}

} // namespace lm
