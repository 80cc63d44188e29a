#pragma once
// Which lines of a description become one layer: a convolution with its batch norm, the addition
// that it ends in and its ReLU; a pooling; an addition of its own with its ReLU.
//
// A convolution takes an addition if nothing else uses its value and the other summand is computed
// earlier. Errors: a batch norm or ReLU without such a layer before it, a last line that gives no
// layer's value, a float layer that is not the last.

#include <s3/import/float_network.hpp>
#include <s3/net/model.hpp>

#include <optional>

namespace s3::importing::detail {

[[nodiscard]] inline bool is_convolution(step_kind k) {
    return k == step_kind::conv || k == step_kind::linear;
}

/// Steps that become one layer.
struct fused_layer {
    std::size_t first;                        ///< the step of its convolution, pooling or addition
    std::size_t last;                         ///< the step whose value it gives
    int bits;                                 ///< of its activations
    std::optional<std::size_t> norm = {};     ///< a step
    std::optional<std::size_t> residual = {}; ///< a value of the description
    std::optional<step_kind> limit = {};      ///< relu or relu6
    net::output_kind output = net::output_kind::bytes;
};

struct fused_network {
    network_shapes shapes;
    std::vector<fused_layer> layers;   ///< layer i gives value i + 1 of the model
    std::vector<std::size_t> value_of; ///< of the model, for a value of the description
};

/// `bits` of activations where the description does not say.
inline result<fused_network> fuse(const description& d, int bits, std::string& where) {
    if (d.steps.empty()) {
        where = "there is no layer";
        return error(errc::bad_option, "description");
    }
    auto shapes = infer(d, where);
    if (!shapes)
        return shapes.error();
    fused_network n{*std::move(shapes), {}, std::vector<std::size_t>(d.steps.size() + 1, 0)};
    std::vector<std::size_t> uses(d.steps.size() + 1, 0);
    for (const step& s : d.steps) {
        ++uses[s.from];
        uses[s.other] += s.kind == step_kind::add;
    }
    /// The layer that gives this value and may take one more step, if there is one.
    const auto open = [&](std::size_t value) -> fused_layer* {
        if (n.value_of[value] == 0 || uses[value] != 1)
            return nullptr;
        fused_layer& l = n.layers[n.value_of[value] - 1];
        return l.last + 1 == value && !l.limit ? &l : nullptr;
    };
    const auto open_convolution = [&](std::size_t value) -> fused_layer* {
        fused_layer* const l = open(value);
        return l != nullptr && is_convolution(d.steps[l->first].kind) && !l->residual ? l : nullptr;
    };
    for (std::size_t i = 0; i < d.steps.size(); ++i) {
        const step& s = d.steps[i];
        const auto misplaced = [&](const char* why) {
            return refuse(s, why, error(errc::unsupported, "description"), where);
        };
        if (s.kind == step_kind::flatten) {
            n.value_of[i + 1] = n.value_of[s.from];
            continue;
        }
        fused_layer* taker = nullptr;
        if (s.kind == step_kind::norm) {
            taker = open_convolution(s.from);
            if (taker == nullptr || taker->norm)
                return misplaced("'bn' must follow a conv or linear that nothing else uses");
            taker->norm = i;
        } else if (s.kind == step_kind::relu || s.kind == step_kind::relu6) {
            taker = open(s.from);
            if (taker == nullptr || (!is_convolution(d.steps[taker->first].kind) &&
                                     d.steps[taker->first].kind != step_kind::add))
                return misplaced(
                    "relu must follow a conv, linear, bn or add that nothing else uses");
            taker->limit = s.kind;
        } else if (s.kind == step_kind::add) {
            const bool from_is_later = n.value_of[s.from] > n.value_of[s.other];
            taker = open_convolution(from_is_later ? s.from : s.other);
            if (taker != nullptr)
                taker->residual = from_is_later ? s.other : s.from;
        }
        if (taker == nullptr)
            taker = &n.layers.emplace_back(fused_layer{i, i, bits});
        taker->last = i;
        taker->bits = s.bits != 0 ? s.bits : taker->bits;
        n.value_of[i + 1] = static_cast<std::size_t>(taker - n.layers.data()) + 1;
    }
    if (n.layers.empty() || n.layers.back().last + 1 != d.steps.size())
        return refuse(d.steps.back(), "the last line must give the network's output",
                      error(errc::unsupported, "description"), where);
    fused_layer& last = n.layers.back();
    const step& s = d.steps[last.first];
    if (last.first == last.last && is_convolution(s.kind))
        last.output = s.kind == step_kind::linear && s.format == "float" ? net::output_kind::real
                                                                         : net::output_kind::sums;
    for (std::size_t i = 0; i < d.steps.size(); ++i)
        if (d.steps[i].format == "float" &&
            (i != last.first || last.output != net::output_kind::real))
            return refuse(d.steps[i], "only a 'linear' that is the last line may be float",
                          error(errc::unsupported, "format"), where);
    return n;
}

} // namespace s3::importing::detail
