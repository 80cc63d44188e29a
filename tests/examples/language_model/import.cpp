// Models of others in examples/language_model: what is imported computes what its tensors say, in
// double precision but for the rounding of activations, and equals the same weights packed
// directly.

#include "weights.hpp"

#include "../../../examples/language_model/import.hpp"
#include "../../../examples/language_model/model.hpp"
#include "../../support/gguf.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>

namespace {

using namespace lm;
using namespace lm::test;

using numbers = std::vector<double>;

config wide() {
    config c{50, 32, 2, 4, 2, 64, 2048};
    return c;
}

/// Draws the weights of a model: integers in groups of 32 as Q8_0 has them, or ternary with one
/// scale, and what other tensors have as floats.
template <s3::weight_format G>
struct drawer {
    s3::test::random random{3};
    std::map<std::string, std::vector<float>> floats = {};

    void operator()(const std::string& name, std::vector<float>& v, std::size_t size) {
        v.resize(size);
        for (float& x : v)
            x = 1 + std::ldexp(static_cast<float>(random.below(64)), -7); // in bfloat16, too
        floats[name] = v;
    }
    template <s3::weight_format H>
    void operator()(const std::string& name, s3::packed_matrix<H>& m, std::size_t rows,
                    std::size_t columns) {
        if (name == "model.embed_tokens.weight" || name == "lm_head.weight") {
            auto& values = floats[name];
            values.resize(rows * columns);
            for (float& x : values)
                x = std::ldexp(static_cast<float>(random.between(-128, 128)), -6);
            m = s3::quantize<H>(values, rows, columns,
                                {.granularity = s3::scale_per::row, .scale = s3::scale_kind::real})
                    .value();
            return;
        }
        constexpr bool grouped = H::bits == 8;
        std::vector<int> values(rows * columns);
        for (int& v : values)
            v = random.between(grouped ? -127 : -1, grouped ? 127 : 1);
        std::vector<float> scale(grouped ? rows * columns / 32 : 1);
        for (float& s : scale)
            s = s3::from_bfloat16(s3::to_bfloat16((2 + random.real()) / (grouped ? 700.0f : 10)));
        m = s3::pack<H>(values, rows, columns,
                        grouped ? s3::pack_options{0, scale, 32, s3::scale_type::binary16}
                                : s3::pack_options{0, scale})
                .value();
    }
};

template <s3::weight_format G>
numbers times(const s3::packed_matrix<G>& w, const numbers& x) {
    numbers y(w.rows());
    const std::size_t group = w.columns() / w.scales_per_row();
    for (std::size_t m = 0; m < w.rows(); ++m)
        for (std::size_t k = 0; k < w.columns(); ++k)
            y[m] += x[k] * w.value(m, k) * static_cast<double>(w.real_scale(m, k / group));
    return y;
}

numbers normalized(const numbers& x, const std::vector<float>& weight, double epsilon) {
    numbers y(x.size());
    double mean = epsilon;
    for (const double v : x)
        mean += v * v / static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
        y[i] = x[i] / std::sqrt(mean) * static_cast<double>(weight[i]);
    return y;
}

/// The logits behind the last token of weights in a model of shape c, as config.hpp defines them.
template <s3::weight_format G>
numbers reference(const packed_weights<G>& w, const config& c, const std::vector<input>& tokens) {
    const std::size_t head = c.head_width(), half = head / 2;
    const auto epsilon = static_cast<double>(c.epsilon);
    const auto add = [](numbers& x, const numbers& y) {
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] += y[i];
    };
    std::vector<std::vector<numbers>> keys(c.layers), values(c.layers);
    numbers x;
    for (std::size_t position = 0; position < tokens.size(); ++position) {
        const std::size_t token = tokens[position].token;
        x.assign(c.width, 0);
        for (std::size_t i = 0; i < c.width; ++i)
            x[i] = w.embedding.value(token, i) * static_cast<double>(w.embedding.real_scale(token));
        const auto turned = [&](numbers v) {
            for (std::size_t h = 0; h < v.size(); h += head)
                for (std::size_t i = 0; i < half; ++i) {
                    const double angle =
                        static_cast<double>(position) *
                        std::pow(static_cast<double>(c.rotary_base),
                                 -static_cast<double>(i) / static_cast<double>(half));
                    const double a = v[h + i], b = v[h + i + half];
                    v[h + i] = a * std::cos(angle) - b * std::sin(angle);
                    v[h + i + half] = b * std::cos(angle) + a * std::sin(angle);
                }
            return v;
        };
        for (std::size_t n = 0; n < c.layers; ++n) {
            const auto& l = w.layers[n];
            const numbers in = normalized(x, l.attention_norm, epsilon);
            const numbers query = turned(times(l.query, in));
            keys[n].push_back(turned(times(l.key, in)));
            values[n].push_back(times(l.value, in));
            numbers attended(c.width);
            for (std::size_t h = 0; h < c.heads; ++h) {
                const std::size_t at = h * head, from = h / (c.heads / c.key_value_heads) * head;
                numbers weight;
                double sum = 0;
                for (const numbers& key : keys[n]) {
                    double score = 0;
                    for (std::size_t i = 0; i < head; ++i)
                        score += query[at + i] * key[from + i];
                    weight.push_back(std::exp(score / std::sqrt(static_cast<double>(head))));
                    sum += weight.back();
                }
                for (std::size_t p = 0; p < weight.size(); ++p)
                    for (std::size_t i = 0; i < head; ++i)
                        attended[at + i] += weight[p] / sum * values[n][p][from + i];
            }
            if (c.sub_norms)
                attended = normalized(attended, l.attention_sub_norm, epsilon);
            add(x, times(l.output, attended));
            const numbers m = normalized(x, l.mlp_norm, epsilon);
            const numbers gate = times(l.gate, m);
            numbers inner = times(l.up, m);
            for (std::size_t i = 0; i < inner.size(); ++i) {
                const double g = gate[i], positive = std::max(g, 0.0);
                inner[i] *= c.squared_relu ? positive * positive : g / (1 + std::exp(-g));
            }
            if (c.sub_norms)
                inner = normalized(inner, l.mlp_sub_norm, epsilon);
            add(x, times(l.down, inner));
        }
    }
    return times(c.tied ? w.embedding : w.head, normalized(x, w.norm, epsilon));
}

