#pragma once
// A described network with its real weights, computed in float, one image at a time. The importer
// calibrates activations on it and measures errors against it. Plain loops, NHWC.

#include <s3/import/description.hpp>
#include <s3/kernel/pooling.hpp>

#include <algorithm>
#include <span>

namespace s3::importing {

/// The shapes that follow from a description. Values are numbered as in `line`.
struct network_shapes {
    struct image {
        std::size_t height = 1, width = 1, channels = 0;
        [[nodiscard]] std::size_t size() const {
            return saturating_mul(saturating_mul(height, width), channels);
        }
        friend bool operator==(const image&, const image&) = default;
    };
    std::vector<image> values;
    std::vector<std::size_t> source;   ///< the value that line i reads, with a flatten passed over
    std::vector<filter_shape> filters; ///< of convolutions, linear layers and pooling
};

/// The shapes of all values, or an error that says which line does not fit.
inline described_result<network_shapes> infer(const description& d) {
    network_shapes s;
    s.values.push_back({d.height, d.width, d.channels});
    constexpr std::size_t limit = std::size_t{1} << 31;
    for (const line& t : d.lines) {
        const auto refuse = [&](const std::string& why) {
            return importing::refuse(t, why,
                                     error(errc::shape_mismatch, "description").at(t.number));
        };
        const bool flat = t.from > 0 && d.lines[t.from - 1].kind == line_kind::flatten;
        const std::size_t from = flat ? s.source[t.from - 1] : t.from;
        if (flat && t.kind != line_kind::linear && s.values[from].height * s.values[from].width > 1)
            return refuse("after 'flatten' comes 'linear'");
        const auto& in = s.values[from];
        if (in.size() > limit)
            return refuse("the image is too large");
        auto out = in;
        filter_shape filter;
        const bool linear = t.kind == line_kind::linear, conv = t.kind == line_kind::conv;
        if (conv && t.in != in.channels)
            return refuse("the image has " + std::to_string(in.channels) + " channels, not " +
                          std::to_string(t.in));
        if (conv && (t.in % t.groups != 0 || t.out % t.groups != 0))
            return refuse("the groups do not divide the channels");
        if (linear && !flat && in.height * in.width != 1)
            return refuse("an image must be flattened first");
        if (linear && t.in != in.size())
            return refuse("the input has " + std::to_string(in.size()) + " numbers, not " +
                          std::to_string(t.in));
        if (linear) {
            filter = {t.out, in.height, in.width, in.channels};
            out = {1, 1, t.out};
        } else if (conv || t.kind == line_kind::max_pool || t.kind == line_kind::mean_pool) {
            filter = {conv ? t.out : 1, t.kernel.height, t.kernel.width,
                      conv ? t.in / t.groups : 1};
            if (!conv && (t.padding.height >= t.kernel.height || t.padding.width >= t.kernel.width))
                return refuse("the padding is not smaller than the window");
            const auto size = output_extent(in.height, in.width, filter,
                                            {t.stride, t.padding, t.dilation, t.groups});
            if (!size)
                return refuse(size.error().message());
            out = {size->height, size->width, conv ? t.out : in.channels};
        } else if (t.kind == line_kind::global_mean) {
            out = {1, 1, in.channels};
        } else if (t.kind == line_kind::flatten) {
            out = {1, 1, in.size()};
        } else if (t.kind == line_kind::add && s.values[t.others[0]] != in) {
            return refuse("the two values have different shapes");
        } else if (t.kind == line_kind::multiply) {
            const auto& other = s.values[t.others[0]];
            const network_shapes::image one{1, 1, in.channels};
            if (other != in && other != one && (in != one || other.channels != in.channels))
                return refuse("the two values have different shapes, and neither of them is one "
                              "number per channel");
            out = in == one ? other : in;
        } else if (t.kind == line_kind::concatenate) {
            for (const std::size_t v : t.others) {
                const auto& other = s.values[v];
                if (other.height != in.height || other.width != in.width)
                    return refuse("the values have different heights or widths");
                out.channels = saturating_add(out.channels, other.channels);
            }
        } else if (t.kind == line_kind::upsample) {
            out.height = saturating_mul(in.height, t.factor.height);
            out.width = saturating_mul(in.width, t.factor.width);
        } else if (t.kind == line_kind::pad) {
            out.height += t.before.height + t.after.height;
            out.width += t.before.width + t.after.width;
        }
        if (saturating_mul(saturating_mul(out.height, out.width), out.channels) > limit)
            return refuse("the value is too large");
        s.values.push_back(out);
        s.source.push_back(from);
        s.filters.push_back(filter);
    }
    return s;
}

/// The weights of a line: a filter [out][height][width][in], or a factor per channel (norms); both
/// have an offset per channel.
struct float_weights {
    std::vector<float> filter;
    std::vector<double> factor;
    std::vector<double> offset;
};

class float_network {
public:
    float_network(const description& d, const network_shapes& shapes,
                  std::vector<float_weights> weights)
        : d_(d), shapes_(shapes), weights_(std::move(weights)), values_(shapes.values.size()) {
        for (std::size_t i = 0; i < d.lines.size(); ++i) {
            // Output channels become innermost, so that compilers can vectorise along them.
            auto& f = weights_[i].filter;
            const std::size_t out = shapes.filters[i].out_channels,
                              columns = f.empty() ? 0 : f.size() / out;
            std::vector<float> transposed(f.size());
            for (std::size_t o = 0; o < out; ++o)
                for (std::size_t k = 0; k < columns; ++k)
                    transposed[k * out + o] = f[o * columns + k];
            f = std::move(transposed);
        }
    }

