#pragma once
// Tokens a second of a model of random weights, on one core, beside what memory allows: a step of
// generation reads all packed weights once, however many sequences it continues.
// Errors are thrown as std::runtime_error.

#include "language_model.hpp"
#include "page.hpp"
#include "progress.hpp"
#include "results.hpp"

#include <limits.hpp>

#include <algorithm>
#include <vector>

namespace lm {

struct speed_options {
    std::vector<std::size_t> sequences{1, 8, 16};
    std::size_t prompt = 64;   ///< tokens of each sequence before generation
    std::size_t generate = 16; ///< tokens that each sequence is continued by
};

/// Bytes a second of one sequential read of memory that no cache holds.
class memory_reader {
public:
    memory_reader() : memory_(std::size_t{1} << 30, std::byte{1}) {}
    void read() {
        const support::stopwatch time;
        s3::bench::stream_read(memory_.data(), memory_.size());
        rates_.push_back(static_cast<double>(memory_.size()) / time.seconds());
    }
    /// The median of all reads.
    [[nodiscard]] double bytes_per_second() {
        std::sort(rates_.begin(), rates_.end());
        return rates_[rates_.size() / 2];
    }

private:
    std::vector<std::byte> memory_;
    std::vector<double> rates_;
};

/// Of so many sequences: tokens a second, of all of them together.
struct speed {
    std::size_t sequences;
    double prompt, generation;
};

/// Continues each of `count` sequences by `length` tokens that are as good as random.
inline void continue_all(language_model& model, std::size_t count, std::size_t length) {
    std::vector<input> some;
    for (std::size_t at = 0, all = count * length; at < all; at += some.size()) {
        some.clear();
        for (std::size_t i = at; i < all && some.size() < model.options().batch; ++i)
            some.push_back(
                {i % count, static_cast<std::uint32_t>(i * 7919 % model.shape().vocabulary)});
        (void)support::checked(model.forward(some), "prompt");
    }
}

[[nodiscard]] inline speed measure(language_model& model, std::size_t count, const speed_options& o,
                                   memory_reader& memory, const std::function<void()>& done) {
    const std::size_t vocabulary = model.shape().vocabulary;
    std::vector<float> logits(count * vocabulary);
    std::vector<input> inputs;
    for (std::size_t i = 0; i < count; ++i)
        inputs.push_back({i, 0});
    model.clear();
    memory.read();
    const support::stopwatch prompt_time;
    continue_all(model, count, o.prompt);
    const double prompt = prompt_time.seconds();
    done();
    double generation = 0;
    for (std::size_t step = 0; step < o.generate; ++step) {
        const support::stopwatch time;
        const auto hidden = support::checked(model.forward(inputs), "tokens");
        support::check(model.logits(hidden, {std::span(logits), count, vocabulary}), "logits");
        for (std::size_t i = 0; i < count; ++i) {
            const auto row = std::span(logits).subspan(i * vocabulary, vocabulary);
            inputs[i].token =
                static_cast<std::uint32_t>(std::max_element(row.begin(), row.end()) - row.begin());
        }
        generation += time.seconds();
        if (step % 4 == 0)
            memory.read();
        done();
    }
    const auto tokens = [count](std::size_t each) { return static_cast<double>(count * each); };
    return {count, tokens(o.prompt) / prompt, tokens(o.generate) / generation};
}

/// The limit and the bytes for a table of speeds.
[[nodiscard]] inline support::table speed_table(const std::vector<speed>& speeds,
                                                std::size_t weight_bytes, double bytes_per_second) {
    using support::text::fixed;
    support::table rows{{"sequences", "prompt, tokens/s", "generation, tokens/s", "streaming limit",
                         "share of it"}};
    for (const auto& s : speeds) {
        const double limit =
            static_cast<double>(s.sequences) * bytes_per_second / static_cast<double>(weight_bytes);
        rows.push_back({std::to_string(s.sequences), fixed(s.prompt, 1), fixed(s.generation, 2),
                        fixed(limit, 2), fixed(s.generation / limit, 2)});
    }
    return rows;
}

} // namespace lm
