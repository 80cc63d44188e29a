#pragma once
// The scale and zero point of every activation, and the mean of each of its channels, measured by
// running the network in float on samples.
//
// There are two passes over the samples. The first measures the range of each value. The second
// measures the squared error of rounding for scales that cover different shares of that range, of
// which the best is taken; so the largest activations may saturate. A value that only a function
// reads covers no more than the range where the function changes, and its error is that of the
// function. Some values take the quantizer of another: what max pooling, upsampling and padding
// give, that of their input; what a concatenation alone reads, that of the concatenation. What the
// description gives a quantizer has that, so that no samples are needed if it gives all of them.
// Errors: samples beyond the input's bits, activations that are not finite, a given quantizer that
// is not the input's where bytes are kept.

#include <s3/import/fuse.hpp>

#include <array>
#include <functional>

namespace s3::importing::detail {

/// How real numbers become q of `bits` bits: real = scale·(q − zero_point).
struct quantizer {
    double scale = 1;
    int zero_point = 0;
    int bits = 8;
    double error = 0; ///< relative error of rounding the samples' activations

    [[nodiscard]] int top() const { return (1 << bits) - 1; }
};

/// The integer in 0 … top that is nearest to v.
[[nodiscard]] inline int nearest(double v, int top) {
    return static_cast<int>(std::lround(std::clamp(v, 0.0, double(top))));
}

/// The range of the activations that one value had on the samples.
class observed_range {
public:
    static constexpr std::array shares{1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3};

    /// The range of a value that the function alone reads or, by default, of any other. A value
    /// with a given quantizer keeps that, and only its error is measured.
    explicit observed_range(const activation& function = {},
                            const std::optional<given_quantizer>& given = {})
        : function_(function), given_(given) {}

    /// Widens the range by some activations; false if one is not finite, or too large to square in
    /// float.
    [[nodiscard]] bool widen(std::span<const float> values) {
        for (const float x : values) {
            if (!(std::fabs(x) < 1e30f))
                return false;
            const double inside = std::clamp(double{x}, function_.low, function_.high);
            low_ = std::min(low_, inside);
            high_ = std::max(high_, inside);
            const double y = function_(x);
            energy_ += y * y;
        }
        return true;
    }
    /// Adds up the errors of each share for some activations, of which `functions` are the
    /// function's values. To be called after all calls of `widen`.
    void try_shares(std::span<const float> values, std::span<const float> functions, int bits) {
        for (std::size_t k = 0; k < shares.size(); ++k) {
            const quantizer t = covering(shares[k], bits);
            const auto inverse = static_cast<float>(1 / t.scale),
                       scale = static_cast<float>(t.scale), low = static_cast<float>(-t.zero_point),
                       high = static_cast<float>(t.top() - t.zero_point);
            const bool plain = function_.is_limit(); // so that compilers can vectorise the loop
            std::array<float, 256> levels{};
            for (int q = 0; !plain && q <= t.top(); ++q)
                levels[static_cast<std::size_t>(q)] =
                    static_cast<float>(function_((q - t.zero_point) * t.scale));
            double sum = 0;
            for (std::size_t i = 0; i < values.size(); ++i) {
                const float q = std::clamp(std::nearbyint(values[i] * inverse), low, high);
                const float wrong =
                    functions[i] - (plain ? q * scale : levels[static_cast<std::size_t>(q - low)]);
                sum += double{wrong} * wrong;
            }
            errors_[k] += sum;
        }
    }
    [[nodiscard]] quantizer best(int bits) const {
        const auto least = std::min_element(errors_.begin(), errors_.end());
        quantizer q = covering(shares[static_cast<std::size_t>(least - errors_.begin())], bits);
        q.error = energy_ > 0 ? std::sqrt(*least / energy_) : 0;
        return q;
    }

private:
    [[nodiscard]] quantizer covering(double share, int bits) const {
        const double width = std::max(high_ - low_, 1e-6);
        quantizer q{.bits = bits};
        if (given_) {
            q.scale = given_->scale;
            q.zero_point = given_->zero_point;
            return q;
        }
        q.scale = std::max(width * share / q.top(), 1e-12);
        q.zero_point = nearest(-low_ / width * q.top(), q.top());
        return q;
    }

