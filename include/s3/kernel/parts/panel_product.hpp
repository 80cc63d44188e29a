#pragma once
// The matrix product of panels of packed weights with staged activations, for any panel_unit
// (dot_bytes_panels, dot_words_panels, shift_add_words_panels). Rows are lanes, and an activation
// is broadcast to all of them. Columns are activation vectors.
//
//   few columns    stream.hpp, bound by memory
//   many columns   the weights of R panels, for up to 512 steps at R = 4, are decoded into cache
//                  while the first columns are multiplied by them; all other columns then use the
//                  decoded weights, with R × C vectors of sums at a time in registers
//
// `source` and `sink` are an activation_source and a sum_sink (kernel/seams.hpp). Precondition: no
// sum overflows. Nothing is read outside the panels and the staged columns.

#include <s3/core/saturating.hpp>
#include <s3/kernel/parts/decoder.hpp>
#include <s3/kernel/parts/register_tile.hpp>
#include <s3/kernel/parts/stream.hpp>
#include <s3/kernel/seams.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>

namespace s3::kernel {

template <panel_unit Unit>
struct panel_product {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    static constexpr int zero_point = Unit::zero_point;
    static constexpr std::size_t stream_columns = Unit::stream_columns;
    static constexpr std::size_t lanes = simd::width32<arch>;
    /// The largest number of panels that are decoded together.
    static constexpr std::size_t rows = 4;
    /// The largest number of blocks, of so many panels, that are decoded together. A decoded tile
    /// can be longer than the first-level cache, because it streams from the second-level cache as
    /// fast as it is used up; and longer tiles mean that sums are stored and loaded again less
    /// often. Machines with few registers use a tile for only two columns at a time, so there it
    /// must stay in the first-level cache.
    static constexpr std::size_t most_blocks(std::size_t panels) {
        return (simd::register_count<arch> >= 32 ? 512 : 192) * rows / panels / layout::steps;
    }

    /// The number of columns that R panels are multiplied by while they are decoded: one less than
    /// otherwise, since decoding takes some registers. It is 0 (decoding comes first) where
    /// registers are too few, where sums widen, and where decoding a step takes long in itself.
    template <std::size_t R>
    static constexpr std::size_t decoding_columns =
        R == rows&& simd::register_count<arch> >= 32 && !std::is_same_v<lane, std::uint32_t> &&
                engine::widen_every == std::numeric_limits<std::size_t>::max()
            ? register_tile<engine, R>::columns - 1
            : 0;
    /// Elements from one staged column to the next. The padding avoids multiples of 4 KiB, which
    /// would put all columns into the same set of the cache.
    static constexpr std::size_t stage_stride(std::size_t k) {
        return layout::blocks(k) * block_columns + 64 / sizeof(staged);
    }
    /// The largest number of columns that are staged together. More columns share the cost of
    /// decoding a tile of weights, but the part of their activations that one tile uses should stay
    /// in the second-level cache.
    static constexpr std::size_t stage_columns(std::size_t k, std::size_t n) {
        constexpr std::size_t budget = 2304 * 1024, unit = 24, most = 24 * unit;
        const std::size_t fit = budget / (stage_stride(k) * sizeof(staged)) / unit * unit;
        return std::max<std::size_t>(std::min(n, std::clamp(fit, 2 * unit, most)), 1);
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t nb = stage_columns(k, n);
        return tile_bytes + whole_lines((nb + 1) * stage_stride(k) * sizeof(staged)) +
               whole_lines((nb + most_columns) * rows * lanes * sizeof(sum)) +
               whole_lines(nb * sizeof(staged*)) + whole_lines(nb * sizeof(std::size_t)) +
               whole_lines(nb * sizeof(column_span));
    }
    /// The number of panels, each of `lanes` rows: the unit in which rows are divided among
    /// threads.
    static constexpr std::size_t panels(std::size_t m) { return (m + lanes - 1) / lanes; }
    static constexpr std::size_t panel_bytes(std::size_t k) {
        return layout::panel_bytes(k, arch::vector_bytes);
    }
    /// The size of the layout of an m × k matrix, and its packing from a bitstream into zeroed
    /// bytes.
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

