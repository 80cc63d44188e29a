// The inference of examples/language_model but for its matrices: its layers against double
// precision, its files against damage, and how often it draws which token.

#include "weights.hpp"

#include "../../../examples/language_model/layers.hpp"
#include "../../../examples/language_model/sample.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string>

namespace {

using namespace lm;
using namespace lm::test;

std::vector<float> random_floats(std::size_t size, std::uint64_t seed) {
    s3::test::random random(seed);
    std::vector<float> all(size);
    for (float& v : all)
        v = random.real();
    return all;
}

/// Says what `read` says of a file of random weights after `change`.
template <class Change>
std::string said_of(Change&& change) {
    auto bytes = write(random_weights()).value();
    auto contents = s3::safetensors::read(bytes).value();
    std::vector<std::vector<std::byte>> memory;
    memory.reserve(8);
    change(contents, memory);
    const auto weights = read<F>(contents);
    return weights ? "" : weights.error().message();
}
} // namespace

TEST_CASE("RMSNorm is that of double precision, however large or small its input") {
    for (const float size : {1e-12f, 1.0f, 1e12f})
        for (const std::size_t n : {1u, 7u, 96u, 1000u}) {
            auto x = random_floats(n, n);
            for (float& v : x)
                v *= size;
            const auto weight = random_floats(n, n + 1);
            std::vector<float> y(n);
            rms_norm(x, weight, 1e-5f, y);
            double mean = 0;
            for (const float v : x)
                mean += double{v} * v / static_cast<double>(n);
            for (std::size_t i = 0; i < n; ++i) {
                const double right = x[i] / std::sqrt(mean + double{1e-5f}) * weight[i];
                CHECK(std::fabs(y[i] - right) <= 3e-7 * std::fabs(right));
            }
        }
}

