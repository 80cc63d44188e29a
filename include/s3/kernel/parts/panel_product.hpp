#pragma once
// The matrix product of panels of packed weights with staged activations, for any unit (dot/bytes,
// dot/words, shift_add/words): rows are lanes, one activation is broadcast to all of them.
//
//   few columns    stream.hpp: bound by memory
//   many columns   R × C sums live in registers while a tile of R panels × 512 steps meets every
//                  column, decoded into cache on its first way
//
// `source` stages activations: source(n, count, to, stride) writes columns n … n + count − 1, each
// zero-padded to whole blocks. Where they lie in the host's memory as a kernel would stage them,
// source.segments<staged>() is not 0, and source.point(n, count, table, outside) tells where the
// segments are, without a copy (`outside` has room for one segment of padding).
// source.ignores_padding() tells whether that adds nothing, source.alike(n) how many columns from n
// on see it in the same segments. `sink` takes finished sums: see ops/store.hpp. The caller proves
// that no sum overflows. Nothing is read outside the panels and the staged columns.

#include <s3/kernel/parts/decoder.hpp>
#include <s3/kernel/parts/register_tile.hpp>
#include <s3/kernel/parts/stream.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>

namespace s3::kernel {

template <class Unit>
struct tile {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    static constexpr const char* name = Unit::name;
    static constexpr int zero_point = Unit::zero_point;
    static constexpr std::size_t stream_columns = Unit::stream_columns;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t rows = 4; ///< panels of a decoded tile
    /// Blocks of a decoded tile of some panels. It streams from the second-level cache as fast as
    /// it is used up, so that it may be long: the fewer tiles, the less often sums are stored and
    /// loaded again. Where few registers let it meet but two columns at a time, it must stay in the
    /// first-level cache.
    static constexpr std::size_t most_blocks(std::size_t panels) {
        return (simd::register_count<arch> >= 32 ? 512 : 192) * rows / panels / layout::steps;
    }

    /// Elements from one staged column to the next: padded, and no multiple of 4 KiB, which would
    /// put all columns into one set of the cache.
    static constexpr std::size_t stage_stride(std::size_t k) {
        return layout::blocks(k) * block_columns + 64 / sizeof(staged);
    }
    /// The most columns that are staged together. More of them share the cost of decoding a tile of
    /// weights; of their activations, what meets one tile should stay in the second-level cache.
    static constexpr std::size_t stage_columns(std::size_t k, std::size_t n) {
        constexpr std::size_t budget = 2304 * 1024, unit = 24, most = 24 * unit;
        const std::size_t fit = budget / (stage_stride(k) * sizeof(staged)) / unit * unit;
        return std::max<std::size_t>(std::min(n, std::clamp(fit, 2 * unit, most)), 1);
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t nb = stage_columns(k, n);
        return tile_bytes + align((nb + 1) * stage_stride(k) * sizeof(staged)) +
               align((nb + most_columns) * rows * lanes * sizeof(sum)) +
               align(nb * sizeof(staged*)) + align(nb * sizeof(std::size_t)) +
               align(nb * sizeof(stretch));
    }
    /// Panels of `lanes` rows: the unit in which rows are shared out.
    static constexpr std::size_t panels(std::size_t m) { return (m + lanes - 1) / lanes; }
    static constexpr std::size_t panel_bytes(std::size_t k) {
        return layout::panel_bytes(k, arch::vector_bytes);
    }
    /// The kernel layout of an m × k matrix from its bitstream, into zeroed bytes.
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_mul(panels(m), panel_bytes(k));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t*, std::size_t m, std::size_t k,
                     std::uint8_t* to) {
        const std::size_t bytes = s3::layout::stream_bytes(m * k, layout::bits);
        for (std::size_t row = 0; row < m; ++row)
            layout::pack_row(stream, bytes, row * k, k,
                             to + row / lanes * panel_bytes(k) + row % lanes * 4,
                             arch::vector_bytes);
    }

