// The parts of a Llama-like model are found by their names, mistakes are named, and the rows of
// queries and keys come into the order that rotary embedding asks for.

#include <s3/import/decoder.hpp>
#include <s3/import/rotary_rows.hpp>

#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace s3;
using namespace s3::importing;

namespace {

constexpr const char* config = R"({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8,
    "intermediate_size": 12, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50,
    "hidden_act": "silu", "rms_norm_eps": 1e-5})";

tensor_shapes shapes(naming by) {
    const bool hf = by == naming::hugging_face;
    tensor_shapes all;
    all[hf ? "model.embed_tokens.weight" : "token_embd.weight"] = {50, 8};
    all[hf ? "model.norm.weight" : "output_norm.weight"] = {8};
    for (const char* n : {"0", "1"}) {
        const std::string layer = std::string(hf ? "model.layers." : "blk.").append(n).append(".");
        const auto add = [&](const char* of_hf, const char* of_gguf, std::vector<std::size_t> s) {
            all[layer + (hf ? of_hf : of_gguf) + ".weight"] = std::move(s);
        };
        add("input_layernorm", "attn_norm", {8});
        add("self_attn.q_proj", "attn_q", {8, 8});
        add("self_attn.k_proj", "attn_k", {4, 8});
        add("self_attn.v_proj", "attn_v", {4, 8});
        add("self_attn.o_proj", "attn_output", {8, 8});
        add("post_attention_layernorm", "ffn_norm", {8});
        add("mlp.gate_proj", "ffn_gate", {12, 8});
        add("mlp.up_proj", "ffn_up", {12, 8});
        add("mlp.down_proj", "ffn_down", {8, 12});
    }
    return all;
}

} // namespace

TEST_CASE("all parts are found by either naming, and a head that is the embedding") {
    const auto s = shape_of(config);
    REQUIRE(s);
    CHECK(s->head_width == 2);
    for (const naming by : {naming::hugging_face, naming::gguf}) {
        const auto d = find_decoder(*s, by, shapes(by));
        REQUIRE(d);
        CHECK(d->layers.size() == 2);
        CHECK(d->head == d->embedding);
        CHECK(d->layers[1].attention_sub_norm.empty());
    }
    CHECK(find_decoder(*s, naming::gguf, shapes(naming::gguf))->layers[1].down ==
          "blk.1.ffn_down.weight");
    auto unknown = *s;
    unknown.rotary = rotary_order::unknown;
    CHECK(!find_decoder(unknown, naming::gguf, shapes(naming::gguf)));
}

TEST_CASE("each tensor that is missing, misshapen or of no use is named") {
    const auto s = *shape_of(config);
    for (const naming by : {naming::hugging_face, naming::gguf}) {
        const auto says = [&](const tensor_shapes& all, const std::string& name) {
            const auto d = find_decoder(s, by, all);
            REQUIRE(!d);
            CAPTURE(d.error().message());
            CHECK(d.error().message().find(name) != std::string::npos);
        };
        for (const auto& [name, shape] : shapes(by)) {
            auto all = shapes(by);
            all.erase(name);
            says(all, name);
            all[name] = shape;
            all[name][0] += 1;
            says(all, name);
        }
        auto all = shapes(by);
        all["blk.0.attn_q.bias"] = {8};
        says(all, "blk.0.attn_q.bias");
    }
}

TEST_CASE("what a config states that the decoder does not do is refused") {
    const auto with = [](std::string_view from, std::string_view to) {
        std::string text = config;
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        return text.replace(at, from.size(), to);
    };
    CHECK(!shape_of(with("llama", "gemma")));
    CHECK(!shape_of(with("silu", "gelu")));
    CHECK(!shape_of(with("\"num_attention_heads\": 4", "\"num_attention_heads\": 0")));
    CHECK(!shape_of(with("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3")));
    CHECK(!shape_of(with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": -2")));
    CHECK(!shape_of(with("1e-5}", "1e-5, \"rope_scaling\": {\"rope_type\": \"linear\"}}")));
    CHECK(!shape_of("[]"));
    CHECK(!shape_of("{"));
}

TEST_CASE("rows that llama.cpp interleaves come back into their order") {
    test::random r(1);
    const std::size_t width = 6, rows = 3 * width, columns = 64;
    const auto values = test::random_weights<shift3>(r, rows * columns);
    std::vector<float> scale(rows * 2);
    for (std::size_t i = 0; i < scale.size(); ++i)
        scale[i] = static_cast<float>(i + 1);
    // Its converter: [head][half][w/2] becomes [head][w/2][half].
    std::vector<int> mixed(values.size());
    std::vector<float> mixed_scale(scale.size());
    for (std::size_t h = 0; h < 3; ++h)
        for (std::size_t half = 0; half < 2; ++half)
            for (std::size_t i = 0; i < width / 2; ++i) {
                const std::size_t from = h * width + half * width / 2 + i;
                const std::size_t to = h * width + 2 * i + half;
                std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from * columns), columns,
                            mixed.begin() + static_cast<std::ptrdiff_t>(to * columns));
                mixed_scale[2 * to] = scale[2 * from];
                mixed_scale[2 * to + 1] = scale[2 * from + 1];
            }
    const auto w = *pack<shift3>(mixed, rows, columns, {0, mixed_scale, 32});
    const auto back = half_split_rows(w, width);
    REQUIRE(back);
    bool same = true;
    for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t c = 0; c < columns; ++c)
            same = same && back->value(row, c) == values[row * columns + c] &&
                   back->real_scale(row, c / 32) == scale[2 * row + c / 32];
    CHECK(same);
    for (const std::size_t bad : {0u, 5u, 4u})
        CHECK(!half_split_rows(w, bad));
}
