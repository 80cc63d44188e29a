#pragma once
// The shape of a Llama-like language model in a GGUF file (io/gguf.hpp), from its metadata, whose
// keys begin with the name of the file's architecture:
//
//   architecture   rows of queries and keys           f of the MLP
//   llama          interleaved by llama.cpp's writer  silu
//   bitnet         as in the model's checkpoint       silu, or what hidden_activation says
//   bitnet-b1.58   the same                           squared_relu
//
// A key of the architecture that is not known here is an error, because the computation might
// depend on it; so are rotary embedding that is scaled or turns a part of a head, and a sliding
// window.

#include <s3/import/decoder.hpp>
#include <s3/io/gguf.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace s3::importing {

/// The shape of each tensor of a file.
inline result<tensor_shapes> shapes_of(const gguf::contents& file) {
    return s3::detail::or_out_of_memory([&]() -> result<tensor_shapes> {
        tensor_shapes shapes;
        for (const auto& [name, t] : file.tensors)
            shapes.emplace(name, t.shape());
        return shapes;
    });
}

namespace detail {

struct gguf_architecture {
    std::string_view name;
    rotary_order rotary;
    mlp_function activation; ///< where no key states it
};
inline constexpr gguf_architecture architectures[] = {
    {"llama", rotary_order::interleaved, mlp_function::silu},
    {"bitnet", rotary_order::half_split, mlp_function::silu},
    {"bitnet-b1.58", rotary_order::half_split, mlp_function::squared_relu}};

/// Reads the metadata of one architecture, and remembers the first mistake.
class metadata_reader {
public:
    metadata_reader(const gguf::contents& file, std::string_view architecture)
        : file_(file), prefix_(std::string(architecture).append(".")) {}

    [[nodiscard]] const gguf::value* find(std::string_view key) const {
        const auto found = file_.metadata.find(std::string(prefix_).append(key));
        return found == file_.metadata.end() ? nullptr : &found->second;
    }
    /// A number below 2^31. If the key is missing, it is `otherwise`, unless that is 0.
    std::size_t size(std::string_view key, std::size_t otherwise = 0) {
        const gguf::value* const v = find(key);
        if (v == nullptr && otherwise != 0)
            return otherwise;
        const auto number = v == nullptr ? std::nullopt : v->unsigned_integer();
        const bool good = number && *number < 1u << 31;
        if (!good)
            fail(errc::foreign, key, "must be an integer");
        return good ? static_cast<std::size_t>(*number) : 0;
    }
    double real(std::string_view key, double otherwise) {
        const gguf::value* const v = find(key);
        const auto number = v == nullptr ? otherwise : v->real();
        if (!number)
            fail(errc::foreign, key, "must be a float");
        return number.value_or(0);
    }
    /// Refuses what a key says, unless it is served.
    void require(bool served, std::string_view key) {
        if (!served)
            fail(errc::unsupported, key, "has a value that is not supported");
    }
    /// Refuses the first key of the architecture that is not among `known`.
    void refuse_unknown(std::initializer_list<std::string_view> known) {
        for (auto at = file_.metadata.lower_bound(prefix_);
             at != file_.metadata.end() && at->first.starts_with(prefix_); ++at) {
            const std::string_view key = at->first.substr(prefix_.size());
            if (std::find(known.begin(), known.end(), key) == known.end())
                fail(errc::unsupported, key, "is not supported");
        }
    }
    [[nodiscard]] described_status done() const { return failure_; }

private:
    void fail(errc code, std::string_view key, const char* what) {
        if (failure_.code == errc::ok)
            failure_ =
                gguf::detail::refuse(code, "gguf.metadata", std::string(prefix_).append(key), what);
    }
    const gguf::contents& file_;
    std::string prefix_;
    described_error failure_;
};

inline described_result<decoder_shape> read_shape(const gguf::contents& file) {
    const auto name = file.metadata.find("general.architecture");
    const auto stated = name == file.metadata.end() ? std::nullopt : name->second.text();
    const auto& all = architectures;
    const auto architecture = std::find_if(std::begin(all), std::end(all),
                                           [&](const auto& a) { return stated == a.name; });
    if (architecture == std::end(all))
        return gguf::detail::refuse(errc::unsupported, "gguf.metadata", "general.architecture",
                                    "must be llama, bitnet or bitnet-b1.58");
    metadata_reader read(file, architecture->name);
    read.refuse_unknown(
        {"block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size",
         "hidden_activation", "attention.head_count", "attention.head_count_kv",
         "attention.key_length", "attention.value_length", "attention.layer_norm_rms_epsilon",
         "attention.sliding_window", "expert_count", "rope.dimension_count", "rope.freq_base",
         "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor"});
    decoder_shape s;
    s.layers = read.size("block_count");
    s.hidden = read.size("embedding_length");
    s.inner = read.size("feed_forward_length");
    s.heads = read.size("attention.head_count");
    s.key_value_heads = read.size("attention.head_count_kv", s.heads);
    s.head_width = read.size("attention.key_length", s.heads == 0 ? 0 : s.hidden / s.heads);
    const auto embedding = file.tensors.find("token_embd.weight");
    s.vocabulary = embedding == file.tensors.end() ? 0 : embedding->second.rows();
    s.norm_epsilon = to_float(read.real("attention.layer_norm_rms_epsilon", -1));
    s.rope_base = to_float(read.real("rope.freq_base", 10000));
    s.rotary = architecture->rotary;
    s.activation = architecture->activation;
    if (const gguf::value* const f = read.find("hidden_activation")) {
        const bool squared = f->text() == "relu2";
        read.require(squared || f->text() == "silu", "hidden_activation");
        s.activation = squared ? mlp_function::squared_relu : mlp_function::silu;
    }
    for (const char* key : {"attention.value_length", "rope.dimension_count"})
        read.require(read.size(key, s.head_width) == s.head_width, key);
    for (const char* key : {"attention.sliding_window", "expert_count"})
        read.require(read.find(key) == nullptr || read.size(key) == 0, key);
    // A linear scaling by 1 scales nothing; writers of BitNet's files state it.
    if (const gguf::value* const type = read.find("rope.scaling.type"))
        read.require(type->text() == "none" || type->text() == "linear", "rope.scaling.type");
    for (const char* key : {"rope.scaling.factor", "rope.scale_linear"})
        read.require(read.real(key, 1) == 1, key);
    if (const auto good = read.done(); !good)
        return good.error();
    if (const auto good = check(s); !good)
        return good.error();
    return s;
}

} // namespace detail

/// The sizes that a GGUF file states. Errors name the first key that is missing or not supported.
inline described_result<decoder_shape> shape_of(const gguf::contents& file) {
    return s3::detail::or_out_of_memory([&] { return detail::read_shape(file); });
}

} // namespace s3::importing