template <s3::weight_format G>
std::vector<float> logits(packed_weights<G> w, const std::vector<input>& tokens) {
    auto m = model<G>::make(std::move(w), {1, 32, 16}).value();
    const auto hidden = m.forward(tokens);
    REQUIRE(hidden);
    const std::size_t last = hidden->rows - 1, n = m.shape().vocabulary;
    std::vector<float> all(n);
    REQUIRE(m.logits({hidden->data.subspan(last * hidden->columns), 1, hidden->columns},
                     {std::span(all), 1, n}));
    return all;
}

/// How far off logits are, beside their size.
double distance(const std::vector<float>& logits, const numbers& right) {
    double off = 0, size = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
        off += std::pow(logits[i] - right[i], 2);
        size += right[i] * right[i];
    }
    return std::sqrt(off / size);
}

std::vector<input> some_tokens() {
    std::vector<input> all;
    for (const std::uint32_t token : {3u, 14u, 15u, 9u, 26u, 5u, 35u, 8u})
        all.push_back({0, token});
    return all;
}

/// What is imported equals `w`, which computes what the reference does.
template <s3::weight_format G>
void computes(s3::described_result<packed_weights<G>>&& imported, packed_weights<G>&& w) {
    if (!imported)
        FAIL(imported.error().message());
    const auto tokens = some_tokens();
    const config shape = w.shape;
    config other = shape, without = shape;
    other.squared_relu = !shape.squared_relu;
    without.sub_norms = false;
    const auto right = reference(w, shape, tokens), wrong = reference(w, other, tokens),
               unnormed = reference(w, without, tokens);
    const auto got = logits(*std::move(imported), tokens);
    CHECK(got == logits(std::move(w), tokens));
    CHECK(distance(got, right) < 0.03); // of int8 activations
    CHECK(distance(got, wrong) > 0.1);
    if (shape.sub_norms)
        CHECK(distance(got, unnormed) > 0.1);
}

