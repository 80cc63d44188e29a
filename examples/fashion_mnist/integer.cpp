// The integer network at work: pixels in, logits out, through the library's kernels alone.

#include "integer.hpp"

namespace fashion {

namespace {

using image = s3::image_view<const std::uint8_t>;

template <s3::weight_format F>
s3::prepared_filter<F, std::uint8_t> prepare(const integer_conv<F>& conv, const layer_shape& layer,
                                             s3::family family) {
    return checked(s3::prepare<std::uint8_t>(conv.filter, {.stride = layer.stride, .padding = 1},
                                             {.kernels = family}),
                   "convolution");
}

/// The output lives in `buffer`.
template <s3::weight_format F>
image convolve(const s3::prepared_filter<F, std::uint8_t>& filter, const integer_conv<F>& conv,
               const image& x, std::vector<std::uint8_t>& buffer) {
    const auto size = checked(filter.output_shape(x.height, x.width), "convolution");
    const std::size_t channels = filter.shape().out_channels;
    buffer.resize(x.batch * size.height * size.width * channels);
    check(
        s3::conv2d(filter, x,
                   s3::image_view<std::uint8_t>{buffer, x.batch, size.height, size.width, channels},
                   {.scale = conv.multiplier, .bias = conv.bias}),
        "convolution");
    return {buffer, x.batch, size.height, size.width, channels};
}

} // namespace

integer_runner::integer_runner(const integer_network& net, s3::family family)
    : net_(net), first_(prepare(net.first, first_layer, s3::family::automatic)),
      linear_(checked(s3::prepare<std::uint8_t>(net.linear), "linear layer")) {
    for (std::size_t i = 0; i < net.inner.size(); ++i)
        inner_.push_back(prepare(net.inner[i], inner_layers[i], family));
}

void integer_runner::run(std::span<const std::uint8_t> pixels, std::span<std::int32_t> logits) {
    constexpr std::size_t area = image_size * image_size;
    for (std::size_t done = 0; done * area < pixels.size(); done += batch) {
        const std::size_t count = std::min(batch, pixels.size() / area - done);
        run_batch(pixels.subspan(done * area, count * area),
                  logits.subspan(done * classes, count * classes));
    }
}

void integer_runner::run_batch(std::span<const std::uint8_t> pixels,
                               std::span<std::int32_t> logits) {
    const std::size_t count = logits.size() / classes;
    image x = convolve(first_, net_.first, {pixels, count, image_size, image_size, 1}, buffers_[0]);
    for (std::size_t i = 0; i < inner_.size(); ++i)
        x = convolve(inner_[i], net_.inner[i], x, buffers_[(i + 1) % 2]);

    const std::size_t positions = x.height * x.width;
    scores_.resize(count * positions * classes);
    check(s3::matmul(linear_, x.data, scores_), "linear layer");
    for (std::size_t n = 0; n < count; ++n)
        for (std::size_t c = 0; c < classes; ++c) {
            std::int32_t sum = net_.linear_bias[c];
            for (std::size_t p = 0; p < positions; ++p)
                sum += scores_[(n * positions + p) * classes + c];
            logits[n * classes + c] = sum;
        }
}

} // namespace fashion
