#pragma once
// Proofs that sums cannot overflow. A sum of K products w·x fits an accumulator if K times the
// extreme products fit. Where K is too large for that, the real Σ|w| of a row, which `pack`
// records, proves more.

#include <s3/format/activation.hpp>
#include <s3/format/weight_format.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>

namespace s3 {

template <integer_activation X>
inline constexpr int max_abs_activation = std::max(-int{std::numeric_limits<X>::min()},
                                                   int{std::numeric_limits<X>::max()});

/// The largest depth K for which every sum of K products fits `Acc`, whatever the weights are.
/// `activation_bits` < 8 promises that activations use only that many bits of their type.
template <weight_format F, integer_activation X, std::signed_integral Acc = std::int32_t>
[[nodiscard]] constexpr std::int64_t max_depth(int activation_bits = 8) noexcept {
    const int shrink = 8 - activation_bits;
    const std::int64_t x_low = std::int64_t{std::numeric_limits<X>::min()} / (1 << shrink);
    const std::int64_t x_high = std::int64_t{std::numeric_limits<X>::max()} >> shrink;
    const std::int64_t corners[] = {F::min_value * x_low, F::min_value * x_high,
                                    F::max_value * x_low, F::max_value * x_high};
    const std::int64_t low = *std::min_element(std::begin(corners), std::end(corners));
    const std::int64_t high = *std::max_element(std::begin(corners), std::end(corners));
    std::int64_t depth = std::numeric_limits<std::int64_t>::max();
    if (high > 0)
        depth = std::min(depth, std::int64_t{std::numeric_limits<Acc>::max()} / high);
    if (low < 0)
        depth = std::min(depth, std::int64_t{std::numeric_limits<Acc>::min()} / low);
    return depth;
}

/// Whether a row with Σ|w| = `abs_sum`, plus a bias, provably fits int32 for all activations of
/// `activation_bits` bits, of which there are 1 to 8.
template <integer_activation X>
[[nodiscard]] constexpr bool fits_int32(std::int64_t abs_sum, std::int64_t bias = 0,
                                        int activation_bits = 8) noexcept {
    constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();
    const std::int64_t room = limit - (bias < 0 ? -bias : bias);
    return room >= 0 && abs_sum <= room / (max_abs_activation<X> >> (8 - activation_bits));
}

} // namespace s3