    /// Computes a range of outputs. `scratch` is aligned to 64 bytes and has scratch_bytes(k, n)
    /// bytes, where n is the number of columns in the range.
    template <activation_source<staged> Source, sum_sink<sum> Sink>
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
            scratch += whole_lines(count * sizeof(T));
            return from;
        };
        memory m;
        m.decoded = take(std::type_identity<lane>{}, tile_bytes / sizeof(lane));
        auto* x = take(std::type_identity<staged>{}, (most + 1) * stride);
        m.sums = take(std::type_identity<sum>{}, (most + most_columns) * rows * lanes);
        auto* staged_at = take(std::type_identity<const staged*>{}, most);
        auto* at = take(std::type_identity<std::size_t>{}, most);
        auto* spans = take(std::type_identity<column_span>{}, most);
        for (std::size_t n = range.n_begin; n < range.n_end; n += nb) {
            const std::size_t count = std::min(nb, range.n_end - n);
            if (n_count <= stream_columns) {
                source(n, count, x, stride);
                std::fill(x + count * stride, x + stream<Unit>::computed(count) * stride, staged{});
                stream<Unit>::run(w, range, n, count, x, stride, m.sums, sink);
                continue;
            }
            batch b{count, {staged_at, count, total_steps(w.columns)}, at, {}};
            if (const std::size_t segments = source.template segments<staged>(); segments != 0) {
                // The host's own memory is read in place: the staging area holds pointers into it
                // instead.
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
            b.spans = cut(source, n, count, spans);
            std::size_t p = range.panel_begin;
            // Two panels allow a tile that is twice as long, which pays where short tiles would cut
            // the depth, and may leave registers for more sums.
            constexpr bool as_many_sums =
                register_tile<engine, 4>::sums == register_tile<engine, 2>::sums;
            if (simd::register_count<arch> >= 32 ||
                (as_many_sums && b.x.steps <= most_blocks(4) * layout::steps))
                for (; range.panel_end - p >= 4; p += 4)
                    multiply<4>(w, p, b, m, sink);
            for (; range.panel_end - p >= 2; p += 2)
                multiply<2>(w, p, b, m, sink);
            if (range.panel_end - p >= 1)
                multiply<1>(w, p, b, m, sink);
        }
    }

private:
    /// Adjacent columns that have padding in the same segments.
    struct column_span {
        std::size_t begin, count;
    };
    /// Columns that are multiplied together: where their activations lie and where their outputs
    /// go.
    struct batch {
        std::size_t count;
        column_table<staged> x;
        const std::size_t* at;
        std::span<const column_span> spans;
    };
    static constexpr std::size_t nothing = std::numeric_limits<std::size_t>::max();
    struct memory {
        lane* decoded; ///< the decoded weights of some panels, for a part of their depth
        sum* sums;     ///< the sums of a batch's columns and, behind them, those of a register tile
        /// The first of those panels if their whole depth is decoded, else `nothing`.
        std::size_t holds = nothing;
    };

    static constexpr std::size_t most_columns = 24;
    static constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
    static constexpr std::size_t tile_bytes = most_blocks(1) * layout::steps * arch::vector_bytes;
    static constexpr std::size_t total_steps(std::size_t k) {
        return std::max<std::size_t>((k + layout::depth_per_step - 1) / layout::depth_per_step, 1);
    }

    /// Cuts a batch into spans and puts the longest one first. Its columns decode the weights on
    /// their way, and it is the least likely to have segments of padding, which skip weights.
    template <class Source>
    static std::span<const column_span> cut(const Source& source, std::size_t n, std::size_t count,
                                            column_span* to) {
        std::size_t cuts = 0;
        for (std::size_t c = 0; c < count; c += to[cuts++].count)
            to[cuts] = {c, std::min(source.alike(n + c), count - c)};
        const std::span all(to, cuts);
        std::iter_swap(all.begin(),
                       std::max_element(all.begin(), all.end(),
                                        [](const column_span& a, const column_span& b) {
                                            return a.count < b.count;
                                        }));
        return all;
    }

    /// The numbers 0, apart, 2·apart and so on.
    template <std::size_t Count>
    static constexpr std::array<std::size_t, Count> multiples(std::size_t apart) {
        std::array<std::size_t, Count> at{};
        for (std::size_t c = 0; c < Count; ++c)
            at[c] = c * apart;
        return at;
    }

    /// The product of R panels, from `panel` on, with a batch.
    template <std::size_t R, class Sink>
    struct panel_block {
        using product = register_tile<engine, R>;
        static_assert(product::columns <= most_columns);
        static constexpr std::size_t height = R * lanes;
        static constexpr auto in_a_row = multiples<product::columns>(height);
        static constexpr auto same_place = multiples<product::columns>(0);

        const panel_view<sum>& w;
        std::size_t panel;
        const batch& x;
        memory& m;
        const Sink& sink;
        std::size_t row = panel * lanes;
        std::size_t valid = std::min(height, w.rows - row);
        /// The sums of a register tile, for a sink that takes them from memory.
        sum* finished = m.sums + x.count * rows * lanes;
        /// The place of the outputs if they are the sums themselves, else null.
        sum* straight = valid == height ? sink.straight(row) : nullptr;

