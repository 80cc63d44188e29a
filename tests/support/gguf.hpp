#pragma once
// Writes GGUF files by the published layout, independently of the reader.

#include <s3/core/bit_cast.hpp>
#include <s3/core/half.hpp>
#include <s3/core/little_endian.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace s3::test {

using byte_list = std::vector<std::byte>;

struct gguf_writer {
    std::uint32_t version = 3;
    std::size_t alignment = 32;
    std::uint64_t entries = 0, tensors = 0;
    byte_list metadata, infos, data;

    static void integer(byte_list& to, std::uint64_t value, std::size_t bytes) {
        to.resize(to.size() + bytes);
        little_endian::store(to.data() + to.size() - bytes, value, bytes);
    }
    static void text(byte_list& to, const std::string& s) {
        integer(to, s.size(), 8);
        for (const char c : s)
            to.push_back(static_cast<std::byte>(c));
    }
    void number(const std::string& key, std::uint32_t type, std::uint64_t value,
                std::size_t bytes) {
        text(metadata, key);
        integer(metadata, type, 4);
        integer(metadata, value, bytes);
        ++entries;
    }
    void words(const std::string& key, const std::string& value) {
        text(metadata, key);
        integer(metadata, 8, 4);
        text(metadata, value);
        ++entries;
    }
    void list(const std::string& key, const std::vector<std::string>& values) {
        text(metadata, key);
        integer(metadata, 9, 4);
        integer(metadata, 8, 4);
        integer(metadata, values.size(), 8);
        for (const auto& v : values)
            text(metadata, v);
        ++entries;
    }
    /// Extents are given with the fastest first.
    void tensor(const std::string& name, std::uint32_t type,
                const std::vector<std::uint64_t>& extents, const byte_list& values) {
        text(infos, name);
        integer(infos, extents.size(), 4);
        for (const auto e : extents)
            integer(infos, e, 8);
        integer(infos, type, 4);
        integer(infos, data.size(), 8);
        data.insert(data.end(), values.begin(), values.end());
        data.resize((data.size() + alignment - 1) / alignment * alignment);
        ++tensors;
    }
    [[nodiscard]] byte_list bytes() const {
        byte_list all;
        for (const char c : {'G', 'G', 'U', 'F'})
            all.push_back(static_cast<std::byte>(c));
        integer(all, version, 4);
        integer(all, tensors, 8);
        integer(all, entries, 8);
        all.insert(all.end(), metadata.begin(), metadata.end());
        all.insert(all.end(), infos.begin(), infos.end());
        all.resize((all.size() + alignment - 1) / alignment * alignment);
        all.insert(all.end(), data.begin(), data.end());
        return all;
    }
};

/// The bytes of blocks, whose weights are w (in the range of the type) and scales binary16 bits.
inline byte_list gguf_blocks(const std::string& type, const std::vector<int>& w,
                             const std::vector<std::uint16_t>& scales) {
    byte_list to;
    const auto push = [&](int v) { to.push_back(static_cast<std::byte>(v & 255)); };
    const std::size_t block = type[0] == 'T' ? 256 : 32;
    for (std::size_t b = 0; b < scales.size(); ++b) {
        const int* x = w.data() + b * block;
        if (block == 32)
            gguf_writer::integer(to, scales[b], 2);
        if (type == "Q8_0")
            for (int j = 0; j < 32; ++j)
                push(x[j]);
        if (type == "Q4_0")
            for (int j = 0; j < 16; ++j)
                push((x[j] + 8) | (x[j + 16] + 8) << 4);
        if (type == "TQ2_0")
            for (int half = 0; half < 2; ++half)
                for (int m = 0; m < 32; ++m) {
                    const int* p = x + 128 * half + m;
                    push((p[0] + 1) | (p[32] + 1) << 2 | (p[64] + 1) << 4 | (p[96] + 1) << 6);
                }
        if (type == "TQ1_0") {
            const std::pair<int, int> parts[] = {{0, 32}, {160, 16}, {240, 4}};
            for (const auto& [first, bytes] : parts)
                for (int m = 0; m < bytes; ++m) {
                    int number = 0; // of five digits to base 3, the first the most significant
                    for (int n = 0; n < 5; ++n)
                        number =
                            3 * number + (n == 4 && bytes == 4 ? 0 : x[first + n * bytes + m] + 1);
                    push((number * 256 + 242) / 243);
                }
        }
        if (block == 256)
            gguf_writer::integer(to, scales[b], 2);
    }
    return to;
}

