#pragma once
// Runs an exported network (export/cpp_header.hpp) on a machine without files, heap, exceptions and
// operating system. A freestanding C++20 compiler and float32 arithmetic (which may be in software)
// are enough. Weights stay packed in read-only memory and are unpacked one row at a time into
// scratch memory of the caller. Outputs are those of net/program.hpp, bit for bit.
//
// Images are bytes, NHWC, batch 1. Loops are plain and scalar and check nothing, because the
// exporter has proved every size and sum.

#include <s3/core/bitstream.hpp>
#include <s3/core/constant_matrix.hpp>
#include <s3/core/requantize.hpp>
#include <s3/format/integer.hpp>
#include <s3/format/shift.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace s3::embedded {

struct image_shape {
    std::size_t height, width, channels;
};

struct window_shape {
    std::size_t height, width;
    std::size_t stride_height = 1, stride_width = 1;
    std::size_t padding_height = 0, padding_width = 0;
    std::size_t dilation_height = 1, dilation_width = 1;
};

/// How a byte of an output is made: clamp(q + zero_point, low, high).
struct byte_range {
    std::int32_t zero_point = 0, low = 0, high = 255;

    [[nodiscard]] constexpr std::uint8_t clamp(std::int32_t q) const noexcept {
        q += zero_point;
        return static_cast<std::uint8_t>(q < low ? low : q > high ? high : q);
    }
};

/// A value that is requantized element by element, to be added to a layer's output or to become
/// one.
struct residual {
    const std::uint8_t* value = nullptr;
    float scale = 1;
    std::int32_t zero_point = 0;

    [[nodiscard]] constexpr std::int32_t operator[](std::size_t i) const noexcept {
        return value == nullptr ? 0 : scale_round(value[i] - zero_point, scale);
    }
};

/// The type that a row's weights are unpacked to.
template <weight_format F>
using unpacked =
    std::conditional_t<F::min_value >= -128 && F::max_value <= 127, std::int8_t, std::int32_t>;

/// What turns sums into outputs. `scale` is not used for int32 outputs; `bias` may be null.
struct epilogue {
    const float* scale = nullptr;
    const std::int32_t* bias = nullptr;
    std::uint8_t padding_value = 0; ///< the zero point of the input
    byte_range range;
};

namespace detail {

/// Calls f(h, w, tap) for each tap of an output pixel. Outside the image h or w is too large, since
/// numbers below zero wrap.
template <class Function>
constexpr void each_tap(const window_shape& f, std::size_t oh, std::size_t ow,
                        Function&& function) {
    for (std::size_t kh = 0, tap = 0; kh < f.height; ++kh)
        for (std::size_t kw = 0; kw < f.width; ++kw, ++tap)
            function(oh * f.stride_height + kh * f.dilation_height - f.padding_height,
                     ow * f.stride_width + kw * f.dilation_width - f.padding_width, tap);
}

/// Unpacks row m of a filter.
template <weight_format F>
constexpr void unpack_row(const std::uint8_t* stream, std::size_t m, std::size_t columns,
                          unpacked<F>* row) {
    for (std::size_t k = 0; k < columns; ++k)
        row[k] = static_cast<unpacked<F>>(F::value(layout::get<F::bits>(stream, m * columns + k)));
}

/// The sum of an output pixel, over `channels` of the input from the first one of a group on.
template <class W>
constexpr std::int32_t sum(const W* row, const window_shape& f, const image_shape& in,
                           const std::uint8_t* x, std::size_t channels, std::uint8_t padding_value,
                           std::size_t oh, std::size_t ow) {
    std::int32_t all = 0;
    each_tap(f, oh, ow, [&](std::size_t h, std::size_t w, std::size_t tap) {
        const W* weight = row + tap * channels;
        const W* const end = weight + channels;
        if (h < in.height && w < in.width)
            for (const std::uint8_t* from = x + (h * in.width + w) * in.channels; weight != end;)
                all += *weight++ * *from++;
        else if (padding_value != 0)
            while (weight != end)
                all += *weight++ * padding_value;
    });
    return all;
}

template <class Y>
constexpr void finish(std::int32_t sum, std::size_t m, std::size_t at, const epilogue& e,
                      const residual& added, Y* y) noexcept {
    const std::int32_t v = e.bias == nullptr ? sum : sum + e.bias[m];
    if constexpr (std::is_same_v<Y, std::uint8_t>)
        y[at] = e.range.clamp(scale_round(v, e.scale[m]) + added[at]);
    else
        y[at] = v;
}

} // namespace detail

