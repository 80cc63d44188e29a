#pragma once
// Which token comes next: drawn from the model's probabilities, made sharper or flatter by a
// temperature, and limited to the most probable tokens. The same seed gives the same tokens.

#include "layers.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

namespace lm {

struct sampling_options {
    float temperature = 0.8f; ///< 0: always the most probable token
    std::size_t top = 40;     ///< draws among so many tokens; 0: among all
    std::uint64_t seed = 1;
};

class sampler {
public:
    explicit sampler(const sampling_options& o) : options_(o), random_(o.seed) {}

    [[nodiscard]] std::uint32_t operator()(std::span<const float> logits) {
        order_.resize(logits.size());
        std::iota(order_.begin(), order_.end(), 0u);
        const bool greedy = options_.temperature <= 0;
        const std::size_t top = greedy ? 1 : options_.top == 0 ? logits.size() : options_.top;
        const std::size_t count = std::min(top, logits.size());
        std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(count),
                          order_.end(), [&](std::uint32_t a, std::uint32_t b) {
                              return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
                          });
        if (greedy)
            return order_[0];
        weights_.resize(count);
        for (std::size_t i = 0; i < count; ++i)
            weights_[i] = logits[order_[i]] / options_.temperature;
        softmax(weights_);
        // 53 random bits, so that every library of C++ draws the same.
        double left = static_cast<double>(random_() >> 11) * 0x1p-53;
        for (std::size_t i = 0; i + 1 < count; ++i)
            if ((left -= double{weights_[i]}) < 0)
                return order_[i];
        return order_[count - 1];
    }

private:
    sampling_options options_;
    std::mt19937_64 random_;
    std::vector<std::uint32_t> order_;
    std::vector<float> weights_;
};

} // namespace lm