    /// Computes all values of one image, given as bytes.
    void run(std::span<const std::uint8_t> image) {
        const std::size_t channels = d_.channels;
        values_[0].resize(image.size());
        for (std::size_t i = 0; i < image.size(); ++i) {
            const std::size_t c = i % channels;
            const double x =
                d_.scale * (image[i] - d_.zero_point) - (d_.mean.empty() ? 0 : d_.mean[c]);
            values_[0][i] = static_cast<float>(d_.deviation.empty() ? x : x / d_.deviation[c]);
        }
        for (std::size_t i = 0; i < d_.lines.size(); ++i) {
            values_[i + 1].resize(shapes_.values[i + 1].size());
            compute(i);
        }
    }
    [[nodiscard]] std::span<const float> value(std::size_t v) const { return values_[v]; }

private:
    void compute(std::size_t i) {
        const line& s = d_.lines[i];
        const auto& in = values_[shapes_.source[i]];
        auto& y = values_[i + 1];
        const float_weights& w = weights_[i];
        const std::size_t channels = shapes_.values[i + 1].channels;
        switch (s.kind) {
        case line_kind::conv:
        case line_kind::linear:
            return convolve(i, in, y);
        case line_kind::norm:
            for (std::size_t k = 0; k < y.size(); ++k)
                y[k] = static_cast<float>(in[k] * w.factor[k % channels] + w.offset[k % channels]);
            return;
        case line_kind::function:
            for (std::size_t k = 0; k < y.size(); ++k)
                y[k] = static_cast<float>(s.function(double{in[k]}));
            return;
        case line_kind::add:
            for (std::size_t k = 0; k < y.size(); ++k)
                y[k] = in[k] + values_[s.others[0]][k];
            return;
        case line_kind::multiply: // one of the two may be a number per channel
            for (std::size_t k = 0; k < y.size(); ++k) {
                const auto& other = values_[s.others[0]];
                y[k] = in[in.size() == y.size() ? k : k % channels] *
                       other[other.size() == y.size() ? k : k % channels];
            }
            return;
        case line_kind::concatenate: {
            std::size_t first = place(in, shapes_.values[s.from].channels, 0, channels, y);
            for (const std::size_t v : s.others)
                first = place(values_[v], shapes_.values[v].channels, first, channels, y);
            return;
        }
        case line_kind::pad: {
            const auto& x = shapes_.values[shapes_.source[i]];
            const std::size_t width = shapes_.values[i + 1].width, row = x.width * channels;
            std::fill(y.begin(), y.end(), 0.0f);
            for (std::size_t h = 0; h < x.height; ++h)
                std::copy_n(in.data() + h * row, row,
                            y.data() + ((h + s.before.height) * width + s.before.width) * channels);
            return;
        }
        case line_kind::upsample: {
            const std::size_t width = shapes_.values[i + 1].width;
            for (std::size_t k = 0; k < y.size(); ++k) {
                const std::size_t row = k / channels / width / s.factor.height,
                                  column = k / channels % width / s.factor.width;
                y[k] = in[(row * (width / s.factor.width) + column) * channels + k % channels];
            }
            return;
        }
        case line_kind::flatten:
            std::copy(in.begin(), in.end(), y.begin());
            return;
        default:
            return pool(i, in, y);
        }
    }
    /// Copies a value's channels to those of y from `first` on, and returns the channel after them.
    static std::size_t place(const std::vector<float>& x, std::size_t channels, std::size_t first,
                             std::size_t all, std::vector<float>& y) {
        for (std::size_t k = 0; k < x.size(); ++k)
            y[k / channels * all + first + k % channels] = x[k];
        return first + channels;
    }
    void convolve(std::size_t i, const std::vector<float>& in, std::vector<float>& y) {
        const line& s = d_.lines[i];
        const auto &x = shapes_.values[shapes_.source[i]], &out = shapes_.values[i + 1];
        const filter_shape& f = shapes_.filters[i];
        const conv_options o{s.stride, s.padding, s.dilation, s.groups};
        const std::size_t per_group = f.out_channels / s.groups, all = f.out_channels;
        const float* const weights = weights_[i].filter.data();
        for (std::size_t p = 0; p < out.height * out.width; ++p) {
            const auto window = s3::detail::pixel_window::of(p, {out.height, out.width}, o);
            float* const sums = y.data() + p * all;
            for (std::size_t m = 0; m < all; ++m)
                sums[m] =
                    weights_[i].offset.empty() ? 0.0f : static_cast<float>(weights_[i].offset[m]);
            for (std::size_t t = 0; t < f.height * f.width; ++t) {
                const std::size_t h = window.row(t / f.width, o), v = window.column(t % f.width, o);
                if (h >= x.height || v >= x.width)
                    continue;
                const float* const pixel = in.data() + (h * x.width + v) * x.channels;
                for (std::size_t g = 0; g < s.groups; ++g)
                    for (std::size_t c = 0; c < f.in_channels; ++c) {
                        const float a = pixel[g * f.in_channels + c];
                        if (a == 0)
                            continue;
                        const float* const row =
                            weights + (t * f.in_channels + c) * all + g * per_group;
                        float* const to = sums + g * per_group;
                        for (std::size_t m = 0; m < per_group; ++m)
                            to[m] += a * row[m];
                    }
            }
        }
    }
    void pool(std::size_t i, const std::vector<float>& in, std::vector<float>& y) {
        const line& s = d_.lines[i];
        const auto &x = shapes_.values[shapes_.source[i]], &out = shapes_.values[i + 1];
        const bool global = s.kind == line_kind::global_mean,
                   largest = s.kind == line_kind::max_pool;
        const extent window = global ? extent(x.height, x.width) : s.kernel;
        const conv_options o{global ? extent(1) : s.stride, global ? extent(0) : s.padding, 1, 1};
        const image_view<const float> image{in, 1, x.height, x.width, x.channels};
        for (std::size_t k = 0; k < y.size(); ++k) {
            float best = -3e38f;
            double sum = 0;
            kernel::detail::each_inside(image, window, {out.height, out.width}, o, k / out.channels,
                                        [&](const float* from) {
                                            best = std::max(best, from[k % out.channels]);
                                            sum += from[k % out.channels];
                                        });
            y[k] =
                largest
                    ? best
                    : static_cast<float>(sum / static_cast<double>(window.height * window.width));
        }
    }

    const description& d_;
    const network_shapes& shapes_;
    std::vector<float_weights> weights_;
    std::vector<std::vector<float>> values_;
};

} // namespace s3::importing