/// A small file with metadata of several types and tensors of every type whose values are read.
inline gguf_writer small_gguf() {
    gguf_writer file;
    file.words("general.architecture", "llama");
    file.number("llama.block_count", 4, 2, 4);
    file.number("llama.rope.freq_base", 6, 0x461c4000, 4); // 10000
    file.list("tokenizer.ggml.tokens", {"a", "", "bc"});
    std::vector<int> w(512);
    for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = static_cast<int>(i * i % 13 % 3) - 1;
    const std::vector<std::uint16_t> two{0x3c00, 0xb800}, four{0x3c00, 0, 0x8001, 0x7bff};
    const std::vector<int> some(w.begin(), w.begin() + 128);
    file.tensor("f32", 0, {2},
                {std::byte{0}, std::byte{0}, std::byte{0x80}, std::byte{0x3f}, std::byte{0},
                 std::byte{0}, std::byte{0}, std::byte{0xc0}});
    file.tensor("f16", 1, {1, 2}, {std::byte{0}, std::byte{0x3c}, std::byte{1}, std::byte{0x80}});
    file.tensor("q4", 2, {64, 2}, gguf_blocks("Q4_0", some, four));
    file.tensor("q8", 8, {32, 2, 2}, gguf_blocks("Q8_0", some, four));
    file.tensor("tq1", 34, {256, 2}, gguf_blocks("TQ1_0", w, two));
    file.tensor("tq2", 35, {512}, gguf_blocks("TQ2_0", w, two));
    return file;
}

[[nodiscard]] inline std::uint64_t float_bits(float v) {
    return bit_cast<std::uint32_t>(v);
}

/// Adds to metadata whose keys begin with a prefix.
using gguf_addition = std::function<void(gguf_writer&, const std::string& prefix)>;

/// The file of a Llama-like model of two layers, 8 wide. `more` may add to its metadata; `without`
/// names a key, behind the architecture's name, or the embedding, that it lacks.
inline gguf_writer decoder_gguf(const std::string& architecture, const gguf_addition& more = {},
                                const std::string& without = "") {
    gguf_writer f;
    const std::string a = architecture + ".";
    f.words("general.architecture", architecture);
    const auto number = [&](const char* key, std::uint64_t value) {
        if (key != without)
            f.number(a + key, 4, value, 4);
    };
    number("block_count", 2);
    number("context_length", 100);
    number("embedding_length", 8);
    number("feed_forward_length", 12);
    number("attention.head_count", 4);
    number("attention.head_count_kv", 2);
    if (without != "attention.layer_norm_rms_epsilon")
        f.number(a + "attention.layer_norm_rms_epsilon", 6, float_bits(1e-5f), 4);
    if (more)
        more(f, a);
    const auto tensor = [&](const std::string& name, std::size_t rows, std::size_t columns) {
        f.tensor(name, 0,
                 columns == 0 ? std::vector<std::uint64_t>{rows}
                              : std::vector<std::uint64_t>{columns, rows},
                 byte_list(4 * rows * std::max<std::size_t>(columns, 1)));
    };
    if (without != "token_embd.weight")
        tensor("token_embd.weight", 50, 8);
    tensor("output_norm.weight", 8, 0);
    for (const char* n : {"blk.0.", "blk.1."}) {
        const std::string layer = n;
        for (const char* norm : {"attn_norm", "ffn_norm"})
            tensor(layer + norm + ".weight", 8, 0);
        tensor(layer + "attn_q.weight", 8, 8);
        tensor(layer + "attn_k.weight", 4, 8);
        tensor(layer + "attn_v.weight", 4, 8);
        tensor(layer + "attn_output.weight", 8, 8);
        tensor(layer + "ffn_gate.weight", 12, 8);
        tensor(layer + "ffn_up.weight", 12, 8);
        tensor(layer + "ffn_down.weight", 8, 12);
    }
    return f;
}

} // namespace s3::test