// ---- GGUF

s3::test::byte_list bytes_of(const std::vector<float>& v) {
    return s3::safetensors::to_bytes(std::span(v));
}

/// Writes what each_tensor visits, by the names of GGUF, with llama.cpp's order of rows.
struct gguf_tensors {
    s3::test::gguf_writer& file;
    const std::map<std::string, std::vector<float>>& floats;
    std::size_t head_width;

    static std::string named(std::string name) {
        const std::pair<const char*, const char*> words[] = {
            {"model.embed_tokens", "token_embd"},
            {"model.norm", "output_norm"},
            {"lm_head", "output"},
            {"model.layers.", "blk."},
            {"input_layernorm", "attn_norm"},
            {"self_attn.q_proj", "attn_q"},
            {"self_attn.k_proj", "attn_k"},
            {"self_attn.v_proj", "attn_v"},
            {"self_attn.o_proj", "attn_output"},
            {"post_attention_layernorm", "ffn_norm"},
            {"mlp.gate_proj", "ffn_gate"},
            {"mlp.up_proj", "ffn_up"},
            {"mlp.down_proj", "ffn_down"}};
        for (const auto& [from, to] : words)
            if (const auto at = name.find(from); at != std::string::npos)
                name.replace(at, std::string(from).size(), to);
        return name;
    }
    void operator()(const std::string& name, const std::vector<float>& v, std::size_t) {
        file.tensor(named(name), 0, {v.size()}, bytes_of(v));
    }
    template <s3::weight_format G>
    void operator()(const std::string& name, const s3::packed_matrix<G>& m, std::size_t rows,
                    std::size_t columns) {
        if (const auto found = floats.find(name); found != floats.end()) {
            file.tensor(named(name), 0, {columns, rows}, bytes_of(found->second));
            return;
        }
        const bool rotated = name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight");
        std::vector<int> w(rows * columns);
        std::vector<std::uint16_t> scale(rows * columns / 32);
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t to = rotated ? s3::importing::interleaved_row(row, head_width) : row;
            for (std::size_t c = 0; c < columns; ++c)
                w[to * columns + c] = m.value(row, c);
            for (std::size_t g = 0; g < columns / 32; ++g)
                scale[to * (columns / 32) + g] = s3::to_float16(m.real_scale(row, g));
        }
        file.tensor(named(name), 8, {columns, rows}, s3::test::gguf_blocks("Q8_0", w, scale));
    }
};

s3::test::gguf_writer gguf_metadata(const config& c) {
    s3::test::gguf_writer file;
    file.words("general.architecture", "llama");
    const auto size = [&](const char* key, std::size_t value) {
        file.number(std::string("llama.").append(key), 4, value, 4);
    };
    const auto real = [&](const char* key, float value) {
        file.number(std::string("llama.").append(key), 6, s3::bit_cast<std::uint32_t>(value), 4);
    };
    size("block_count", c.layers);
    size("embedding_length", c.width);
    size("feed_forward_length", c.hidden);
    size("attention.head_count", c.heads);
    size("attention.head_count_kv", c.key_value_heads);
    real("attention.layer_norm_rms_epsilon", c.epsilon);
    real("rope.freq_base", c.rotary_base);
    return file;
}

} // namespace

