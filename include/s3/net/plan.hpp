#pragma once
// Where each value of a network lies in memory: values whose lifetimes do not meet share bytes, and
// a sum may lie where its operand lay. Planned per image: at batch n every offset and size is n
// times as large, so that one plan serves any batch.

#include <s3/net/model.hpp>

#include <algorithm>
#include <numeric>

namespace s3::net {

struct memory_plan {
    std::vector<std::size_t> offset; ///< of each value but the input, bytes per image
    std::size_t bytes = 0;           ///< of all, per image
};

namespace detail {

/// Calls f with each value that a layer reads.
template <class Function>
void each_input(const layer& l, Function&& f) {
    std::visit(
        [&](const auto& op) {
            if constexpr (requires { op.a; }) {
                f(op.a);
                f(op.b);
            } else {
                f(op.input);
            }
            if constexpr (requires { op.residual; })
                if (op.residual)
                    f(op.residual->value);
        },
        l.operation);
}

/// The values whose place the output may take: they are read element by element, just before the
/// same element is written.
[[nodiscard]] inline std::vector<std::size_t> replaceable(const layer& l) {
    if (const auto* add = std::get_if<addition>(&l.operation))
        return {add->a, add->b};
    if (const auto* conv = std::get_if<convolution>(&l.operation))
        if (conv->residual && conv->residual->value != conv->input)
            return {conv->residual->value};
    return {};
}

} // namespace detail

/// Greedy by size: the largest first, each at the lowest offset where it meets no other that lives
/// at the same time. Precondition: `check(m)`.
[[nodiscard]] inline memory_plan plan(const model& m) {
    struct block {
        std::size_t bytes, first, last, offset = 0;
        bool placed = false;
    };
    const std::size_t count = m.values.size();
    std::vector<std::size_t> last_use(count);
    for (std::size_t v = 1; v < count; ++v)
        last_use[v] = v;
    for (std::size_t i = 0; i < m.layers.size(); ++i)
        detail::each_input(m.layers[i], [&](std::size_t v) { last_use[v] = i + 1; });

    // A value lives from the step that writes it to the last one that reads it.
    std::vector<block> blocks;
    std::vector<std::size_t> block_of(count, 0);
    for (std::size_t v = 1; v < count; ++v) {
        const bool sums = v + 1 == count && output_of(m) == output_kind::sums;
        const std::size_t element = sums ? sizeof(std::int32_t) : 1;
        const std::size_t bytes = (m.values[v].size() * element + 63) / 64 * 64;
        block_of[v] = blocks.size();
        for (const std::size_t from : detail::replaceable(m.layers[v - 1]))
            if (from != 0 && last_use[from] == v)
                block_of[v] = block_of[from];
        if (block_of[v] == blocks.size())
            blocks.push_back({bytes, v, last_use[v]});
        else
            blocks[block_of[v]].last = last_use[v];
    }

    std::vector<std::size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return blocks[a].bytes != blocks[b].bytes ? blocks[a].bytes > blocks[b].bytes : a < b;
    });
    memory_plan p;
    for (const std::size_t b : order) {
        block& mine = blocks[b];
        for (bool moved = true; moved;) {
            moved = false;
            for (const block& other : blocks)
                if (other.placed && other.first <= mine.last && mine.first <= other.last &&
                    other.offset < mine.offset + mine.bytes &&
                    mine.offset < other.offset + other.bytes) {
                    mine.offset = other.offset + other.bytes;
                    moved = true;
                }
        }
        mine.placed = true;
        p.bytes = std::max(p.bytes, mine.offset + mine.bytes);
    }
    p.offset.assign(count, 0);
    for (std::size_t v = 1; v < count; ++v)
        p.offset[v] = blocks[block_of[v]].offset;
    return p;
}

} // namespace s3::net
