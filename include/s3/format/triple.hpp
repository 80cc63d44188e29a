#pragma once
// One weight as the triple of the S3 paper: value = sign · sparse · 2^shift (Li et al., NeurIPS
// 2021, section 3). `sparse` is 1 where the weight is present and 0 where it is pruned.

#include <bit>

namespace s3 {

struct triple {
    int sign = 1;   ///< +1 or −1
    int sparse = 0; ///< 0 if the weight is zero, whatever sign and shift are
    int shift = 0;  ///< the exponent s ≥ 0 of 2^s

    [[nodiscard]] constexpr int value() const noexcept {
        return sparse == 0 ? 0 : sign * (1 << shift);
    }
    friend constexpr bool operator==(const triple&, const triple&) = default;
};

/// The triple of ±2^s or 0. Precondition: |value| is zero or a power of two.
[[nodiscard]] constexpr triple to_triple(int value) noexcept {
    if (value == 0)
        return {};
    const unsigned magnitude = static_cast<unsigned>(value < 0 ? -value : value);
    return {value < 0 ? -1 : 1, 1, static_cast<int>(std::bit_width(magnitude)) - 1};
}

} // namespace s3
