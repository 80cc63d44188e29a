#pragma once
// What a model is for: tokens that continue a prompt; and how well one of bytes foresees a text.
// Errors are thrown as std::runtime_error.

#include "language_model.hpp"
#include "results.hpp"
#include "sample.hpp"

#include <cmath>
#include <functional>
#include <numbers>
#include <string_view>

namespace lm {

/// Continues sequence 0 by any number of tokens. Returns the logits behind the last.
[[nodiscard]] inline std::vector<float> read_prompt(language_model& model,
                                                    std::span<const std::uint32_t> tokens) {
    std::vector<float> logits(model.shape().vocabulary);
    std::vector<input> some;
    for (std::size_t at = 0; at < tokens.size(); at += some.size()) {
        some.clear();
        while (some.size() < model.options().batch && at + some.size() < tokens.size())
            some.push_back({0, tokens[at + some.size()]});
        const auto hidden = support::checked(model.forward(some), "prompt");
        if (at + some.size() == tokens.size())
            support::check(model.logits({hidden.data.last(hidden.columns), 1, hidden.columns},
                                        {std::span(logits), 1, logits.size()}),
                           "logits");
    }
    return logits;
}

inline void require_bytes(const language_model& model) {
    if (model.shape().vocabulary != 256)
        throw std::runtime_error("the model has " + std::to_string(model.shape().vocabulary) +
                                 " tokens, which are not bytes: give their numbers");
}

/// The tokens of a text, for a model whose tokens are bytes.
[[nodiscard]] inline std::vector<std::uint32_t> tokens_of(const language_model& model,
                                                          std::string_view text) {
    require_bytes(model);
    std::vector<std::uint32_t> tokens;
    for (const char c : text)
        tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
}

/// Calls say(token) for each of `count` tokens that continue `prompt`, which may not be empty.
inline void generate(language_model& model, std::span<const std::uint32_t> prompt,
                     std::size_t count, const sampling_options& options,
                     const std::function<void(std::uint32_t)>& say) {
    if (prompt.empty())
        throw std::runtime_error("prompt: it is empty");
    if (const std::size_t cache = model.options().cache; prompt.size() > cache)
        throw std::runtime_error("prompt: " + std::to_string(prompt.size()) +
                                 " tokens are more than the cache holds (" + std::to_string(cache) +
                                 ")");
    else if (count > cache - prompt.size() + 1)
        throw std::runtime_error("count: a prompt of " + std::to_string(prompt.size()) +
                                 " tokens and " + std::to_string(count) +
                                 " more do not fit the cache (" + std::to_string(cache) + ")");
    sampler next(options);
    model.clear();
    auto logits = read_prompt(model, prompt);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t token = next(logits);
        say(token);
        if (i + 1 < count)
            logits = read_prompt(model, std::span(&token, 1));
    }
}

/// Bits per byte on the first `windows` windows of a text, each as long as the model's context,
/// with the byte that follows: within a window, each byte is foreseen from those before it.
[[nodiscard]] inline double bits_per_byte(language_model& model, std::span<const std::byte> text,
                                          std::size_t windows) {
    const std::size_t length = model.shape().context, vocabulary = model.shape().vocabulary;
    require_bytes(model);
    if (windows == 0 || text.size() <= windows * length)
        throw std::runtime_error("the text has no " + std::to_string(windows) + " windows of " +
                                 std::to_string(length) + " bytes");
    std::vector<float> logits(length * vocabulary);
    std::vector<input> some;
    double bits = 0;
    for (std::size_t w = 0; w < windows; ++w) {
        const auto window = text.subspan(w * length, length + 1);
        model.clear();
        for (std::size_t at = 0; at < length; at += some.size()) {
            some.clear();
            while (some.size() < model.options().batch && at + some.size() < length)
                some.push_back({0, std::to_integer<std::uint32_t>(window[at + some.size()])});
            const auto hidden = support::checked(model.forward(some), "text");
            support::check(model.logits(hidden, {std::span(logits), some.size(), vocabulary}),
                           "logits");
            for (std::size_t i = 0; i < some.size(); ++i) {
                const auto row = std::span(logits).subspan(i * vocabulary, vocabulary);
                const float right = row[std::to_integer<std::size_t>(window[at + i + 1])];
                double sum = 0;
                for (const float l : row)
                    sum += std::exp(double{l} - right);
                bits += std::log2(sum);
            }
        }
    }
    return bits / static_cast<double>(windows * length);
}

} // namespace lm