    /// `scratch` is 64-byte aligned and holds scratch_bytes(k, n) bytes.
    template <class Source, class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, const Source& source,
                    const Sink& sink, std::byte* scratch) {
        const std::size_t n_count = range.n_end - range.n_begin;
        if (n_count == 0)
            return;
        const std::size_t most = stage_columns(w.columns, n_count);
        const std::size_t batches = (n_count + most - 1) / most;
        const std::size_t nb = std::min(most, (n_count + batches - 1) / batches);
        const std::size_t stride = stage_stride(w.columns);
        const auto take = [&]<class T>(std::type_identity<T>, std::size_t count) {
            auto* const from = reinterpret_cast<T*>(scratch);
            scratch += align(count * sizeof(T));
            return from;
        };
        memory m;
        m.decoded = take(std::type_identity<lane>{}, tile_bytes / sizeof(lane));
        auto* x = take(std::type_identity<staged>{}, (most + 1) * stride);
        m.sums = take(std::type_identity<sum>{}, (most + most_columns) * rows * lanes);
        auto* staged_at = take(std::type_identity<const staged*>{}, most);
        auto* at = take(std::type_identity<std::size_t>{}, most);
        auto* stretches = take(std::type_identity<stretch>{}, most);
        for (std::size_t n = range.n_begin; n < range.n_end; n += nb) {
            const std::size_t count = std::min(nb, range.n_end - n);
            if (n_count <= stream_columns) {
                source(n, count, x, stride);
                stream<Unit>::run(w, range, n, count, x, stride, m.sums, sink);
                continue;
            }
            batch b{count, {staged_at, count, total_steps(w.columns)}, at, {stretches, 0}};
            if (const std::size_t segments = source.template segments<staged>(); segments != 0) {
                // The host's own memory serves: the staging area holds pointers into it instead.
                auto* outside = x + nb * stride;
                b.x.at = reinterpret_cast<const staged**>(x);
                b.x.steps /= segments;
                source.point(n, count, reinterpret_cast<const staged**>(x), outside);
                if (source.ignores_padding())
                    b.x.zeros = outside;
            } else {
                source(n, count, x, stride);
                for (std::size_t c = 0; c < count; ++c)
                    staged_at[c] = x + c * stride;
            }
            sink.place(n, count, at);
            b.stretches = cut(source, n, count, stretches);
            std::size_t p = range.panel_begin;
            // Two panels make twice as long a tile, which pays where tiles are short.
            if (simd::register_count<arch> >= 32 || b.x.steps <= most_blocks(4) * layout::steps)
                for (; range.panel_end - p >= 4; p += 4)
                    block<4>(w, p, b, m, sink);
            for (; range.panel_end - p >= 2; p += 2)
                block<2>(w, p, b, m, sink);
            if (range.panel_end - p >= 1)
                block<1>(w, p, b, m, sink);
        }
    }