        /// A part of the depth: blocks of packed weights that are decoded together.
        struct depth_part {
            std::size_t first, count; ///< in blocks
            bool begins, ends;        ///< whether the part begins, or ends, the depth
        };

        void run() {
            constexpr std::size_t most = most_blocks(R);
            const std::size_t blocks = layout::blocks(w.columns);
            const std::size_t parts = std::max<std::size_t>((blocks + most - 1) / most, 1);
            const std::size_t each = (blocks + parts - 1) / parts;
            for (std::size_t p = 0; p < parts; ++p)
                multiply({p * each, std::min(each, blocks - p * each), p == 0, p + 1 == parts});
        }

    private:
        /// Multiplies one part of the depth by all columns. The first columns decode the weights as
        /// they use them, if all segments are whole blocks; else the weights are decoded
        /// beforehand.
        void multiply(const depth_part& part) {
            const std::size_t begin = part.first * layout::steps;
            const std::size_t steps =
                std::min(part.count * layout::steps, total_steps(w.columns) - begin);
            const auto activations = x.x.from_step(begin);
            decoder<Unit, R> packed = packed_weights(part);
            const bool missing = m.holds != panel;
            bool decodes = missing && decoding_columns<R> != 0 &&
                           x.spans[0].count >= decoding_columns<R> &&
                           (steps | x.x.steps) % layout::steps == 0;
            if (missing && !decodes)
                packed.skip(part.count * layout::steps);
            m.holds = part.begins && part.ends ? panel : nothing;
            for (const column_span& s : x.spans)
                for (std::size_t c = s.begin, some; c < s.begin + s.count; c += some) {
                    some = decodes ? decoding_columns<R> : next_tile(s.begin + s.count - c);
                    const auto sums = places(part, c, some);
                    if constexpr (decoding_columns<R> != 0)
                        if (decodes)
                            product::template exactly<decoding_columns<R>>(
                                packed, steps, activations.from_column(c), sums);
                    if (!decodes)
                        product::template run<>(m.decoded, steps, activations.from_column(c), sums,
                                                some);
                    decodes = false;
                    if (part.ends && straight == nullptr)
                        sink(x.at + c, some, row, valid, finished, height);
                }
        }

        decoder<Unit, R> packed_weights(const depth_part& part) const noexcept {
            const std::size_t bytes = panel_bytes(w.columns);
            const std::size_t here = panel * bytes + part.first * block_bytes;
            const std::size_t next =
                part.ends ? (panel + R) * bytes : here + part.count * block_bytes;
            return {w.data + here, bytes, next - here, m.decoded};
        }
        /// How many of the columns that are left make the next register tile.
        static std::size_t next_tile(std::size_t left) noexcept {
            const std::size_t tiles = (left + product::columns - 1) / product::columns;
            return product::any_count ? (left + tiles - 1) / tiles
                                      : std::min(left, product::columns);
        }
        /// Where the sums of `count` columns from column c on start from in a part of the depth,
        /// and where they go. Lines of memory that they will be stored to are prefetched meanwhile.
        tile_sums<lane> places(const depth_part& part, std::size_t c,
                               std::size_t count) const noexcept {
            sum* const kept = m.sums + c * height;
            const sum* const begin = part.begins ? w.initial + row : kept;
            const std::size_t* const begin_at = (part.begins ? same_place : in_a_row).data();
            sum* const end = !part.ends ? kept : straight ? straight : finished;
            const std::size_t* const end_at = part.ends && straight ? x.at + c : in_a_row.data();
            if (end != finished)
                fetch(end, end_at, count);
            return {reinterpret_cast<const lane*>(begin), begin_at, reinterpret_cast<lane*>(end),
                    end_at};
        }
        static S3_INLINE void fetch(const sum* to, const std::size_t* to_at, std::size_t count) {
            for (std::size_t c = 0; c < count; ++c)
                S3_UNROLL_FOR(std::size_t i = 0; i < height; i += 64 / sizeof(sum))
                    __builtin_prefetch(to + to_at[c] + i, 1);
        }
    };
    /// A function of its own, so that it is compiled once for all sources.
    template <std::size_t R, class Sink>
    static S3_NOINLINE void multiply(const panel_view<sum>& w, std::size_t panel, const batch& x,
                                     memory& m, const Sink& sink) {
        panel_block<R, Sink>{w, panel, x, m, sink}.run();
    }
};

} // namespace s3::kernel