TEST_CASE("a GGUF file computes what its tensors say, with a head of its own or without") {
    for (const bool tied : {false, true}) {
        packed_weights<s3::int8_weights> w;
        w.shape = wide();
        w.shape.tied = tied;
        w.shape.rotary_base = 300;
        w.shape.epsilon = 0.25f;
        w.layers.resize(w.shape.layers);
        drawer<s3::int8_weights> draw;
        each_tensor(w, draw);
        auto file = gguf_metadata(w.shape);
        each_tensor(w, gguf_tensors{file, draw.floats, w.shape.head_width()});
        const auto bytes = file.bytes();
        const auto read = s3::gguf::read(bytes).value();
        CHECK(holds<s3::int8_weights>(read));
        CHECK(!holds<s3::ternary>(read));
        computes(import_gguf<s3::int8_weights>(read), std::move(w));
        const auto wrong = import_gguf<s3::ternary>(read);
        REQUIRE(!wrong);
        CHECK(has(wrong.error().message(), "blk.0.attn_q.weight"));
    }
}

TEST_CASE("BitNet's checkpoint computes what its tensors say") {
    packed_weights<s3::ternary> w;
    w.shape = wide();
    w.shape.squared_relu = w.shape.sub_norms = true;
    w.shape.epsilon = 1e-4f;
    w.layers.resize(w.shape.layers);
    drawer<s3::ternary> draw;
    each_tensor(w, draw);

    s3::safetensors::contents file;
    std::list<s3::test::byte_list> memory;
    const auto add = [&](const std::string& name, s3::safetensors::dtype type,
                         const std::vector<std::size_t>& shape, s3::test::byte_list bytes) {
        file.tensors[name] = {type, shape, memory.emplace_back(std::move(bytes))};
    };
    const auto halves = [](std::span<const float> values) {
        s3::test::byte_list bytes;
        for (const float v : values)
            s3::test::gguf_writer::integer(bytes, s3::to_bfloat16(v), 2);
        return bytes;
    };
    struct visitor {
        decltype(add)& put;
        decltype(halves)& as_halves;
        const std::map<std::string, std::vector<float>>& floats;

        void operator()(const std::string& name, const std::vector<float>& v, std::size_t) {
            put(name, s3::safetensors::dtype::bf16, {v.size()}, as_halves(v));
        }
        void operator()(const std::string& name, const s3::packed_matrix<s3::int8_weights>&,
                        std::size_t rows, std::size_t columns) {
            put(name, s3::safetensors::dtype::f32, {rows, columns}, bytes_of(floats.at(name)));
        }
        void operator()(const std::string& name, const s3::packed_matrix<s3::ternary>& m,
                        std::size_t rows, std::size_t columns) {
            s3::test::byte_list bytes(rows / 4 * columns);
            for (std::size_t row = 0; row < rows; ++row)
                for (std::size_t c = 0; c < columns; ++c)
                    bytes[row % (rows / 4) * columns + c] |=
                        static_cast<std::byte>((m.value(row, c) + 1) << (row / (rows / 4) * 2));
            put(name, s3::safetensors::dtype::u8, {rows / 4, columns}, bytes);
            const float scale = m.real_scale(0);
            put(name + "_scale", s3::safetensors::dtype::bf16, {1},
                as_halves(std::span(&scale, 1)));
        }
    };
    each_tensor(w, visitor{add, halves, draw.floats});
    const std::string text = R"({"model_type": "bitnet", "num_hidden_layers": 2, "hidden_size": 32,
        "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 50, "hidden_act": "relu2", "rms_norm_eps": 1e-4,
        "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}})";
    computes(import_bitnet(text, file), std::move(w));

    auto damaged = file;
    damaged.tensors.erase("model.layers.1.mlp.ffn_sub_norm.weight");
    CHECK(has(import_bitnet(text, damaged).error().message(), "further norms"));
    damaged = file;
    damaged.tensors.erase("model.layers.1.mlp.up_proj.weight_scale");
    CHECK(has(import_bitnet(text, damaged).error().message(), "up_proj"));
    damaged = file;
    auto& norm = damaged.tensors.at("model.norm.weight");
    auto bytes = s3::test::byte_list(norm.data.begin(), norm.data.end());
    bytes[3] = std::byte{0xff}; // NaN
    bytes[2] = std::byte{0xff};
    norm.data = bytes;
    CHECK(has(import_bitnet(text, damaged).error().message(), "model.norm.weight: weight[1]"));
}
