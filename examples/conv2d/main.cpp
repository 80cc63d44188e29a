// A convolution of images: PyTorch's filter becomes a packed one, an image with a zero point is
// convolved with stride, padding and groups, and every sum is checked by plain loops.

#include <s3/shift.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

/// The sum of one output by the definition, in which the padding counts as zero (the zero point).
int expected(const std::vector<int>& oihw, const s3::filter_shape& f, const s3::conv_options& o,
             const s3::image_view<const std::uint8_t>& x, std::size_t channel, std::size_t row,
             std::size_t column) {
    int sum = 0;
    const std::size_t group = channel / (f.out_channels / o.groups);
    for (std::size_t c = 0; c < f.in_channels; ++c)
        for (std::size_t i = 0; i < f.height; ++i)
            for (std::size_t j = 0; j < f.width; ++j) {
                const std::size_t r = row * o.stride.height + i - o.padding.height;
                const std::size_t s = column * o.stride.width + j - o.padding.width;
                const bool inside = r < x.height && s < x.width; // wraps around below zero
                const int pixel =
                    inside ? x.data[x.index(0, r, s, group * f.in_channels + c)] : o.padding_value;
                sum += oihw[((channel * f.in_channels + c) * f.height + i) * f.width + j] * pixel;
            }
    return sum;
}

int convolve(const char* what, const s3::filter_shape& shape, const s3::conv_options& options) {
    const std::size_t channels = shape.in_channels * options.groups;
    std::vector<int> weights; // [out][in][height][width], as PyTorch has them
    for (std::size_t i = 0; i < shape.out_channels * shape.columns(); ++i)
        weights.push_back(std::array{0, 1, -2, 4, -1, 2, -4}[i * 5 % 7]);
    std::vector<std::uint8_t> pixels; // [1][9][8][channels], NHWC
    for (std::size_t i = 0; i < 9 * 8 * channels; ++i)
        pixels.push_back(static_cast<std::uint8_t>(i * 37));

    const auto filter = s3::pack_filter<s3::shift3>(weights, shape, s3::filter_order::oihw);
    if (!filter)
        return 1;
    const auto prepared = s3::prepare<std::uint8_t>(*filter, options); // once
    if (!prepared)
        return 1;
    const auto out = prepared->output_shape(9, 8);
    if (!out)
        return 1;
    const s3::image_view<const std::uint8_t> x{pixels, 1, 9, 8, channels};
    std::vector<std::int32_t> sums(out->height * out->width * shape.out_channels);
    const s3::image_view y{sums, 1, out->height, out->width, shape.out_channels};
    if (const auto done = s3::conv2d(*prepared, x, y); !done) {
        std::puts(done.error().message().c_str());
        return 1;
    }

    bool right = true;
    for (std::size_t r = 0; r < y.height; ++r)
        for (std::size_t c = 0; c < y.width; ++c)
            for (std::size_t m = 0; m < y.channels; ++m)
                right &= sums[y.index(0, r, c, m)] == expected(weights, shape, options, x, m, r, c);
    std::printf("%-21s 9x8x%zu -> %zux%zux%zu: %s\n", what, channels, y.height, y.width, y.channels,
                right ? "all sums right" : "WRONG");
    return right ? 0 : 1;
}

} // namespace

int main() {
    return convolve("3x3", {8, 3, 3, 4}, {}) +
           convolve("stride 2, padding 1", {8, 3, 3, 4}, {.stride = 2, .padding = 1}) +
           convolve("padded by 128", {8, 3, 3, 4}, {.padding = 1, .padding_value = 128}) +
           convolve("depthwise", {6, 3, 3, 1}, {.padding = 1, .groups = 6}) +
           convolve("1x5, along the rows", {4, 1, 5, 3}, {.padding = {0, 2}});
}
