#pragma once
// State dicts of random weights, for tests of importing: made tensor by tensor, or for a whole
// description; and what the described network computes in float.

#include <s3/import/network.hpp>

#include "random.hpp"

#include <cmath>
#include <list>
#include <string>
#include <vector>

namespace s3::test {

/// A state dict that owns its tensors.
class checkpoint {
public:
    safetensors::contents file;

    void put(const std::string& name, std::vector<std::size_t> shape,
             const std::vector<float>& values) {
        memory_.push_back(safetensors::to_bytes(std::span<const float>(values)));
        file.tensors[name] = {safetensors::dtype::f32, std::move(shape), memory_.back()};
    }
    /// γ at random, of both signs.
    void put_norm(const std::string& name, std::size_t channels, random& r) {
        std::vector<float> gamma, beta, mean, variance;
        for (std::size_t c = 0; c < channels; ++c) {
            gamma.push_back((c % 2 == 0 ? -1.0f : 1.0f) * (1 + r.real() / 2));
            beta.push_back(r.real());
            mean.push_back(r.real());
            variance.push_back(2 + r.real());
        }
        put(name + ".weight", {channels}, gamma);
        put(name + ".bias", {channels}, beta);
        put(name + ".running_mean", {channels}, mean);
        put(name + ".running_var", {channels}, variance);
    }
    [[nodiscard]] std::vector<float> operator[](const std::string& name) const {
        return *safetensors::from_bytes<float>(file.tensors.at(name));
    }

private:
    std::list<std::vector<std::byte>> memory_;
};

inline std::vector<std::uint8_t> bytes_at_random(std::size_t count, random& r) {
    std::vector<std::uint8_t> x(count);
    for (auto& v : x)
        v = static_cast<std::uint8_t>(r());
    return x;
}
inline std::vector<float> reals_at_random(std::size_t count, random& r) {
    std::vector<float> x(count);
    for (auto& v : x)
        v = r.real();
    return x;
}
/// 0, ±1, ±2, ±4 times a scale.
inline std::vector<float> shifts_at_random(std::size_t count, float scale, random& r) {
    constexpr float values[] = {0, 1, -1, 2, -2, 4, -4};
    std::vector<float> x(count);
    for (auto& v : x)
        v = scale * values[r.below(7)];
    return x;
}

/// What a described network computes in float: a value of the description, image by image.
/// Precondition: the description can be imported.
inline std::vector<float> float_values(const safetensors::contents& file,
                                       const importing::description& d,
                                       std::span<const std::uint8_t> images, std::size_t value) {
    const auto fused = importing::detail::fuse(d, 8);
    const auto weights = importing::detail::read_weights(file, d, *fused);
    importing::float_network network(d, fused->shapes, weights->real);
    const std::size_t size = d.height * d.width * d.channels;
    std::vector<float> all;
    for (std::size_t i = 0; i < images.size(); i += size) {
        network.run(images.subspan(i, size));
        const auto y = network.value(value);
        all.insert(all.end(), y.begin(), y.end());
    }
    return all;
}

/// A state dict for a description: 3-bit weights after a first layer of real ones, and norms that
/// know the mean and the variance that each channel has on the images, as after training, unless
/// there are none. Precondition: the description can be imported.
inline checkpoint checkpoint_for(const importing::description& d,
                                 std::span<const std::uint8_t> images, random& r) {
    checkpoint c;
    bool first = true;
    const auto shapes = importing::infer(d);
    for (std::size_t i = 0; i < d.lines.size(); ++i) {
        const importing::line& l = d.lines[i];
        if (l.kind == importing::line_kind::norm)
            c.put_norm(l.name, shapes->values[i + 1].channels, r);
        if (!importing::detail::is_convolution(l.kind))
            continue;
        const filter_shape& f = shapes->filters[i];
        const float scale = 1 / std::sqrt(3 * static_cast<float>(f.columns()));
        std::vector<std::size_t> shape{f.out_channels, f.in_channels, f.height, f.width};
        if (l.kind == importing::line_kind::linear)
            shape = {f.out_channels, f.columns()};
        else if (d.kind == net::value_kind::sequence)
            shape = {f.out_channels, f.in_channels, f.width};
        auto w = shifts_at_random(f.out_channels * f.columns(), scale, r);
        if (first) // of real numbers, as inputs of different deviations need them
            for (float& v : w)
                v = 4 * scale * r.real();
        first = false;
        c.put(l.name + ".weight", shape, w);
        c.put(l.name + ".bias", {f.out_channels}, reals_at_random(f.out_channels, r));
    }
    for (const importing::line& l : d.lines)
        if (l.kind == importing::line_kind::norm && !images.empty()) {
            const std::size_t channels = shapes->values[l.from].channels;
            const auto x = float_values(c.file, d, images, l.from);
            const float share = static_cast<float>(channels) / static_cast<float>(x.size());
            std::vector<float> mean(channels), variance(channels);
            for (std::size_t i = 0; i < x.size(); ++i)
                mean[i % channels] += share * x[i];
            for (std::size_t i = 0; i < x.size(); ++i)
                variance[i % channels] +=
                    share * (x[i] - mean[i % channels]) * (x[i] - mean[i % channels]);
            c.put(l.name + ".running_mean", {channels}, mean);
            c.put(l.name + ".running_var", {channels}, variance);
        }
    return c;
}

} // namespace s3::test
