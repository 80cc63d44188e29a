// The model of examples/language_model: its cache against no cache, and what it refuses.

#include "weights.hpp"

#include "../../../examples/language_model/model.hpp"

#include <doctest/doctest.h>

#include <cstring>

namespace {

using namespace lm;
using namespace lm::test;

model<F> random_model(const model_options& options) {
    return model<F>::make(random_weights(), options).value();
}

/// The logits behind each token of a sequence that is fed `step` tokens at a time.
std::vector<float> all_logits(model<F>& m, const std::vector<input>& inputs, std::size_t step) {
    std::vector<float> all;
    for (std::size_t at = 0; at < inputs.size(); at += step) {
        const auto some = std::span(inputs).subspan(at, std::min(step, inputs.size() - at));
        const auto hidden = m.forward(some);
        REQUIRE(hidden);
        std::vector<float> logits(some.size() * m.shape().vocabulary);
        REQUIRE(m.logits(*hidden, {std::span(logits), some.size(), m.shape().vocabulary}));
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

std::vector<input> tokens(std::size_t count, std::size_t sequence, std::uint64_t seed) {
    s3::test::random random(seed);
    std::vector<input> all;
    for (std::size_t i = 0; i < count; ++i)
        all.push_back({sequence, static_cast<std::uint32_t>(random.below(tiny().vocabulary))});
    return all;
}

} // namespace

TEST_CASE("a sequence gives the same logits in whatever parts it comes, alone or among others") {
    const auto inputs = tokens(16, 0, 1);
    auto whole = random_model({1, 0, 16});
    const auto right = all_logits(whole, inputs, 16);
    for (const std::size_t step : {1u, 3u, 7u}) {
        auto parts = random_model({1, 0, step});
        CHECK(all_logits(parts, inputs, step) == right);
    }
    whole.clear();
    CHECK(all_logits(whole, inputs, 5) == right);

    // Three sequences, whose tokens take turns; the second is the one above.
    const auto first = tokens(16, 0, 2), third = tokens(16, 2, 3);
    std::vector<input> mixed;
    for (std::size_t i = 0; i < 16; ++i)
        mixed.insert(mixed.end(), {first[i], {1, inputs[i].token}, third[i]});
    auto several = random_model({3, 0, 8});
    const auto all = all_logits(several, mixed, 8);
    const std::size_t n = tiny().vocabulary;
    for (std::size_t i = 0; i < 16; ++i)
        CHECK(std::memcmp(&all[(3 * i + 1) * n], &right[i * n], n * sizeof(float)) == 0);

    // What comes later changes nothing; what came before does.
    auto other = inputs;
    other[5].token ^= 1;
    whole.clear();
    const auto changed = all_logits(whole, other, 16);
    CHECK(std::memcmp(changed.data(), right.data(), 5 * n * sizeof(float)) == 0);
    for (std::size_t i = 5; i < 16; ++i)
        CHECK(std::memcmp(&changed[i * n], &right[i * n], n * sizeof(float)) != 0);
}

TEST_CASE("inputs that a model cannot take leave its sequences as they were") {
    auto m = random_model({2, 4, 8});
    const auto refused = [&](const std::vector<input>& inputs, const char* argument) {
        const auto hidden = m.forward(inputs);
        REQUIRE(!hidden);
        CHECK(has(hidden.error().message(), argument));
    };
    REQUIRE(m.forward(tokens(2, 0, 1)));
    refused(tokens(3, 0, 2), "cache");
    refused({{0, 1}, {0, 50}}, "token[1]");
    refused({{2, 1}}, "sequence");
    refused(tokens(9, 0, 1), "inputs");
    REQUIRE(m.forward(tokens(2, 0, 3)));
    refused({{0, 1}}, "cache");
    CHECK(m.forward(tokens(4, 1, 4)));
}

TEST_CASE("a file holds the model") {
    const auto bytes = write(random_weights()).value();
    const auto contents = s3::safetensors::read(bytes).value();
    CHECK(format_of(contents).value() == "shift3");
    auto weights = read<F>(contents);
    REQUIRE(weights);
    CHECK(write(*weights).value() == bytes);
    auto m = model<F>::make(*std::move(weights), {1, 0, 16}).value();
    auto right = random_model({1, 0, 16});
    CHECK(all_logits(m, tokens(16, 0, 1), 16) == all_logits(right, tokens(16, 0, 1), 16));
}