TEST_CASE("rotary positions keep lengths, and products depend on the distance alone") {
    constexpr std::size_t head = 8;
    const rotary turn(head, 10'000, 40);
    const auto a = random_floats(head, 1), b = random_floats(head, 2);
    const auto product = [&](std::size_t at, std::size_t other) {
        auto x = a, y = b;
        turn(x, at);
        turn(y, other);
        double sum = 0;
        for (std::size_t i = 0; i < head; ++i)
            sum += double{x[i]} * y[i];
        return sum;
    };
    auto same = a;
    turn(same, 0);
    CHECK(same == a);
    for (std::size_t p = 0; p < 30; ++p) {
        CHECK(product(p + 9, p) == doctest::Approx(product(9, 0)).epsilon(1e-4));
        CHECK(dot(a.data(), a.data(), head) == doctest::Approx([&] {
                  auto x = a;
                  turn(x, p);
                  return dot(x.data(), x.data(), head);
              }()));
    }
    // The first pair is numbers 0 and head / 2, and turns by one radian a position.
    std::vector<float> unit(head);
    unit[0] = 1;
    turn(unit, 3);
    CHECK(unit[0] == doctest::Approx(std::cos(3.0)));
    CHECK(unit[head / 2] == doctest::Approx(std::sin(3.0)));
    CHECK(product(9, 0) != doctest::Approx(product(0, 9)).epsilon(0.01));
}

TEST_CASE("attention is that of double precision") {
    for (const std::size_t head : {2u, 24u, 64u})
        for (const std::size_t positions : {1u, 2u, 33u}) {
            const std::size_t stride = 2 * head; // of two heads, the second
            const auto query = random_floats(head, 3);
            const auto keys = random_floats(positions * stride, 4);
            const auto values = random_floats(positions * stride, 5);
            std::vector<float> scores(positions), out(head);
            attend(query, keys.data() + head, values.data() + head, stride, scores, out);
            std::vector<double> weight(positions);
            double sum = 0;
            for (std::size_t p = 0; p < positions; ++p) {
                for (std::size_t i = 0; i < head; ++i)
                    weight[p] += double{query[i]} * keys[p * stride + head + i];
                sum += weight[p] = std::exp(weight[p] / std::sqrt(static_cast<double>(head)));
            }
            for (std::size_t i = 0; i < head; ++i) {
                double right = 0;
                for (std::size_t p = 0; p < positions; ++p)
                    right += weight[p] / sum * values[p * stride + head + i];
                CHECK(out[i] == doctest::Approx(right).epsilon(1e-5));
            }
        }
    std::vector<float> large{1000, 999, -1000};
    softmax(large);
    CHECK(large[0] == doctest::Approx(1 / (1 + std::exp(-1.0))));
    CHECK(large[2] == 0);
}

TEST_CASE("a damaged file is refused, and the error names what is wrong") {
    using contents = s3::safetensors::contents;
    using memory = std::vector<std::vector<std::byte>>;
    CHECK(said_of([](contents&, memory&) {}).empty());
    CHECK(has(said_of([](contents& f, memory&) { f.metadata.erase("heads"); }), "heads: metadata"));
    for (const char* text : {"", "4x", "-4", "99999999999999999999999", " 4"})
        CHECK(has(said_of([&](contents& f, memory&) { f.metadata["heads"] = text; }), "heads"));
    CHECK(has(said_of([](contents& f, memory&) { f.metadata["heads"] = "5"; }), "heads"));
    CHECK(has(said_of([](contents& f, memory&) { f.metadata["key_value_heads"] = "3"; }),
              "key_value_heads"));
    for (const char* text : {"3", "1", "9999999"})
        CHECK(has(said_of([&](contents& f, memory&) { f.metadata["layers"] = text; }), "tensors"));
    CHECK(has(said_of([](contents& f, memory&) { f.metadata["width"] = "32"; }),
              "model.embed_tokens.weight: columns"));
    CHECK(has(said_of([](contents& f, memory&) { f.metadata["hidden"] = "48"; }),
              "model.layers.0.mlp.gate_proj.weight: rows"));
    const std::string norm = "model.layers.1.input_layernorm.weight";
    const std::string query = "model.layers.1.self_attn.q_proj.weight";
    CHECK(has(said_of([&](contents& f, memory&) {
                  auto node = f.tensors.extract(norm);
                  node.key() = "other";
                  f.tensors.insert(std::move(node));
              }),
              (norm + ": no such tensor").c_str()));
    for (const float bad : {std::nanf(""), HUGE_VALF})
        CHECK(has(said_of([&](contents& f, memory& m) {
                      std::vector<float> values(tiny().width, 1.0f);
                      values[3] = bad;
                      f.tensors[norm].data =
                          m.emplace_back(s3::safetensors::to_bytes(std::span<const float>(values)));
                  }),
                  (norm + ": weight[3]").c_str()));
    // Every scale of the record as NaN; every truncation; another format.
    const auto changed = [&](auto&& change) {
        return said_of([&](contents& f, memory& m) {
            auto& data = f.tensors[query].data;
            auto& record = m.emplace_back(data.begin(), data.end());
            change(record);
            data = record;
        });
    };
    for (std::size_t row = 0; row < tiny().width; ++row)
        CHECK(has(changed([&](auto& r) { std::memset(&r[64 + 4 * row], 0xff, 4); }),
                  (query + ": scale").c_str()));
    const std::size_t size = 64 + 4 * 24 + 24 * 24 * 3 / 8;
    for (std::size_t length = 0; length < size; ++length)
        CHECK(has(changed([&](auto& r) { r.resize(length); }), query.c_str()));
    CHECK(has(changed([&](auto& r) { r[4] = std::byte{2}; }), "record.format"));
    CHECK(!read<s3::ternary>(s3::safetensors::read(write(random_weights()).value()).value()));
}

TEST_CASE("tokens are drawn as often as temperature and limit say") {
    const std::vector<float> logits{0, 1, 3, 2};
    CHECK(sampler({0, 0, 1})(logits) == 2);
    sampler two({1, 2, 1}), again({1, 2, 1}), all({0.5f, 0, 9});
    std::array<int, 4> of_two{}, of_all{};
    for (int i = 0; i < 20'000; ++i) {
        const auto token = two(logits);
        CHECK(again(logits) == token);
        ++of_two[token];
        ++of_all[all(logits)];
    }
    CHECK(of_two[0] + of_two[1] == 0);
    CHECK(of_two[2] == doctest::Approx(20'000 / (1 + std::exp(-1.0))).epsilon(0.02));
    const double sum = 1 + std::exp(2.0) + std::exp(6.0) + std::exp(4.0);
    CHECK(of_all[3] == doctest::Approx(20'000 * std::exp(4.0) / sum).epsilon(0.05));
}
