#pragma once
// Where each value of a network lies in memory. Values that are not needed at the same time may
// share bytes, and a layer's output may take the place of an input that the layer reads element by
// element. Offsets and sizes are per image: at batch n each is n times as large, so one plan serves
// every batch.

#include <s3/net/model.hpp>

#include <algorithm>
#include <numeric>

namespace s3::net {

struct memory_plan {
    std::vector<std::size_t> offset; ///< of each value except the input, in bytes per image
    std::size_t bytes = 0;           ///< of all values together, per image
};

namespace detail {

/// Calls f with each value that a layer reads.
template <class Function>
void each_input_of(const layer& l, Function&& f) {
    std::visit([&](const auto& o) { each_input(o, [&](const char*, value_id v) { f(v); }); },
               l.operation);
}

/// The values whose place the output of a layer may take, because each of their elements is read
/// just before the same element of the output is written.
[[nodiscard]] inline std::vector<value_id> replaceable(const layer& l) {
    return std::visit(
        [](const auto& o) -> std::vector<value_id> {
            if constexpr (requires { o.replaces(); })
                return o.replaces();
            else
                return {};
        },
        l.operation);
}

/// The memory of one value, or of several that successively take each other's place.
struct memory_block {
    std::size_t bytes;
    std::size_t first, last; ///< the first and the last value during whose computation it is needed
    std::size_t offset = 0;
    [[nodiscard]] std::size_t end() const { return offset + bytes; }
};

/// Places the blocks, the largest first, each at the lowest offset where it overlaps no block that
/// is needed at the same time. Returns the bytes that they take altogether.
inline std::size_t place(std::vector<memory_block>& blocks) {
    std::vector<std::size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return blocks[a].bytes != blocks[b].bytes ? blocks[a].bytes > blocks[b].bytes : a < b;
    });
    std::size_t all = 0;
    std::vector<std::size_t> placed; // by offset, so that one sweep finds the lowest gap
    for (const std::size_t b : order) {
        memory_block& mine = blocks[b];
        for (const std::size_t p : placed) {
            const memory_block& other = blocks[p];
            const bool together = other.first <= mine.last && mine.first <= other.last;
            if (together && other.offset >= mine.end())
                break;
            if (together)
                mine.offset = std::max(mine.offset, other.end());
        }
        all = std::max(all, mine.end());
        placed.insert(std::upper_bound(placed.begin(), placed.end(), b,
                                       [&](std::size_t x, std::size_t y) {
                                           return blocks[x].offset < blocks[y].offset;
                                       }),
                      b);
    }
    return all;
}

} // namespace detail

/// The plan of a network's memory. Precondition: `check(m)` succeeds.
[[nodiscard]] inline memory_plan plan(const model& m) {
    const std::size_t count = m.values.size();
    std::vector<std::size_t> last_use(count);
    std::iota(last_use.begin(), last_use.end(), std::size_t{0});
    for (std::size_t i = 0; i < m.layers.size(); ++i)
        detail::each_input_of(m.layers[i], [&](value_id v) { last_use[v] = i + 1; });

    // A value is needed from the layer that writes it to the last layer that reads it.
    std::vector<detail::memory_block> blocks;
    std::vector<std::size_t> block_of(count, 0);
    for (std::size_t v = 1; v < count; ++v) {
        block_of[v] = blocks.size();
        if (m.values[v].element == element_type::uint8)
            for (const value_id from : detail::replaceable(m.layers[v - 1]))
                if (from != 0 && last_use[from] == v)
                    block_of[v] = block_of[from];
        if (block_of[v] == blocks.size())
            blocks.push_back({whole_lines(m.values[v].bytes()), v, last_use[v]});
        else
            blocks[block_of[v]].last = last_use[v];
    }
    memory_plan p;
    p.bytes = detail::place(blocks);
    p.offset.assign(count, 0);
    for (std::size_t v = 1; v < count; ++v)
        p.offset[v] = blocks[block_of[v]].offset;
    return p;
}

} // namespace s3::net
