#pragma once
// The sizes of a Llama-like language model: a decoder of rotary attention and a gated MLP with RMS
// norms (Llama, Mistral, BitNet b1.58). Hugging Face's checkpoints state them in config.json, GGUF
// files in their metadata (import/decoder_gguf.hpp).
//
// What is stated of rotary embedding or attention that such a decoder does not do is an error,
// since a model without it would compute something else.

#include <s3/core/error.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/io/json_tree.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace s3::importing {

/// Which two of a head's w components rotary embedding turns together: i and i + w/2, or 2i and
/// 2i + 1. Rows of the query's and key's weights are in the order that this asks for; from one to
/// the other: import/rotary_rows.hpp.
enum class rotary_order : unsigned char { unknown, half_split, interleaved };

/// f of the MLP: down(f(gate(x)) · up(x)).
enum class mlp_function : unsigned char { silu, squared_relu };

struct decoder_shape {
    std::size_t layers = 0;
    std::size_t hidden = 0; ///< the width between layers
    std::size_t inner = 0;  ///< the width inside the MLP
    std::size_t heads = 0;
    std::size_t key_value_heads = 0;
    std::size_t head_width = 0;
    std::size_t vocabulary = 0;
    float norm_epsilon = 0; ///< added to the mean square
    float rope_base = 10000;
    /// Of the file's rows. Who states a shape by hand must state this, too.
    rotary_order rotary = rotary_order::unknown;
    mlp_function activation = mlp_function::silu;
};

namespace detail {

[[nodiscard]] inline described_error refuse_model(errc code, const char* argument,
                                                  const std::string& what) {
    return {error(code, argument), what};
}

/// The nearest float, or −1 where there is none, which `check` refuses.
[[nodiscard]] inline float to_float(double v) noexcept {
    return v >= 0 && v < 1e30 ? static_cast<float>(v) : -1;
}

/// The sizes must be positive, and such that heads can be divided among keys and into pairs.
inline described_status check(const decoder_shape& s) {
    const std::pair<const char*, std::size_t> sizes[] = {
        {"layers", s.layers},         {"hidden", s.hidden},
        {"inner", s.inner},           {"heads", s.heads},
        {"head_width", s.head_width}, {"key_value_heads", s.key_value_heads},
        {"vocabulary", s.vocabulary}};
    for (const auto& [name, size] : sizes)
        if (size == 0)
            return error(errc::bad_option, name).got(0).needs(1);
    if (s.heads % s.key_value_heads != 0)
        return error(errc::shape_mismatch, "key_value_heads")
            .got(s.key_value_heads)
            .divides(s.heads);
    if (s.head_width % 2 != 0)
        return error(errc::bad_option, "head_width (rotary embedding turns pairs)")
            .got(s.head_width);
    if (!(s.norm_epsilon >= 0 && s.norm_epsilon < 1))
        return error(errc::bad_option, "norm_epsilon").outside(s.norm_epsilon, 0, 1);
    if (!(s.rope_base > 1 && s.rope_base < 1e30f))
        return error(errc::bad_option, "rope_base").got(s.rope_base);
    if (s.rotary == rotary_order::unknown)
        return error(errc::bad_option, "rotary (the order of the rows of queries and keys)");
    return {};
}

inline described_result<decoder_shape> read_shape(std::string_view config_json) {
    using nlohmann::json;
    using s3::detail::json_member, s3::detail::json_says;
    const auto tree = s3::detail::parse_json_object(config_json, 16);
    if (!tree)
        return refuse_model(errc::foreign, "config", "config.json is not a JSON object");
    const json* const config = &**tree;
    const json* const type = json_member(config, "model_type");
    if (!json_says(type, "llama") && !json_says(type, "mistral") && !json_says(type, "bitnet"))
        return refuse_model(errc::unsupported, "model_type",
                            "model_type must be llama, mistral or bitnet");
    std::string missing;
    const auto size = [&](const char* key, std::size_t otherwise) -> std::size_t {
        const json* const value = json_member(config, key);
        if (value == nullptr && otherwise != 0)
            return otherwise;
        const bool good = value != nullptr && value->is_number_unsigned() &&
                          value->get<std::uint64_t>() < 1u << 31;
        if (!good && missing.empty())
            missing = key;
        return good ? static_cast<std::size_t>(value->get<std::uint64_t>()) : 0;
    };
    const auto real = [&](const json* object, const char* key, double otherwise) {
        const json* const value = json_member(object, key);
        const bool good = value == nullptr || value->is_number();
        if (!good && missing.empty())
            missing = key;
        return to_float(value != nullptr && good ? value->get<double>() : otherwise);
    };
    decoder_shape s;
    s.rotary = rotary_order::half_split;
    s.layers = size("num_hidden_layers", 0);
    s.hidden = size("hidden_size", 0);
    s.inner = size("intermediate_size", 0);
    s.heads = size("num_attention_heads", 0);
    s.key_value_heads = size("num_key_value_heads", s.heads);
    s.head_width = size("head_dim", s.heads == 0 ? 0 : s.hidden / s.heads);
    s.vocabulary = size("vocab_size", 0);
    s.norm_epsilon = real(config, "rms_norm_eps", 1e-6);
    const json* const rope =
        json_member(config, "rope_parameters"); // where newer files keep the base
    s.rope_base = real(rope != nullptr && rope->is_object() ? rope : config, "rope_theta", 10000);
    if (!missing.empty())
        return refuse_model(errc::foreign, "config", "config.json has no good " + missing);
    for (const json* const r : {rope, json_member(config, "rope_scaling")})
        if (r != nullptr && !json_says(json_member(r, "rope_type"), "default"))
            return refuse_model(errc::unsupported, "rope",
                                "rotary embedding is scaled, which is not supported");
    if (json_member(config, "sliding_window") != nullptr)
        return refuse_model(errc::unsupported, "sliding_window",
                            "attention has a sliding window, which is not supported");
    const json* const function = json_member(config, "hidden_act");
    if (!json_says(function, "silu") && !json_says(function, "relu2"))
        return refuse_model(errc::unsupported, "hidden_act", "hidden_act must be silu or relu2");
    s.activation = json_says(function, "silu") ? mlp_function::silu : mlp_function::squared_relu;
    if (const auto good = check(s); !good)
        return good.error();
    return s;
}

} // namespace detail

/// The sizes that a model's config.json states, in the text of that file.
inline described_result<decoder_shape> shape_of(std::string_view config_json) {
    return s3::detail::or_out_of_memory([&] { return detail::read_shape(config_json); });
}

} // namespace s3::importing