/// A convolution with packed weights, [out channel][height][width][channel of a group]. Outputs of
/// type Y are std::uint8_t (sums plus bias, scaled and clamped) or std::int32_t (sums plus bias).
/// `row` has room for the weights of one output channel.
template <weight_format F, class Y>
constexpr void conv2d(const std::uint8_t* stream, const epilogue& c, const window_shape& f,
                      std::size_t groups, const image_shape& in, const image_shape& out,
                      const std::uint8_t* x, unpacked<F>* row, Y* y,
                      const residual& added = {}) noexcept {
    const std::size_t channels = in.channels / groups;
    const std::size_t columns = f.height * f.width * channels;
    for (std::size_t m = 0; m < out.channels; ++m) {
        detail::unpack_row<F>(stream, m, columns, row);
        const std::size_t first = m / (out.channels / groups) * channels;
        for (std::size_t oh = 0; oh < out.height; ++oh)
            for (std::size_t ow = 0; ow < out.width; ++ow) {
                const std::int32_t sum =
                    detail::sum(row, f, in, x + first, channels, c.padding_value, oh, ow);
                detail::finish(sum, m, (oh * out.width + ow) * out.channels + m, c, added, y);
            }
    }
}

/// A convolution of each channel by itself, into one channel, whose output takes the place of its
/// input `x` and is no larger. `kept` has room for the pixels of one output channel.
template <weight_format F>
constexpr void depthwise_in_place(const std::uint8_t* stream, const epilogue& c,
                                  const window_shape& f, const image_shape& in,
                                  const image_shape& out, std::uint8_t* x, unpacked<F>* row,
                                  std::uint8_t* kept, const residual& added = {}) noexcept {
    for (std::size_t m = 0; m < out.channels; ++m) {
        detail::unpack_row<F>(stream, m, f.height * f.width, row);
        std::size_t pixel = 0;
        for (std::size_t oh = 0; oh < out.height; ++oh)
            for (std::size_t ow = 0; ow < out.width; ++ow, ++pixel) {
                const std::int32_t sum = detail::sum(row, f, in, x + m, 1, c.padding_value, oh, ow);
                const std::int32_t v = c.bias == nullptr ? sum : sum + c.bias[m];
                kept[pixel] =
                    c.range.clamp(scale_round(v, c.scale[m]) + added[pixel * out.channels + m]);
            }
        for (std::size_t p = 0; p < pixel; ++p)
            x[p * out.channels + m] = kept[p];
    }
}

/// A convolution of one group whose weights are template constants, [out
/// channel][height·width·channel]. It needs no multiplication, and no memory for weights.
template <constant_matrix W, class Y>
constexpr void conv2d(const epilogue& c, const window_shape& f, const image_shape& in,
                      const image_shape& out, const std::uint8_t* x, Y* y,
                      const residual& added = {}) noexcept {
    for (std::size_t oh = 0; oh < out.height; ++oh)
        for (std::size_t ow = 0; ow < out.width; ++ow) {
            std::array<std::uint8_t, W.columns> window;
            detail::each_tap(f, oh, ow, [&](std::size_t h, std::size_t w, std::size_t tap) {
                const bool inside = h < in.height && w < in.width;
                const std::size_t from = (h * in.width + w) * in.channels;
                for (std::size_t i = 0; i < in.channels; ++i)
                    window[tap * in.channels + i] = inside ? x[from + i] : c.padding_value;
            });
            const auto sums = apply<W>(window);
            for (std::size_t m = 0; m < W.rows; ++m)
                detail::finish(sums[m], m, (oh * out.width + ow) * out.channels + m, c, added, y);
        }
}

/// The largest byte under each window. Padding never wins. `y` may be `x` if no window begins
/// before the place of its output.
constexpr void max_pool(const window_shape& f, const image_shape& in, const image_shape& out,
                        const std::uint8_t* x, std::uint8_t* y) noexcept {
    for (std::size_t oh = 0; oh < out.height; ++oh)
        for (std::size_t ow = 0; ow < out.width; ++ow)
            for (std::size_t c = 0; c < out.channels; ++c) {
                std::uint8_t largest = 0;
                detail::each_tap(f, oh, ow, [&](std::size_t h, std::size_t w, std::size_t) {
                    if (h < in.height && w < in.width) {
                        const std::uint8_t v = x[(h * in.width + w) * in.channels + c];
                        largest = v > largest ? v : largest;
                    }
                });
                y[(oh * out.width + ow) * out.channels + c] = largest;
            }
}

