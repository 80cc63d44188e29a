#pragma once
// What a transformer has beside its matrices, in plain loops over one vector at a time. Sums are
// kept in 16 parts, which compilers make vectors of.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace lm {

/// y = x / √(mean of x² + ε) ∘ weight (Zhang and Sennrich 2019).
inline void rms_norm(std::span<const float> x, std::span<const float> weight, float epsilon,
                     std::span<float> y) {
    double squares = 0;
    for (const float v : x)
        squares += double{v} * v;
    const double mean = squares / static_cast<double>(x.size());
    const auto factor = static_cast<float>(1 / std::sqrt(mean + epsilon));
    for (std::size_t i = 0; i < x.size(); ++i)
        y[i] = x[i] * factor * weight[i];
}

/// Rotary positions (Su et al. 2021): the pair (i, i + half) of a head turns by the angle
/// position · base^(−i / half), so that products of queries and keys depend on their distance.
class rotary {
public:
    rotary() = default;
    rotary(std::size_t head_width, double base, std::size_t positions)
        : half_(head_width / 2), turns_(half_ * positions) {
        for (std::size_t p = 0; p < positions; ++p)
            for (std::size_t i = 0; i < half_; ++i) {
                const double exponent = -static_cast<double>(i) / static_cast<double>(half_);
                const double angle = static_cast<double>(p) * std::pow(base, exponent);
                turns_[p * half_ + i] = {static_cast<float>(std::cos(angle)),
                                         static_cast<float>(std::sin(angle))};
            }
    }
    /// Turns each head of a vector of heads.
    void operator()(std::span<float> heads, std::size_t position) const {
        const turn* const turns = turns_.data() + position * half_;
        for (float* x = heads.data(); x != heads.data() + heads.size(); x += 2 * half_)
            for (std::size_t i = 0; i < half_; ++i) {
                const float a = x[i], b = x[i + half_];
                x[i] = a * turns[i].cosine - b * turns[i].sine;
                x[i + half_] = b * turns[i].cosine + a * turns[i].sine;
            }
    }

private:
    struct turn {
        float cosine, sine;
    };
    std::size_t half_ = 0;
    std::vector<turn> turns_;
};

[[nodiscard]] inline float dot(const float* a, const float* b, std::size_t size) {
    constexpr std::size_t parts = 16;
    float sum[parts] = {};
    std::size_t i = 0;
    for (; i + parts <= size; i += parts)
        for (std::size_t j = 0; j < parts; ++j)
            sum[j] += a[i + j] * b[i + j];
    for (; i < size; ++i)
        sum[0] += a[i] * b[i];
    float total = 0;
    for (const float part : sum)
        total += part;
    return total;
}

/// x becomes exp(x) / Σ exp(x), without overflow.
inline void softmax(std::span<float> x) {
    const float largest = *std::max_element(x.begin(), x.end());
    float sum = 0;
    for (float& v : x) {
        v = std::exp(v - largest);
        sum += v;
    }
    for (float& v : x)
        v /= sum;
}

/// One head's weighted sum of values: the weights are the softmax of query · key / √width over
/// `scores.size()` positions, whose keys and values begin `stride` floats apart.
inline void attend(std::span<const float> query, const float* keys, const float* values,
                   std::size_t stride, std::span<float> scores, std::span<float> out) {
    const float scale = 1 / std::sqrt(static_cast<float>(query.size()));
    for (std::size_t p = 0; p < scores.size(); ++p)
        scores[p] = scale * dot(query.data(), keys + p * stride, query.size());
    softmax(scores);
    std::fill(out.begin(), out.end(), 0.0f);
    for (std::size_t p = 0; p < scores.size(); ++p)
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] += scores[p] * values[p * stride + i];
}

} // namespace lm