    activation function_;
    std::optional<given_quantizer> given_;
    double low_ = 0, high_ = 0, energy_ = 0;
    std::array<double, shares.size()> errors_{};
};

/// The quantizer of the input, whose scale and bits the description gives. Its zero point, which is
/// what padding consists of, is the average of the channels' means.
[[nodiscard]] inline quantizer input_quantizer(const description& d) {
    quantizer q{.scale = d.scale, .bits = d.bits};
    double mean = 0;
    for (const double m : d.mean)
        mean += m / static_cast<double>(d.mean.size());
    q.zero_point = nearest(d.zero_point + mean / d.scale, q.top());
    return q;
}

/// Gives what a concatenation alone reads the concatenation's quantizer, so that it is rounded
/// once, and then copied. `found` has a quantizer for each value of the model.
inline void share_quantizers(const description& d, const fused_network& n,
                             std::vector<quantizer>& found) {
    std::vector<std::size_t> readers(found.size(), 0);
    for (std::size_t i = 0; i < d.lines.size(); ++i) {
        const auto read = [&](std::size_t v) {
            readers[n.value_of[v]] += n.value_of[v] != n.value_of[i + 1]; // else it is fused
        };
        read(d.lines[i].from);
        for (const std::size_t v : d.lines[i].others)
            read(v);
    }
    for (std::size_t g = n.layers.size(); g-- > 0;) {
        const line& concatenation = d.lines[n.layers[g].first];
        if (concatenation.kind != line_kind::concatenate)
            continue;
        const quantizer& whole = found[g + 1];
        const auto give = [&](std::size_t v) {
            // The value, and those before it of whose bytes it consists.
            std::vector<std::size_t> values;
            for (bool more = true; more; v = n.input_of(n.layers[v - 1])) {
                if (v == 0 || readers[v] != 1 || found[v].bits != whole.bits ||
                    n.layers[v - 1].given)
                    return;
                values.push_back(v);
                more = keeps_bytes(d.lines[n.layers[v - 1].first].kind);
            }
            for (const std::size_t own : values)
                found[own] = whole;
        };
        give(n.input_of(n.layers[g]));
        for (const std::size_t v : concatenation.others)
            give(n.value_of[v]);
    }
}

/// Adds one image's part of the means over `images` of them.
inline void add_means(std::span<const float> values, std::size_t channels, std::size_t images,
                      std::vector<double>& means) {
    means.resize(channels);
    const double part = static_cast<double>(channels) /
                        (static_cast<double>(values.size()) * static_cast<double>(images));
    for (std::size_t i = 0; i < values.size(); ++i)
        means[i % channels] += part * double{values[i]};
}

/// Whether the description gives the quantizers of all values, so that none is left to measure.
[[nodiscard]] inline bool gives_all_quantizers(const description& d, const fused_network& n) {
    return std::all_of(n.layers.begin(), n.layers.end(), [&](const fused_layer& l) {
        return l.given || keeps_bytes(d.lines[l.first].kind) ||
               l.output != net::element_type::uint8;
    });
}

struct calibration {
    std::vector<quantizer> quantizers;      ///< one for each value of the model
    std::vector<std::vector<double>> means; ///< of each channel; empty for the input
};

/// Measures all values of the model. `samples` are whole images, one after the other.
inline described_result<calibration>
calibrate(const description& d, const fused_network& n, const std::vector<float_weights>& weights,
          std::span<const std::uint8_t> samples,
          const std::function<void(std::size_t, std::size_t)>& progress) {
    std::vector<quantizer> found{input_quantizer(d)};
    std::vector<std::vector<double>> means(n.layers.size() + 1);
    for (const std::uint8_t q : samples)
        if (q > found[0].top())
            return described_error(error(errc::bad_option, "samples").got(q).limit(found[0].top()),
                                   "a sample is larger than the input's bits allow");
    float_network net(d, n.shapes, weights);
    std::vector<observed_range> ranges;
    for (const fused_layer& l : n.layers)
        ranges.emplace_back(l.read_by ? d.lines[*l.read_by].function : activation{}, l.given);
    const std::size_t size = n.shapes.values[0].size(), count = samples.size() / size;
    for (std::size_t i = 0; i < 2 * count; ++i) {
        net.run(samples.subspan(i % count * size, size));
        for (std::size_t g = 0; g < n.layers.size(); ++g) {
            const fused_layer& l = n.layers[g];
            const auto values = net.value(l.last + 1);
            if (i >= count)
                ranges[g].try_shares(values, net.value(l.read_by ? *l.read_by + 1 : l.last + 1),
                                     l.bits);
            else if (!ranges[g].widen(values))
                return refuse(d.lines[l.last], "an activation is not finite",
                              error(errc::not_finite, "samples").at(i));
            else
                add_means(values, n.shapes.values[l.last + 1].channels, count, means[g + 1]);
        }
        if (progress)
            progress(i + 1, 2 * count);
    }
    for (std::size_t g = 0; g < n.layers.size(); ++g) {
        const fused_layer& l = n.layers[g];
        if (keeps_bytes(d.lines[l.first].kind)) {
            const quantizer taken = found[n.input_of(l)];
            const int asked = d.lines[l.last].bits; // 0 if the line does not say
            if ((asked != 0 && asked != taken.bits) ||
                (l.given && *l.given != given_quantizer{taken.scale, taken.zero_point}))
                return refuse(d.lines[l.last],
                              "its scale, zero and bits must be those of its input",
                              error(errc::bad_option, "description"));
            found.push_back(taken);
        } else {
            found.push_back(ranges[g].best(l.bits));
        }
    }
    share_quantizers(d, n, found);
    return calibration{std::move(found), std::move(means)};
}

} // namespace s3::importing::detail