/// The mean under each window, requantized: Σ(q − zero_point of x)·scale. `y` may be `x` if no
/// window begins before the place of its output.
constexpr void mean_pool(const window_shape& f, const image_shape& in, const image_shape& out,
                         const std::uint8_t* x, std::int32_t zero_point, float scale,
                         const byte_range& range, std::uint8_t* y) noexcept {
    for (std::size_t oh = 0; oh < out.height; ++oh)
        for (std::size_t ow = 0; ow < out.width; ++ow)
            for (std::size_t c = 0; c < out.channels; ++c) {
                std::int32_t sum = 0;
                detail::each_tap(f, oh, ow, [&](std::size_t h, std::size_t w, std::size_t) {
                    if (h < in.height && w < in.width)
                        sum += x[(h * in.width + w) * in.channels + c] - zero_point;
                });
                y[(oh * out.width + ow) * out.channels + c] = range.clamp(scale_round(sum, scale));
            }
}

/// Requantizes two values of `size` bytes and adds them. `y` may be `a` or `b`.
constexpr void add(std::size_t size, const residual& a, const residual& b, const byte_range& range,
                   std::uint8_t* y) noexcept {
    for (std::size_t i = 0; i < size; ++i)
        y[i] = range.clamp(a[i] + b[i]);
}

/// Replaces `size` bytes by the entries of a table that they name. `y` may be `x`.
constexpr void look_up(std::size_t size, const std::uint8_t* table, const std::uint8_t* x,
                       std::uint8_t* y) noexcept {
    for (std::size_t i = 0; i < size; ++i)
        y[i] = table[x[i]];
}

/// The product of two values, requantized: (a − a_zero)·(b − b_zero)·scale. b advances by `b_step`
/// from one pixel to the next: by `channels`, or by 0 if it is one value per channel. `y` may be
/// `a`, and it may be `b` unless that is one value per channel.
constexpr void multiply(std::size_t pixels, std::size_t channels, const std::uint8_t* a,
                        std::int32_t a_zero, const std::uint8_t* b, std::int32_t b_zero,
                        std::size_t b_step, float scale, const byte_range& range,
                        std::uint8_t* y) noexcept {
    for (std::size_t p = 0; p < pixels; ++p)
        for (std::size_t c = 0; c < channels; ++c) {
            const std::size_t i = p * channels + c;
            y[i] = range.clamp(scale_round((a[i] - a_zero) * (b[p * b_step + c] - b_zero), scale));
        }
}

/// Requantizes a value of `channels` channels into the first ones of `y`, whose pixels have
/// `out_channels`.
constexpr void place(std::size_t pixels, std::size_t channels, std::size_t out_channels,
                     const residual& x, const byte_range& range, std::uint8_t* y) noexcept {
    for (std::size_t p = 0; p < pixels; ++p)
        for (std::size_t c = 0; c < channels; ++c)
            y[p * out_channels + c] = range.clamp(x[p * channels + c]);
}

/// Puts a border of zero points around an image, which begins at row `top` and column `left`. `y`
/// may be `x`, since it is written from its last byte to its first.
constexpr void pad(std::size_t top, std::size_t left, const image_shape& in, const image_shape& out,
                   const std::uint8_t* x, std::uint8_t zero_point, std::uint8_t* y) noexcept {
    y += out.height * out.width * out.channels;
    for (std::size_t row = out.height; row-- > 0;)
        for (std::size_t w = out.width; w-- > 0;)
            for (std::size_t c = out.channels; c-- > 0;) {
                // Above the image, and left of it, differences wrap to large numbers.
                const bool inside = row - top < in.height && w - left < in.width;
                *--y =
                    inside ? x[((row - top) * in.width + w - left) * in.channels + c] : zero_point;
            }
}

/// Repeats each pixel factor_height × factor_width times. `y` may be `x`, since it is written from
/// its last byte to its first.
constexpr void upsample(std::size_t factor_height, std::size_t factor_width, const image_shape& in,
                        const std::uint8_t* x, std::uint8_t* y) noexcept {
    const std::size_t height = in.height * factor_height, width = in.width * factor_width;
    y += height * width * in.channels;
    for (std::size_t row = height; row-- > 0;)
        for (std::size_t w = width; w-- > 0;)
            for (std::size_t c = in.channels; c-- > 0;)
                *--y = x[(row / factor_height * in.width + w / factor_width) * in.channels + c];
}

/// A last layer in float with weights [outputs][inputs]. It is the only function that promises no
/// bits.
constexpr void float_linear(const float* weights, const float* bias, std::size_t inputs,
                            std::size_t outputs, const std::uint8_t* x, float scale,
                            std::int32_t zero_point, float* y) noexcept {
    for (std::size_t m = 0; m < outputs; ++m) {
        float sum = 0;
        for (std::size_t k = 0; k < inputs; ++k)
            sum += static_cast<float>(x[k] - zero_point) * weights[m * inputs + k];
        y[m] = sum * scale + (bias == nullptr ? 0.0f : bias[m]);
    }
}

} // namespace s3::embedded
