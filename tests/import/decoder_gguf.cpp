// The metadata of a GGUF file state the shape of a Llama-like model, whose parts are then found by
// their names; what such a model does not do is refused by the name of its key.

#include <s3/import/decoder_gguf.hpp>

#include "../support/gguf.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace s3;
using namespace s3::importing;

namespace {

using test::float_bits;
using test::gguf_writer;

test::byte_list bytes_of(const std::string& architecture, const test::gguf_addition& more = {},
                         const std::string& without = "") {
    return test::decoder_gguf(architecture, more, without).bytes();
}

/// The shape that a file states, once its tensors are found to have it.
described_result<decoder_shape> shape(const test::byte_list& bytes) {
    const auto read = gguf::read(bytes);
    REQUIRE(read);
    auto s = shape_of(*read);
    if (s) {
        const auto found = find_decoder(*s, naming::gguf, *shapes_of(*read));
        REQUIRE(found);
        CHECK(found->layers.size() == s->layers);
    }
    return s;
}

} // namespace

TEST_CASE("metadata state the shape, and the architecture the order of rows and the function") {
    const auto llama = shape(bytes_of("llama"));
    REQUIRE(llama);
    CHECK(llama->layers == 2);
    CHECK(llama->hidden == 8);
    CHECK(llama->inner == 12);
    CHECK(llama->heads == 4);
    CHECK(llama->key_value_heads == 2);
    CHECK(llama->head_width == 2);
    CHECK(llama->vocabulary == 50);
    CHECK(llama->norm_epsilon == 1e-5f);
    CHECK(llama->rope_base == 10000);
    CHECK(llama->rotary == rotary_order::interleaved);
    CHECK(llama->activation == mlp_function::silu);
    const auto bitnet = shape(bytes_of("bitnet"));
    REQUIRE(bitnet);
    CHECK(bitnet->rotary == rotary_order::half_split);
    CHECK(bitnet->activation == mlp_function::silu);
    CHECK(shape(bytes_of("bitnet-b1.58"))->activation == mlp_function::squared_relu);
    const auto more = shape(bytes_of("bitnet", [](gguf_writer& f, const std::string& a) {
        f.words(a + "hidden_activation", "relu2");
        f.number(a + "rope.freq_base", 6, float_bits(500000), 4);
        f.number(a + "rope.dimension_count", 4, 2, 4);
        f.words(a + "rope.scaling.type", "linear");
        f.number(a + "rope.scaling.factor", 6, float_bits(1), 4);
        f.number(a + "attention.key_length", 4, 2, 4);
        f.number(a + "attention.value_length", 4, 2, 4);
        f.number(a + "expert_count", 4, 0, 4);
        f.number("other.rope.scaling.factor", 6, float_bits(8), 4);
    }));
    REQUIRE(more);
    CHECK(more->activation == mlp_function::squared_relu);
    CHECK(more->rope_base == 500000);
}

TEST_CASE("a key that is missing, of another type or not supported is named") {
    const auto says = [](const test::byte_list& bytes, const std::string& key) {
        const auto s = shape(bytes);
        REQUIRE(!s);
        CAPTURE(s.error().message());
        CHECK(s.error().message().find(key) != std::string::npos);
    };
    for (const char* key :
         {"block_count", "embedding_length", "feed_forward_length", "attention.head_count"})
        says(bytes_of("llama", {}, key), std::string("llama.").append(key));
    says(bytes_of("llama", {}, "attention.layer_norm_rms_epsilon"), "norm_epsilon");
    says(bytes_of("llama", {}, "token_embd.weight"), "vocabulary");
    says(bytes_of("qwen2"), "general.architecture");
    CHECK(!shape_of(gguf::contents()));
    const auto with = [&](const char* key, std::uint32_t type, std::uint64_t value) {
        says(bytes_of("llama", [&](gguf_writer& f,
                                   const std::string& a) { f.number(a + key, type, value, 4); }),
             std::string("llama.").append(key));
    };
    with("rope.scaling.factor", 6, float_bits(8));
    with("rope.scaling.factor", 4, 1); // an integer
    with("rope.scale_linear", 6, float_bits(2));
    with("rope.dimension_count", 4, 1);
    with("attention.key_length", 5, 0xffffffff); // −1
    with("attention.value_length", 4, 4);
    with("attention.sliding_window", 4, 512);
    with("expert_count", 4, 8);
    with("attention.clamp_kqv", 6, float_bits(8));
    with("rope.freq_base", 4, 10000);
    const auto words = [&](const char* key, const char* value) {
        says(bytes_of("llama",
                      [&](gguf_writer& f, const std::string& a) { f.words(a + key, value); }),
             std::string("llama.").append(key));
    };
    words("rope.scaling.type", "yarn");
    words("hidden_activation", "gelu");
    words("pooling_type", "x");
    for (const float base : {0.0f, -1.0f, 1e31f, bit_cast<float>(0x7fc00000u)})
        says(bytes_of("llama",
                      [&](gguf_writer& f, const std::string& a) {
                          f.number(a + "rope.freq_base", 6, float_bits(base), 4);
                      }),
             "rope_base");
}
