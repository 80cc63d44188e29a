#pragma once
// Where each value of a network lies in memory. Values that are not needed at the same time may
// share bytes, and a layer's output may take the place of an input that the layer overwrites only
// where it has read it. Offsets and sizes are per image: at batch n each is n times as large, so
// one plan serves every batch.

#include <s3/net/model.hpp>

#include <algorithm>
#include <numeric>

namespace s3::net {

/// What a plan depends on besides the network.
struct plan_options {
    write_order order = write_order::any; ///< how layers write their outputs
    std::size_t alignment = 64;           ///< of each value, in bytes
    /// Whether the output of the network has a place, too; otherwise it goes to the caller's memory
    /// directly.
    bool places_output = true;
    /// Bytes that each layer needs besides values while it runs; empty for none.
    std::span<const std::size_t> scratch = {};
};

struct memory_plan {
    std::vector<std::size_t> offset;  ///< of each value except the input, in bytes per image
    std::vector<std::size_t> scratch; ///< the offset of each layer's scratch memory
    std::size_t bytes = 0;            ///< of all values together, per image
    /// The most bytes that are needed at one time, which no other placement could fall below, and
    /// the layer that needs them.
    std::size_t least = 0, largest_layer = 0;
};

namespace detail {

/// Calls f with each value that a layer reads.
template <class Function>
void each_input_of(const layer& l, Function&& f) {
    std::visit([&](const auto& o) { each_input(o, [&](const char*, value_id v) { f(v); }); },
               l.operation);
}

/// The inputs whose place the output of layer i may take.
[[nodiscard]] inline std::vector<value_id> replaceable(const model& m, std::size_t i,
                                                       write_order order) {
    return std::visit(
        [&](const auto& o) -> std::vector<value_id> {
            if constexpr (requires { o.replaces(m.site(i), order); })
                return o.replaces(m.site(i), order);
            else
                return {};
        },
        m.layers[i].operation);
}

/// Bytes that are needed while the values from number `first` to number `last` are computed.
struct memory_block {
    std::size_t bytes, first, last;
    [[nodiscard]] bool needed_with(const memory_block& other) const {
        return other.first <= last && first <= other.last;
    }
};

/// Blocks that begin at one offset, since each takes the place of the one before it.
struct memory_chain {
    std::vector<memory_block> blocks;
    std::size_t offset = 0;
    /// The most bytes that the chain needs while another block is needed.
    [[nodiscard]] std::size_t bytes_with(const memory_block& other) const {
        std::size_t most = 0;
        for (const memory_block& b : blocks)
            if (b.needed_with(other))
                most = std::max(most, b.bytes);
        return most;
    }
    [[nodiscard]] std::size_t bytes() const {
        std::size_t most = 0;
        for (const memory_block& b : blocks)
            most = std::max(most, b.bytes);
        return most;
    }
};

/// Places the chains, the largest first, each at the lowest offset where none of its blocks
/// overlaps one that is needed at the same time. Returns the bytes that they take altogether.
inline std::size_t place(std::vector<memory_chain>& chains) {
    std::vector<std::pair<std::size_t, std::size_t>> order; // size and number
    for (std::size_t c = 0; c < chains.size(); ++c)
        order.emplace_back(chains[c].bytes(), c);
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    struct placed_block : memory_block {
        std::size_t offset;
    };
    std::size_t all = 0;
    std::vector<placed_block> placed; // by offset
    for (const auto& [size, number] : order) {
        memory_chain& mine = chains[number];
        // One sweep finds the lowest gap for one block. Where a chain has blocks of several sizes,
        // what a small one passed may be in the way at the offset that a large one needs.
        for (bool moved = true; moved;) {
            moved = false;
            for (const placed_block& other : placed) {
                if (other.offset >= saturating_add(mine.offset, size))
                    break;
                const std::size_t end = saturating_add(other.offset, other.bytes);
                const std::size_t mine_then = mine.bytes_with(other);
                if (mine_then != 0 && end > mine.offset &&
                    other.offset < saturating_add(mine.offset, mine_then)) {
                    mine.offset = end;
                    moved = true;
                }
            }
            moved = moved && mine.blocks.size() > 1;
        }
        all = std::max(all, saturating_add(mine.offset, size));
        const auto behind =
            std::upper_bound(placed.begin(), placed.end(), mine.offset,
                             [](std::size_t o, const auto& b) { return o < b.offset; });
        std::vector<placed_block> more;
        for (const memory_block& b : mine.blocks)
            more.push_back({b, mine.offset});
        placed.insert(behind, more.begin(), more.end());
    }
    return all;
}

} // namespace detail

/// The plan of a network's memory. Preconditions: `check(m)` succeeds; the alignment is not 0;
/// scratch is of as many layers as there are, or of none.
[[nodiscard]] inline memory_plan plan(const model& m, const plan_options& o = {}) {
    const std::size_t count = m.values.size();
    std::vector<std::size_t> last_use(count);
    std::iota(last_use.begin(), last_use.end(), std::size_t{0});
    for (std::size_t i = 0; i < m.layers.size(); ++i)
        detail::each_input_of(m.layers[i], [&](value_id v) { last_use[v] = i + 1; });

    // A value is needed from the layer that writes it to the last layer that reads it.
    const std::size_t values = o.places_output ? count : count - 1;
    const auto aligned = [&](std::size_t bytes) {
        return saturating_add(bytes, o.alignment - 1) / o.alignment * o.alignment;
    };
    std::vector<detail::memory_chain> chains;
    std::vector<std::size_t> chain_of(count, 0), scratch_of(m.layers.size(), 0);
    for (std::size_t v = 1; v < values; ++v) {
        chain_of[v] = chains.size();
        if (m.values[v].element == element_type::uint8)
            for (const value_id from : detail::replaceable(m, v - 1, o.order))
                if (from != 0 && last_use[from] == v)
                    chain_of[v] = chain_of[from];
        if (chain_of[v] == chains.size())
            chains.emplace_back();
        chains[chain_of[v]].blocks.push_back({aligned(m.values[v].bytes()), v, last_use[v]});
    }
    for (std::size_t i = 0; i < o.scratch.size(); ++i) {
        scratch_of[i] = chains.size();
        chains.emplace_back().blocks.push_back({aligned(o.scratch[i]), i + 1, i + 1});
    }
    memory_plan p;
    p.bytes = detail::place(chains);
    p.offset.assign(count, 0);
    for (std::size_t v = 1; v < values; ++v)
        p.offset[v] = chains[chain_of[v]].offset;
    for (std::size_t i = 0; i < o.scratch.size(); ++i)
        p.scratch.push_back(chains[scratch_of[i]].offset);

    // What layers need: `more` minus `less` is the change from one layer to the next. Where a block
    // takes the place of another, the smaller one costs nothing.
    std::vector<std::size_t> more(count + 1, 0), less(count + 1, 0);
    const auto need = [&](auto& here, auto& later, const detail::memory_block& b) {
        here[b.first] += b.bytes;
        later[b.last + 1] += b.bytes;
    };
    for (const detail::memory_chain& c : chains)
        for (std::size_t b = 0; b < c.blocks.size(); ++b) {
            need(more, less, c.blocks[b]);
            if (b > 0)
                need(less, more,
                     {std::min(c.blocks[b - 1].bytes, c.blocks[b].bytes), c.blocks[b].first,
                      c.blocks[b].first});
        }
    std::size_t needed = 0;
    for (std::size_t v = 1; v < count; ++v) {
        needed += more[v] - less[v];
        if (needed > p.least) {
            p.least = needed;
            p.largest_layer = v - 1;
        }
    }
    return p;
}

} // namespace s3::net
