#pragma once
// How weights move during training, measured on discrete (or float) weights at two moments.
//
// A weight is in one of three states: −, 0, +. `transitions` counts moves between them. A sign
// changes directly (− ↔ +) or by way of zero, which only a history can tell: `sign_history` keeps
// each weight's last sign and whether it ever changed, in one byte per weight of the host's memory.

#include <s3/core/error.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace s3 {

/// Float and integer weights, which are counted by their sign; −0 and NaN count as zero.
template <class T>
concept signed_number = std::floating_point<T> || std::signed_integral<T>;

namespace detail {
/// The state of a weight: 0 if it is negative, 1 if zero, 2 if positive.
template <signed_number T>
[[nodiscard]] constexpr std::size_t state(T w) noexcept {
    return static_cast<std::size_t>(1 + (w > 0) - (w < 0));
}

[[nodiscard]] constexpr double ratio(std::size_t part, std::size_t whole) noexcept {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}
} // namespace detail

/// The share of zeros among `weights`, in [0, 1].
template <signed_number T>
[[nodiscard]] double share_of_zeros(std::span<const T> weights) noexcept {
    std::size_t zeros = 0;
    for (const T w : weights)
        zeros += detail::state(w) == 1;
    return detail::ratio(zeros, weights.size());
}

/// count[i][j] is the number of weights that went from state i to state j; 0, 1, 2 stand for −, 0,
/// +.
struct transitions {
    std::array<std::array<std::size_t, 3>, 3> count{};

    [[nodiscard]] constexpr std::size_t total() const noexcept {
        std::size_t sum = 0;
        for (const auto& row : count)
            for (const std::size_t n : row)
                sum += n;
        return sum;
    }
    /// The number of weights that went from − to + or from + to − directly.
    [[nodiscard]] constexpr std::size_t direct_flips() const noexcept {
        return count[0][2] + count[2][0];
    }
    /// The number of weights that were zero and are no longer.
    [[nodiscard]] constexpr std::size_t revived() const noexcept {
        return count[1][0] + count[1][2];
    }
    /// The number of weights that were not zero and now are.
    [[nodiscard]] constexpr std::size_t pruned() const noexcept {
        return count[0][1] + count[2][1];
    }
};

/// The moves of all weights between two moments. Errors: spans of unequal size.
template <signed_number T>
result<transitions> count_transitions(std::span<const T> before, std::span<const T> after) {
    if (before.size() != after.size())
        return error(errc::shape_mismatch, "after").got(after.size()).needs(before.size());
    transitions t;
    for (std::size_t i = 0; i < before.size(); ++i)
        ++t.count[detail::state(before[i])][detail::state(after[i])];
    return t;
}

/// A history in one byte per weight, in the host's memory, which must be zero before the first
/// `update`.
class sign_history {
public:
    explicit sign_history(std::span<std::uint8_t> bytes) noexcept : bytes_(bytes) {}

    /// Takes the weights of this moment. Returns how many now have the opposite of their last sign,
    /// whether directly or after zeros in between.
    template <signed_number T>
    result<std::size_t> update(std::span<const T> weights) {
        if (weights.size() != bytes_.size())
            return error(errc::shape_mismatch, "weights").got(weights.size()).needs(bytes_.size());
        std::size_t flips = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const std::size_t now = detail::state(weights[i]);
            if (now == 1)
                continue;
            const std::uint8_t sign = now == 0 ? negative : positive;
            const bool flip = (bytes_[i] & (negative | positive) & ~sign) != 0;
            flips += flip;
            bytes_[i] =
                static_cast<std::uint8_t>(sign | (bytes_[i] & flipped) | (flip ? flipped : 0));
        }
        return flips;
    }

    /// The share of weights that never had both signs.
    [[nodiscard]] double never_flipped() const noexcept {
        std::size_t never = 0;
        for (const std::uint8_t b : bytes_)
            never += (b & flipped) == 0;
        return detail::ratio(never, bytes_.size());
    }

private:
    static constexpr std::uint8_t negative = 1, positive = 2, flipped = 4;
    std::span<std::uint8_t> bytes_;
};

} // namespace s3
