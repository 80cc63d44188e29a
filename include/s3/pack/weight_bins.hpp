#pragma once
// A histogram of magnitudes in logarithmic bins. Each bin has the number of its weights, their sum
// and their sum of squares, from which the squared error of a scale follows bin by bin, without a
// pass over the weights. An octave [2^e, 2^(e+1)) is cut into 2^MantissaBits bins of equal width,
// by the leading bits of the mantissa.
//
// Weights come normalised: the largest is below 2. All weights below 2^−32 share the first bin: it
// would take 2^60 of them to matter beside the largest one.

#include <s3/core/bit_cast.hpp>

#include <cstddef>
#include <cstdint>

namespace s3::detail {

template <int MantissaBits>
class weight_bins {
public:
    static constexpr int octaves = 35; ///< for the exponents −32 … 2
    static constexpr std::size_t size = std::size_t{octaves} << MantissaBits;

    struct bin {
        double count = 0;
        double sum = 0;     ///< Σ|w|
        double squares = 0; ///< Σ w²
    };

    weight_bins() = default;
    /// Cuts the bins at √2·2^e instead, where nearest::log2 rounds. Only for one bin per octave.
    explicit constexpr weight_bins(bool at_root_of_two)
        : offset_(at_root_of_two ? octave - root_of_two_mantissa : 0) {}

    void add(double weight) noexcept {
        const auto pattern = bit_cast<std::uint64_t>(weight) & ~sign;
        const auto at = static_cast<std::int64_t>((pattern + offset_) >> shift) - lowest;
        bin& b = bins_[at > 0 ? at : 0];
        b.count += 1;
        b.sum += bit_cast<double>(pattern);
        b.squares += weight * weight;
    }
    [[nodiscard]] const bin& operator[](std::size_t i) const noexcept { return bins_[i]; }
    /// The magnitude at which a bin begins.
    [[nodiscard]] double low(std::size_t i) const noexcept {
        return bit_cast<double>(((i + std::uint64_t{lowest}) << shift) - offset_);
    }

private:
    static constexpr int shift = 52 - MantissaBits;
    static constexpr std::uint64_t sign = std::uint64_t{1} << 63;
    static constexpr std::uint64_t octave = std::uint64_t{1} << 52;
    static constexpr std::uint64_t root_of_two_mantissa =
        bit_cast<std::uint64_t>(2 * 0.70710678118654752) & (octave - 1);
    static constexpr std::int64_t lowest = std::int64_t{1023 - 32} << MantissaBits;

    std::uint64_t offset_ = 0;
    bin bins_[size];
};

} // namespace s3::detail
