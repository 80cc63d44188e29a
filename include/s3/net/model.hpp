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
//   convolution   packed weights, an epilogue, an optional residual that is added (see
//   epilogue.hpp) pooling       largest or mean activation under a window; global: a window as
//   large as the image addition      of two values of the same shape, each at its own scale
//
// The output's real numbers are output_scale·y, y the last layer's int32 sums (`raw`) or bytes.

#include <s3/ops/epilogue.hpp>
#include <s3/pack/pack.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
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
    friend constexpr bool operator==(const value_info&, const value_info&) = default;
};

/// A filter in any format.
using any_filter =
    std::variant<packed_filter<shift2>, packed_filter<shift3>, packed_filter<shift4>,
                 packed_filter<shift5>, packed_filter<dense2>, packed_filter<dense3>,
                 packed_filter<dense4>, packed_filter<dense5>, packed_filter<int8_weights>>;

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

/// clamp(round((a − za)·a_scale) + round((b − zb)·b_scale) + zero point, low, high)
struct addition {
    std::size_t a = 0;
    std::size_t b = 0;
    float a_scale = 1;
    float b_scale = 1;
    std::int32_t low = 0;
    std::int32_t high = 255;
};

struct layer {
    std::string name;
    std::variant<convolution, pooling, addition> operation;
};

struct model {
    std::vector<value_info> values; ///< one more than there are layers
    std::vector<layer> layers;
    float output_scale = 1;

    [[nodiscard]] const value_info& input() const noexcept { return values.front(); }
    [[nodiscard]] const value_info& output() const noexcept { return values.back(); }
};

} // namespace s3::net
