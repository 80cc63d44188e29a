#pragma once
// Which lines of a description become one layer: a convolution with its batch norm, the addition
// that follows it and a ReLU; an addition or product by itself with a ReLU; or any other line.
//
// A value with a given quantizer is rounded by it, so nothing that reads it is fused with its
// layer. A convolution takes an addition if nothing else uses the convolution's value and the other
// summand is computed earlier. A ReLU that nothing takes is a table, as other functions are.
// Errors: a batch norm that does not follow a convolution; an input with a mean or deviation that a
// line reads to which these would matter, but for convolutions; a last line that is not the value
// of a layer; a float layer that is not the last.

#include <s3/import/float_network.hpp>
#include <s3/net/model.hpp>

#include <optional>

namespace s3::importing::detail {

[[nodiscard]] inline bool is_convolution(line_kind k) {
    return k == line_kind::conv || k == line_kind::linear;
}

/// Whether a line's output consists of bytes of its input, and zero points, and so has its scale.
[[nodiscard]] inline bool keeps_bytes(line_kind k) {
    return k == line_kind::max_pool || k == line_kind::upsample || k == line_kind::pad;
}

/// Lines that become one layer.
struct fused_layer {
    std::size_t first;                         ///< its first line, which says what it computes
    std::size_t last;                          ///< the line whose value it computes
    int bits;                                  ///< bits of its output activations
    std::optional<std::size_t> norm = {};      ///< the line of its batch norm
    std::optional<std::size_t> residual = {};  ///< the value of the description that it adds
    std::optional<activation> limit = {};      ///< its ReLU, or the like
    std::optional<std::size_t> read_by = {};   ///< the line of a table that alone reads its value
    std::optional<given_quantizer> given = {}; ///< of its output, where the description gives one
    net::element_type output = net::element_type::uint8;
};

struct fused_network {
    network_shapes shapes;
    std::vector<fused_layer> layers;   ///< layer i computes value i + 1 of the model
    std::vector<std::size_t> value_of; ///< the model's value, for each value of the description
    /// Whether a value of the model consists of bytes of the input, with their mean and deviation.
    std::vector<bool> is_input;

    /// The model's value that a layer reads; of several, the first.
    [[nodiscard]] std::size_t input_of(const fused_layer& l) const {
        return value_of[shapes.source[l.first]];
    }
};

/// Fuses a description. `bits` are those of activations for which the description does not say.
inline described_result<fused_network> fuse(const description& d, int bits) {
    if (d.lines.empty())
        return described_error(error(errc::bad_option, "description"), "there is no layer");
    auto shapes = infer(d);
    if (!shapes)
        return shapes.error();
    fused_network n{
        *std::move(shapes), {}, std::vector<std::size_t>(d.lines.size() + 1, 0), {true}};
    std::vector<std::size_t> uses(d.lines.size() + 1, 0);
    for (const line& s : d.lines) {
        ++uses[s.from];
        for (const std::size_t v : s.others)
            ++uses[v];
    }
    // The layer that computes this value and may take one more line, or null.
    const auto open = [&](std::size_t value) -> fused_layer* {
        if (n.value_of[value] == 0 || uses[value] != 1)
            return nullptr;
        fused_layer& l = n.layers[n.value_of[value] - 1];
        return l.last + 1 == value && !l.limit && !l.given ? &l : nullptr;
    };
    const auto has_limits = [&](const fused_layer& l) {
        const line_kind k = d.lines[l.first].kind;
        return is_convolution(k) || k == line_kind::add || k == line_kind::multiply;
    };
    const auto open_convolution = [&](std::size_t value) -> fused_layer* {
        fused_layer* const l = open(value);
        return l != nullptr && is_convolution(d.lines[l->first].kind) && !l->residual ? l : nullptr;
    };
    for (std::size_t i = 0; i < d.lines.size(); ++i) {
        const line& s = d.lines[i];
        const auto misplaced = [&](const char* why) {
            return refuse(s, why, error(errc::unsupported, "description"));
        };
        if (s.given && (!is_normal(s.given->scale) || s.given->zero_point < 0 ||
                        s.given->zero_point >= 1 << s.bits))
            return misplaced("'scale' must be positive and within float32, and 'zero' a number "
                             "that its bits allow");
        if (s.kind == line_kind::flatten) {
            if (s.bits != 0)
                return misplaced("'flatten' cannot change the bits or the scale of its input");
            n.value_of[i + 1] = n.value_of[s.from];
            continue;
        }
        bool reads_input = n.is_input[n.value_of[s.from]];
        for (const std::size_t v : s.others)
            reads_input = reads_input || n.is_input[n.value_of[v]];
        if (reads_input && !is_convolution(s.kind) && !keeps_bytes(s.kind) &&
            !(d.mean.empty() && d.deviation.empty()))
            return misplaced("this layer cannot read an input with a mean or std");
        fused_layer* taker = nullptr;
        if (s.kind == line_kind::norm) {
            taker = open_convolution(s.from);
            if (taker == nullptr || taker->norm)
                return misplaced("'bn' must follow a conv or linear that nothing else uses");
            taker->norm = i;
        } else if (s.kind == line_kind::function) {
            taker = open(s.from);
            if (taker != nullptr && s.function.is_limit() && has_limits(*taker)) {
                taker->limit = s.function;
            } else {
                if (taker != nullptr)
                    taker->read_by = i;
                taker = nullptr;
            }
        } else if (s.kind == line_kind::add) {
            const std::size_t other = s.others[0];
            const bool from_is_later = n.value_of[s.from] > n.value_of[other];
            taker = open_convolution(from_is_later ? s.from : other);
            if (taker != nullptr)
                taker->residual = from_is_later ? other : s.from;
        }
        if (taker == nullptr) {
            taker = &n.layers.emplace_back(fused_layer{i, i, bits});
            n.is_input.push_back(reads_input && keeps_bytes(s.kind));
        }
        taker->last = i;
        taker->bits = s.bits != 0 ? s.bits : taker->bits;
        taker->given = s.given;
        n.value_of[i + 1] = static_cast<std::size_t>(taker - n.layers.data()) + 1;
    }
    if (n.layers.empty() || n.layers.back().last + 1 != d.lines.size())
        return refuse(d.lines.back(), "the last line must give the network's output",
                      error(errc::unsupported, "description"));
    fused_layer& last = n.layers.back();
    const line& s = d.lines[last.first];
    if (last.first == last.last && is_convolution(s.kind) && !last.given)
        last.output = s.kind == line_kind::linear && s.format == "float"
                          ? net::element_type::float32
                          : net::element_type::int32;
    for (std::size_t i = 0; i < d.lines.size(); ++i)
        if (d.lines[i].format == "float" &&
            (i != last.first || last.output != net::element_type::float32))
            return refuse(d.lines[i], "only a 'linear' that is the last line may be float",
                          error(errc::unsupported, "format"));
    return n;
}

} // namespace s3::importing::detail
