#pragma once
// The integer network at work: pixels in, int32 logits out, through the library's kernels alone.

#include "integer.hpp"

namespace fashion {

/// Prepares the kernels of one family once, then classifies any number of images. (The first and
/// the last layer have int8 weights, which only the `dot` family serves.)
class integer_runner {
public:
    static constexpr std::size_t batch = 32;

    integer_runner(const integer_network& net, s3::family family)
        : net_(net), first_(prepare(net.first, first_layer, s3::family::automatic)),
          linear_(checked(s3::prepare<std::uint8_t>(net.linear), "linear layer")) {
        for (std::size_t i = 0; i < net.inner.size(); ++i)
            inner_.push_back(prepare(net.inner[i], inner_layers[i], family));
    }

    /// `logits` holds `classes` numbers for each image.
    void run(std::span<const std::uint8_t> pixels, std::span<std::int32_t> logits) {
        constexpr std::size_t area = image_size * image_size;
        for (std::size_t done = 0; done * area < pixels.size(); done += batch) {
            const std::size_t count = std::min(batch, pixels.size() / area - done);
            run_batch(pixels.subspan(done * area, count * area),
                      logits.subspan(done * classes, count * classes));
        }
    }

private:
    using image = s3::image_view<const std::uint8_t>;

    void run_batch(std::span<const std::uint8_t> pixels, std::span<std::int32_t> logits) {
        const std::size_t count = logits.size() / classes;
        image x =
            convolve(first_, net_.first, {pixels, count, image_size, image_size, 1}, buffers_[0]);
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

    template <s3::weight_format F>
    static s3::prepared_filter<F, std::uint8_t>
    prepare(const integer_conv<F>& conv, const layer_shape& layer, s3::family family) {
        return checked(s3::prepare<std::uint8_t>(
                           conv.filter,
                           {.stride = static_cast<std::size_t>(layer.stride), .padding = 1},
                           {.kernels = family}),
                       "convolution");
    }

    /// The output lives in `buffer`.
    template <s3::weight_format F>
    static image convolve(const s3::prepared_filter<F, std::uint8_t>& filter,
                          const integer_conv<F>& conv, const image& x,
                          std::vector<std::uint8_t>& buffer) {
        const auto size = checked(filter.output_shape(x.height, x.width), "convolution");
        const std::size_t channels = filter.shape().out_channels;
        buffer.resize(x.batch * size.height * size.width * channels);
        check(s3::conv2d(
                  filter, x,
                  s3::image_view<std::uint8_t>{buffer, x.batch, size.height, size.width, channels},
                  {.scale = conv.multiplier, .bias = conv.bias}),
              "convolution");
        return {buffer, x.batch, size.height, size.width, channels};
    }

    const integer_network& net_;
    s3::prepared_filter<byte_format, std::uint8_t> first_;
    std::vector<s3::prepared_filter<format, std::uint8_t>> inner_;
    s3::prepared_matrix<byte_format, std::uint8_t> linear_;
    std::array<std::vector<std::uint8_t>, 2> buffers_;
    std::vector<std::int32_t> scores_;
};

/// In percent.
[[nodiscard]] inline double accuracy(std::span<const std::int32_t> logits,
                                     const torch::Tensor& labels) {
    const auto truth = span_of<std::int64_t>(labels);
    std::size_t right = 0;
    for (std::size_t n = 0; n < truth.size(); ++n) {
        const auto* first = logits.data() + n * classes;
        right += std::max_element(first, first + classes) - first == truth[n];
    }
    return 100.0 * static_cast<double>(right) / static_cast<double>(truth.size());
}

} // namespace fashion
