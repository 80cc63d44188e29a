#pragma once
// An integer network as data: what an importer makes, a model file holds and net/program.hpp runs.
//
// A *value* is a batch of images of unsigned bytes, NHWC; a vector is an image of 1 × 1. Its real
// numbers are step·(q − zero_point), and q has at most `bits` bits. Value 0 is the input of the
// network; layer i computes value i + 1 from earlier ones, the last layer its output.
//
// A linear layer is a convolution: of a 1 × 1 image, or, after a flatten, with a filter as large as
// the image. So there are three kinds of layer:
//
//   convolution   packed weights, an epilogue, an optional residual that is added (epilogue.hpp)
//   pooling       largest or mean activation under a window; global: a window as large as the image
//   addition      of two values of the same shape, each at its own scale
//
// and a fourth that may only be the last: float_linear, which promises no bits. The output's real
// numbers are output_scale·y where the last layer is `raw` (y its int32 sums), else those of its
// value. net/check.hpp says what a network must keep to.

#include <s3/format/list.hpp>
#include <s3/ops/epilogue.hpp>
#include <s3/pack/pack.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace s3::net {

/// Shape and meaning of a value, without the batch.
struct value_info {
    std::size_t height = 1;
    std::size_t width = 1;
    std::size_t channels = 0;
    int bits = 8;
    float step = 1;
    int zero_point = 0;

    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return saturating_mul(saturating_mul(height, width), channels);
    }
    /// The largest q.
    [[nodiscard]] constexpr int top() const noexcept { return (1 << bits) - 1; }
    friend constexpr bool operator==(const value_info&, const value_info&) = default;
};

/// Weight formats that a network may use.
template <weight_format... F>
struct formats {
    using filter = std::variant<packed_filter<F>...>;
    template <class G>
    static constexpr bool has = (std::is_same_v<F, G> || ...);
};
using all_formats =
    formats<shift2, shift3, shift4, shift5, dense2, dense3, dense4, dense5, int8_weights>;

/// A filter in any format.
using any_filter = all_formats::filter;

[[nodiscard]] inline const filter_shape& shape_of(const any_filter& filter) {
    return std::visit([](const auto& f) -> const filter_shape& { return f.shape; }, filter);
}

/// The sum's q is added round((r − zero_point of value)·scale).
struct residual_input {
    std::size_t value = 0;
    float scale = 1;
};

struct convolution {
    std::size_t input = 0;
    any_filter filter;
    conv_options options;           ///< padding_value is the input's zero point
    std::vector<float> scale;       ///< per output channel; empty where `raw`
    std::vector<std::int32_t> bias; ///< per output channel, or empty
    std::optional<residual_input> residual;
    /// Limits of the output byte, within its bits: ReLU has low = zero_point, ReLU6 a high too.
    std::int32_t low = 0;
    std::int32_t high = 255;
    bool raw = false; ///< the last layer alone: int32 sums plus bias instead of bytes
};

enum class pooling_kind : unsigned char { max, mean };

/// max: q of the largest; mean: round(Σ(q − zero_point)·scale) + zero_point of the output, clamped
/// to its bits. Padding counts as the zero point for `mean` (and in its divisor, which `scale`
/// holds), and never wins for `max`.
struct pooling {
    std::size_t input = 0;
    pooling_kind kind = pooling_kind::max;
    extent window = 1;
    extent stride = 1;
    extent padding = 0;
    float scale = 1; ///< of `mean`: step_in / (step_out · window size)
};

/// clamp(round((a − za)·a_scale) + zero point + round((b − zb)·b_scale), low, high)
struct addition {
    std::size_t a = 0;
    std::size_t b = 0;
    float a_scale = 1;
    float b_scale = 1;
    std::int32_t low = 0;
    std::int32_t high = 255;
};

/// The last layer in float: y = bias + weights·x, x the real numbers of the whole input image. The
/// order of its sums is the compiler's.
struct float_linear {
    std::size_t input = 0;
    std::vector<float> weights = {}; ///< [channels of the output][size of the input]
    std::vector<float> bias = {};    ///< per output channel, or empty
};

struct layer {
    std::string name;
    std::variant<convolution, pooling, addition, float_linear> operation;
};

struct model {
    std::vector<value_info> values; ///< one more than there are layers
    std::vector<layer> layers;
    float output_scale = 1;

    [[nodiscard]] const value_info& input() const noexcept { return values.front(); }
    [[nodiscard]] const value_info& output() const noexcept { return values.back(); }
};

/// What comes out of the last layer.
enum class output_kind : unsigned char { bytes, sums, real };

/// Precondition: there is a layer.
[[nodiscard]] inline output_kind output_of(const model& m) {
    const auto& last = m.layers.back().operation;
    if (std::holds_alternative<float_linear>(last))
        return output_kind::real;
    const auto* conv = std::get_if<convolution>(&last);
    return conv != nullptr && conv->raw ? output_kind::sums : output_kind::bytes;
}

/// Bytes of all packed weights.
[[nodiscard]] inline std::size_t weight_bytes(const model& m) {
    std::size_t bytes = 0;
    for (const layer& l : m.layers)
        if (const auto* conv = std::get_if<convolution>(&l.operation))
            bytes +=
                std::visit([](const auto& f) { return f.matrix.stream().size(); }, conv->filter);
        else if (const auto* linear = std::get_if<float_linear>(&l.operation))
            bytes += linear->weights.size() * sizeof(float);
    return bytes;
}

} // namespace s3::net
