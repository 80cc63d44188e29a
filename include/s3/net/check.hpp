#pragma once
// What a network must comply with before it runs; a model from a file is checked here. An error
// names a field, and its index is the layer, if there is one (value i + 1 belongs to layer i).
//
//   * inputs are earlier values, of bytes; values are what their layers infer; a value has at
//     most 2^31 elements per image
//   * bits are 1 … 8, scales positive, zero points and limits within the bits, numbers finite
//   * each layer's own requirements are met: net/layers/

#include <s3/net/model.hpp>

namespace s3::net {

namespace detail {

template <class L>
status check_layer(const layer_site& s, const L& l) {
    if (auto inputs = check_inputs(s, l); !inputs)
        return inputs;
    const auto inferred = l.infer(s);
    if (!inferred)
        return inferred.error();
    if (auto shape = check_shape(s.out(), *inferred); !shape)
        return shape;
    if (s.out().kind != inferred->kind)
        return error(errc::shape_mismatch, "value.kind");
    if (s.out().element != element_of(l))
        return error(errc::shape_mismatch, "value.element");
    return l.check(s);
}

} // namespace detail

inline status check(const model& m) {
    if (m.layers.empty())
        return error(errc::bad_option, "layers").got(0);
    // The time to place values in memory may grow with the square of the number of layers.
    constexpr std::size_t most_layers = 16384;
    if (m.layers.size() > most_layers)
        return error(errc::bad_option, "layers").got(m.layers.size()).limit(most_layers);
    if (m.values.size() != m.layers.size() + 1)
        return error(errc::shape_mismatch, "values")
            .got(m.values.size())
            .needs(m.layers.size() + 1);
    if (auto s = detail::check_value(m.input()); !s)
        return s;
    if (m.input().element != element_type::uint8)
        return error(errc::unsupported, "value.element");
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        status s = detail::check_value(m.values[i + 1]);
        if (s)
            s = std::visit([&](const auto& l) { return detail::check_layer(m.site(i), l); },
                           m.layers[i].operation);
        if (!s)
            return s.error().at(i);
    }
    if (!is_finite(m.output_scale) || !(m.output_scale > 0))
        return error(errc::bad_option, "output_scale").at(m.layers.size() - 1).got(m.output_scale);
    return {};
}

} // namespace s3::net
