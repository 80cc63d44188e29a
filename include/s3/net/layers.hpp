#pragma once
// The layers that a network may have. To add one, write a file in net/layers/ (net/layer.hpp says
// what it holds), and add its include and its name in the list here. Running, checking, files and
// export then know it.

#include <s3/net/layers/addition.hpp>
#include <s3/net/layers/concatenation.hpp>
#include <s3/net/layers/convolution.hpp>
#include <s3/net/layers/float_linear.hpp>
#include <s3/net/layers/multiplication.hpp>
#include <s3/net/layers/padding.hpp>
#include <s3/net/layers/pooling.hpp>
#include <s3/net/layers/table.hpp>
#include <s3/net/layers/upsampling.hpp>

#include <variant>

namespace s3::net {

/// What every layer must have, as far as no templates are concerned (net/layer.hpp has all).
template <class L>
concept layer_type = requires(const L& l, const layer_site& site, const reference_site& computed,
                              std::vector<std::int32_t>& y) {
    { L::names[0] } -> std::convertible_to<const char*>;
    { l.infer(site) } -> std::same_as<result<value_info>>;
    { l.check(site) } -> std::same_as<status>;
    l.reference(computed, y);
};

namespace detail {

/// What a program holds of a layer: the layer itself, or its type `prepared` if it has one.
template <class L, class Formats, class Arch>
struct prepared_layer {
    using type = L;
};
template <class L, class Formats, class Arch>
requires requires {
    typename L::template prepared<Formats, Arch>;
}
struct prepared_layer<L, Formats, Arch> {
    using type = typename L::template prepared<Formats, Arch>;
};

} // namespace detail

template <layer_type... L>
struct layer_types {
    using any = std::variant<L...>;
    template <class Formats, class Arch>
    using prepared = std::variant<typename detail::prepared_layer<L, Formats, Arch>::type...>;
};

using layer_list = layer_types<convolution, pooling, addition, float_linear, table, multiplication,
                               concatenation, upsampling, padding>;

} // namespace s3::net