private:
    /// Columns that see the same padding.
    struct stretch {
        std::size_t begin, count;
    };
    /// Columns that are multiplied together: where their activations lie, where their outputs go.
    struct batch {
        std::size_t count;
        column_table<staged> x;
        const std::size_t* at;
        std::span<const stretch> stretches;
    };
    /// A decoded tile, of which panels if they have no other; sums of a batch, then of a register
    /// tile.
    struct memory {
        lane* decoded;
        sum* sums;
        std::size_t holds = std::numeric_limits<std::size_t>::max();
    };

    static constexpr std::size_t most_columns = 24;
    /// Columns that R panels meet while they are decoded, which takes some registers. 0 where there
    /// are too few of these, as where sums widen, or where a step is long itself.
    template <std::size_t R>
    static constexpr std::size_t decoding_columns =
        R == rows&& simd::register_count<arch> >= 32 && !std::is_same_v<lane, std::uint32_t> &&
                engine::widen_every == std::numeric_limits<std::size_t>::max()
            ? register_tile<engine, R>::columns - 1
            : 0;
    static constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
    static constexpr std::size_t align(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
    static constexpr std::size_t tile_bytes = most_blocks(1) * layout::steps * arch::vector_bytes;
    static constexpr std::size_t total_steps(std::size_t k) {
        return std::max<std::size_t>((k + layout::columns_per_step - 1) / layout::columns_per_step,
                                     1);
    }

    /// The stretches of a batch, the longest one first: it is the least likely to skip weights,
    /// which are decoded as they meet it.
    template <class Source>
    static std::span<const stretch> cut(const Source& source, std::size_t n, std::size_t count,
                                        stretch* to) {
        std::size_t cuts = 0;
        for (std::size_t c = 0; c < count; c += to[cuts++].count)
            to[cuts] = {c, std::min(source.alike(n + c), count - c)};
        const std::span all(to, cuts);
        std::iter_swap(all.begin(), std::max_element(all.begin(), all.end(),
                                                     [](const stretch& a, const stretch& b) {
                                                         return a.count < b.count;
                                                     }));
        return all;
    }

    template <std::size_t Count>
    static constexpr std::array<std::size_t, Count> places(std::size_t apart) {
        std::array<std::size_t, Count> at{};
        for (std::size_t c = 0; c < Count; ++c)
            at[c] = c * apart;
        return at;
    }

    /// R panels from `panel` on, all columns of a batch.
    template <std::size_t R, class Sink>
    static void block(const panel_view<sum>& w, std::size_t panel, const batch& x, memory& m,
                      const Sink& sink) {
        using product = register_tile<engine, R>;
        static_assert(product::columns <= most_columns);
        constexpr std::size_t height = R * lanes;
        const std::size_t blocks = layout::blocks(w.columns);
        constexpr std::size_t most = most_blocks(R);
        const std::size_t tiles = std::max<std::size_t>((blocks + most - 1) / most, 1);
        const std::size_t each = (blocks + tiles - 1) / tiles;
        const std::size_t bytes = panel_bytes(w.columns);
        const std::size_t row = panel * lanes, valid = std::min(height, w.rows - row);
        sum* const finished = m.sums + x.count * rows * lanes;
        // Where nothing follows the accumulation, sums are finished in place.
        sum* const straight = valid == height ? sink.straight(row) : nullptr;
        constexpr auto in_a_row = places<product::columns>(height);
        constexpr auto nowhere = places<product::columns>(0);
        for (std::size_t t = 0; t < tiles; ++t) {
            const bool first = t == 0, last = t + 1 == tiles;
            const std::size_t b = t * each, now = std::min(each, blocks - b);
            const std::size_t here = panel * bytes + b * block_bytes;
            const std::size_t next = last ? (panel + R) * bytes : here + each * block_bytes;
            const std::size_t begin = b * layout::steps;
            const std::size_t steps =
                blocks == 0 ? 0 : std::min(now * layout::steps, total_steps(w.columns) - begin);
            const auto here_x = x.x.from_step(begin);
            decoder<Unit, R> packed{w.data + here, bytes, next - here, m.decoded};
            // The first columns decode a tile on their way, where that goes by whole blocks.
            const bool missing = m.holds != panel;
            bool decodes = missing && decoding_columns<R> != 0 &&
                           x.stretches[0].count >= decoding_columns<R> &&
                           (steps | x.x.steps) % layout::steps == 0;
            if (missing && !decodes)
                packed.skip(now * layout::steps);
            m.holds = tiles == 1 ? panel : std::numeric_limits<std::size_t>::max();
            for (const stretch& s : x.stretches)
                for (std::size_t c = s.begin, some; c < s.begin + s.count; c += some) {
                    const std::size_t left = s.begin + s.count - c;
                    const std::size_t pieces = (left + product::columns - 1) / product::columns;
                    some = decodes              ? decoding_columns<R>
                           : product::any_count ? (left + pieces - 1) / pieces
                                                : std::min(left, product::columns);
                    const lane* from = reinterpret_cast<const lane*>(first ? w.initial + row
                                                                           : m.sums + c * height);
                    const std::size_t* const from_at = first ? nowhere.data() : in_a_row.data();
                    sum* const to = !last ? m.sums + c * height : straight ? straight : finished;
                    const std::size_t* const to_at = last && straight ? x.at + c : in_a_row.data();
                    if (to != finished)
                        fetch<height>(to, to_at, some);
                    auto* const out = reinterpret_cast<lane*>(to);
                    if constexpr (decoding_columns<R> != 0)
                        if (decodes)
                            product::template exactly<decoding_columns<R>>(
                                packed, steps, here_x.from_column(c), {from, from_at, out, to_at});
                    if (!decodes)
                        product::template run<>(m.decoded, steps, here_x.from_column(c),
                                                {from, from_at, out, to_at}, some);
                    decodes = false;
                    if (last && !straight)
                        sink(x.at + c, some, row, valid, to, height);
                }
        }
    }

    /// Brings the lines that sums will be stored to into cache while they are added up, so that
    /// the stores do not wait for memory.
    template <std::size_t Height>
    static S3_INLINE void fetch(const sum* to, const std::size_t* to_at, std::size_t count) {
        for (std::size_t c = 0; c < count; ++c)
            S3_UNROLL_FOR(std::size_t i = 0; i < Height; i += 64 / sizeof(sum))
                __builtin_prefetch(to + to_at[c] + i, 1);
    }
};

} // namespace s3::kernel
