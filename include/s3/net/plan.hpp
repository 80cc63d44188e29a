#pragma once
// Where the values of a network lie in one piece of memory: values that live at the same time do
// not overlap. Value i is written by layer i − 1 and read last by the last layer that names it; the
// input and the output of the network are the caller's own.

#include <s3/net/model.hpp>

#include <algorithm>
#include <vector>

namespace s3::net {

/// The values that a layer reads.
[[nodiscard]] inline std::vector<std::size_t> inputs_of(const layer& l) {
    if (const auto* c = std::get_if<convolution>(&l.operation)) {
        std::vector<std::size_t> read{c->input};
        if (c->residual)
            read.push_back(c->residual->value);
        return read;
    }
    if (const auto* p = std::get_if<pooling>(&l.operation))
        return {p->input};
    const auto& a = std::get<addition>(l.operation);
    return {a.a, a.b};
}

struct memory_plan {
    std::vector<std::size_t> offset; ///< of each value; unused for the first and the last
    std::size_t bytes = 0;
};

/// First fit, largest values first, all offsets multiples of `alignment`. Precondition: the model
/// is sound (check.hpp).
[[nodiscard]] inline memory_plan plan_memory(const model& m, std::size_t batch,
                                             std::size_t alignment = 64) {
    const std::size_t count = m.values.size();
    std::vector<std::size_t> last(count, 0), order;
    for (std::size_t i = 0; i < m.layers.size(); ++i)
        for (const std::size_t v : inputs_of(m.layers[i]))
            last[v] = i;
    const auto bytes = [&](std::size_t v) {
        return (m.values[v].size() * batch + alignment - 1) / alignment * alignment;
    };
    for (std::size_t v = 1; v + 1 < count; ++v)
        order.push_back(v);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return bytes(a) > bytes(b); });
    memory_plan plan{std::vector<std::size_t>(count, 0), 0};
    std::vector<std::size_t> placed; // by offset
    for (const std::size_t v : order) {
        std::size_t at = 0;
        for (const std::size_t p : placed) {
            // Value v exists from layer v − 1 to layer last[v].
            const bool together = p - 1 <= last[v] && v - 1 <= last[p];
            if (together && plan.offset[p] < at + bytes(v) && at < plan.offset[p] + bytes(p))
                at = plan.offset[p] + bytes(p);
        }
        plan.offset[v] = at;
        plan.bytes = std::max(plan.bytes, at + bytes(v));
        placed.insert(std::upper_bound(placed.begin(), placed.end(), v,
                                       [&](std::size_t a, std::size_t b) {
                                           return plan.offset[a] < plan.offset[b];
                                       }),
                      v);
    }
    return plan;
}

} // namespace s3::net
