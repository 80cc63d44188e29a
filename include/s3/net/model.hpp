#pragma once
// An integer network as data: a typed graph that an importer makes, a model file holds and
// net/program.hpp runs. Value 0 is the input of the network. Layer i computes value i + 1 from
// earlier values, and the last layer computes the output. net/check.hpp says what a model must
// comply with.
//
// The real numbers of an output y are output_scale·y if it is int32, y itself if it is float32,
// else those of its value (net/value.hpp).

#include <s3/net/layers.hpp>

#include <algorithm>
#include <string>
#include <string_view>

namespace s3::net {

struct layer {
    std::string name;
    layer_list::any operation;
};

struct model {
    std::vector<value_info> values; ///< one more than there are layers
    std::vector<layer> layers;
    float output_scale = 1;

    [[nodiscard]] const value_info& input() const noexcept { return values.front(); }
    [[nodiscard]] const value_info& output() const noexcept { return values.back(); }
    [[nodiscard]] layer_site site(std::size_t i) const noexcept { return {values, i}; }
};

namespace detail {

/// Adds up the bytes of a layer's weights as the model keeps them.
struct weight_counter {
    std::size_t& bytes;

    void operator()(const char*, const any_filter& filter) {
        bytes += std::visit([](const auto& f) { return f.matrix.stream().size(); }, filter);
    }
    void operator()(const char* name, const std::vector<float>& values) {
        if (name == std::string_view("weight"))
            bytes += values.size() * sizeof(float);
    }
    template <class T>
    void operator()(const char*, const T&) {}
};

} // namespace detail

/// The bytes of all weights: packed ones, and those of layers in float.
[[nodiscard]] inline std::size_t weight_bytes(const model& m) {
    std::size_t bytes = 0;
    for (const layer& l : m.layers)
        std::visit([&]<class L>(const L& o) { L::fields(o, detail::weight_counter{bytes}); },
                   l.operation);
    return bytes;
}

/// The operations of one image, at most: products of weights, elements under windows, and one for
/// every element of the other layers' outputs; SIZE_MAX if there are more. A host can refuse by it
/// a network from a file that would run too long. Precondition: net::check passes.
[[nodiscard]] inline std::size_t operations(const model& m) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const layer_site site = m.site(i);
        const auto per_output = [&](const auto& l) -> std::size_t {
            if constexpr (requires { l.filter; })
                return std::visit([](const auto& f) { return f.shape.columns(); }, l.filter);
            else if constexpr (requires { l.weights; })
                return site[l.input].size();
            else if constexpr (requires { l.window; })
                return saturating_mul(std::min(l.window.height, site[l.input].height),
                                      std::min(l.window.width, site[l.input].width));
            else
                return 1;
        };
        sum = saturating_add(
            sum, saturating_mul(site.out().size(), std::visit(per_output, m.layers[i].operation)));
    }
    return sum;
}

} // namespace s3::net
