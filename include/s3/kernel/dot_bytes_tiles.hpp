#pragma once
// `dot` on a matrix unit (simd/tiles.hpp): a tile of up to 16 activation vectors, as they are
// staged, meets a tile of 16 rows of weights, decoded as for dot_bytes_panels.
//
//   tiles 0 … 3    sums: 2 × 2 tiles of activation vectors and rows; up to 16 vectors: 1 × 4
//   tiles 4, 5     activations, 64 deep
//   tiles 6, 7     weights: [step of 4][16 rows], 16 steps
//
// Each 64 of the depth is decoded while the unit multiplies the 64 before it. Where only these
// tiles of activations meet them, sums stay in the unit over the whole depth. Else 1024 of the
// depth, decoded, stay in the first-level cache for all others, which are loaded past it: the unit
// takes 64 bytes a cycle, which is more than the second-level cache gives. To store the sums after
// every 1024 and load them again costs less.
//
// Layout: panels of 32 rows, each the panels of dot_bytes_panels that make 32 rows, one after the
// other, padded with whatever a code 0 stands for.

#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/simd/tiles.hpp>

namespace s3::kernel {

/// Weights of R panels as tiles of [step][R] vectors, one of which is always decoded ahead of use.
template <panel_unit Unit, std::size_t R>
class tiles_ahead {
    using lane = typename Unit::engine::element;
    decoder<Unit, R> weights_;
    lane* const slots_;
    const std::size_t count_;
    std::size_t at_ = 0;
    std::size_t left_;

public:
    static constexpr std::size_t steps = 64 / Unit::layout::depth_per_step;
    static constexpr std::size_t lanes = steps * R * decoder<Unit, R>::lanes; ///< of a tile

    /// `slots` has room for `count` tiles, of which the last ones decoded are kept; `depth_steps`
    /// are all steps of the weights.
    tiles_ahead(const decoder<Unit, R>& weights, lane* slots, std::size_t count,
                std::size_t depth_steps) noexcept
        : weights_(weights), slots_(slots), count_(count), left_(depth_steps) {
        decode();
    }
    S3_INLINE const lane* next() noexcept {
        const lane* const now = slots_ + at_ * lanes;
        at_ = at_ + 1 < count_ ? at_ + 1 : 0;
        if (left_ != 0)
            decode();
        return now;
    }

    /// What comes after the last of them.
    decoder<Unit, R> rest() const noexcept { return weights_; }

private:
    S3_INLINE void decode() noexcept {
        const std::size_t some = std::min(steps, left_);
        weights_.to = slots_ + at_ * lanes;
        weights_.skip(some);
        std::fill_n(weights_.to, (steps - some) * (lanes / steps), lane{0});
        left_ -= some;
    }
};

template <panel_unit Unit>
struct tile_product {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    using unit = simd::tiles<arch>;
    static constexpr int zero_point = Unit::zero_point;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t tile_rows = 16;
    static constexpr std::size_t tile_depth = 64;
    static constexpr std::size_t tile_steps = tile_depth / layout::depth_per_step;
    static constexpr std::size_t panel_rows = 2 * tile_rows;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_mul(panels(m), panel_bytes(k));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t* row_sums, std::size_t m,
                     std::size_t k, std::uint8_t* to) {
        panel_product<Unit>::pack(stream, row_sums, m, k, to);
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t vectors = std::min(n, most_columns(k)) + tile_rows;
        return decoded_bytes + sum_bytes(vectors) + place_bytes(vectors) + vectors * stride(k);
    }

    /// `scratch` is 64-byte aligned and holds scratch_bytes(k, n) bytes.
    template <activation_source<staged> Source, sum_sink<sum> Sink>
    static void run(const panel_view<sum>& w, const work_range& range, const Source& source,
                    const Sink& sink, std::byte* scratch) {
        const std::size_t all = range.n_end - range.n_begin;
        if (all == 0)
            return;
        const std::size_t most = most_columns(w.columns), batches = (all + most - 1) / most;
        batch b;
        b.vectors = (all + batches - 1) / batches;
        b.decoded = reinterpret_cast<lane*>(scratch);
        b.sums = reinterpret_cast<sum*>(scratch += decoded_bytes);
        b.at = reinterpret_cast<std::size_t*>(scratch += sum_bytes(b.vectors + tile_rows));
        b.x = reinterpret_cast<staged*>(scratch += place_bytes(b.vectors + tile_rows));
        b.stride = stride(w.columns);
        // Tiles of the same height, and none but the last has less to do.
        const std::size_t tiles = (b.vectors + tile_rows - 1) / tile_rows;
        b.height = (b.vectors + tiles - 1) / tiles;
        const auto height = static_cast<std::uint8_t>(b.height);
        unit t({height, height, height, height, height, height, tile_rows, tile_rows});
        for (b.first = range.n_begin; b.first < range.n_end; b.first += b.vectors) {
            b.count = std::min(b.vectors, range.n_end - b.first);
            source(b.first, b.count, b.x, b.stride);
            // Tiles are whole: what is behind the last activations meets weights, too.
            const std::size_t whole = (b.count + b.height - 1) / b.height * b.height;
            std::fill(b.x + b.count * b.stride, b.x + whole * b.stride, staged{0});
            sink.place(b.first, b.count, b.at);
            unfinished<Sink> last{sink};
            std::size_t p = range.panel_begin;
            if (b.count <= b.height)
                for (; range.panel_end - p >= 2; p += 2)
                    multiply<2>(t, w, p, b, last);
            for (; p < range.panel_end; ++p)
                multiply<1>(t, w, p, b, last);
            last.finish(last.count);
        }
    }

private:
    static constexpr std::size_t deep_together = 16; ///< tiles of weights in the first-level cache

    static constexpr std::size_t decoded_bytes = deep_together * panel_rows * tile_depth;
    static constexpr std::size_t unit_sums = 4 * tile_rows * tile_rows; ///< that the unit holds
    /// Two times what the unit holds, and one panel's sums of all activation vectors.
    static constexpr std::size_t sum_bytes(std::size_t vectors) {
        return (2 * unit_sums + vectors * panel_rows) * sizeof(sum);
    }
    static constexpr std::size_t place_bytes(std::size_t vectors) {
        return whole_lines(vectors * sizeof(std::size_t));
    }

    /// Activation vectors that are staged together, and the memory to multiply them.
    struct batch {
        std::size_t vectors; ///< of every batch but the last
        std::size_t first, count;
        std::size_t height; ///< activation vectors of a tile
        lane* decoded;
        sum* sums; ///< [activation vector][row]
        std::size_t* at;
        staged* x;
        std::size_t stride; ///< bytes from one activation vector to the next
    };

    /// Sums that are complete, and go to their outputs while the unit makes the next ones: the
    /// unit waits for no store.
    template <class Sink>
    struct unfinished {
        const Sink& sink;
        std::size_t count = 0; ///< activation vectors
        const std::size_t* at = nullptr;
        const sum* sums = nullptr; ///< [activation vector][row]
        std::size_t stride = 0, row = 0, rows = 0;

        S3_INLINE void finish(std::size_t most) noexcept {
            const std::size_t some = std::min(most, count);
            if (some == 0)
                return;
            sink(at, some, row, rows, sums, stride);
            at += some;
            sums += some * stride;
            count -= some;
        }
    };

    static constexpr std::size_t panel_bytes(std::size_t k) {
        return saturating_mul(panel_rows / lanes, part_bytes(k));
    }
    static constexpr std::size_t part_bytes(std::size_t k) {
        return panel_product<Unit>::panel_bytes(k);
    }
    static constexpr std::size_t tiles_deep(std::size_t k) {
        return (k + tile_depth - 1) / tile_depth;
    }
    /// No multiple of 4 KiB, which would put all vectors into one set of the cache.
    static constexpr std::size_t stride(std::size_t k) { return tiles_deep(k) * tile_depth + 64; }
    /// The most activation vectors that are staged together: half of a second-level cache, as all
    /// that have such a unit have it.
    static constexpr std::size_t most_columns(std::size_t k) {
        constexpr std::size_t budget = 1024 * 1024, unit = panel_rows;
        return std::clamp<std::size_t>(budget / stride(k) / unit * unit, 2 * unit, 16 * unit);
    }

    /// P panels times a batch.
    template <std::size_t P, class Unfinished>
    static S3_NOINLINE void multiply(unit& t, const panel_view<sum>& w, std::size_t panel,
                                     const batch& b, Unfinished& finished) {
        constexpr std::size_t parts = P * panel_rows / lanes, rows = P * panel_rows;
        const std::size_t k = w.columns, row = panel * panel_rows;
        const bool keep = b.count > 2 * b.height;
        const std::size_t deep = tiles_deep(k), together = keep ? deep_together : deep;
        decoder<Unit, parts> packed{w.data + panel * panel_bytes(k), part_bytes(k),
                                    P * panel_bytes(k), b.decoded};
        std::size_t steps_left = layout::blocks(k) * layout::steps;
        std::size_t d = 0;
        do {
            pass p{std::min(together, deep - d), b.x + d * tile_depth,
                   d == 0 ? w.initial + row : nullptr};
            const std::size_t steps = std::min(steps_left, p.deep * tile_steps);
            const bool last = d + p.deep == deep;
            const auto multiply = [&](std::size_t c, auto& weights) S3_INLINE_LAMBDA {
                const std::size_t some = std::min(2 * b.height, b.count - c);
                sum* const kept = b.sums + 2 * unit_sums + c * panel_rows;
                sum* const other = b.sums + (finished.sums < b.sums + unit_sums ? unit_sums : 0);
                p.before = kept;
                p.sums = last ? other : kept;
                add_up<P>(t, weights, p, c, b, finished);
                finished.finish(finished.count);
                if (last) {
                    finished.count = some;
                    finished.at = b.at + c;
                    finished.sums = p.sums;
                    finished.stride = rows;
                    finished.row = row;
                    finished.rows = std::min(rows, w.rows - row);
                }
            };
            tiles_ahead<Unit, parts> ahead(packed, b.decoded, keep ? p.deep : 2, steps);
            multiply(0, ahead);
            for (std::size_t c = 2 * b.height; c < b.count; c += 2 * b.height) {
                decoded_tiles decoded{b.decoded};
                multiply(c, decoded);
            }
            packed = ahead.rest();
            steps_left -= steps;
            d += p.deep;
        } while (d < deep);
    }

    /// A part of the depth.
    struct pass {
        std::size_t deep; ///< tiles
        const staged* x;
        const sum* initial; ///< what sums begin with; null where that is `before`
        const sum* before = nullptr;
        sum* sums = nullptr;
    };

    /// One panel that is decoded already.
    struct decoded_tiles {
        const lane* at;
        S3_INLINE const lane* next() noexcept {
            const lane* const now = at;
            at += panel_rows * tile_depth / sizeof(lane);
            return now;
        }
    };

    /// Sums of one or two tiles of activation vectors, from number `first` on, and of P panels.
    template <std::size_t P, class Weights, class Unfinished>
    static S3_INLINE void add_up(unit& t, Weights& weights, const pass& p, std::size_t first,
                                 const batch& b, Unfinished& finished) {
        const staged* const x = p.x + first * b.stride;
        if (b.count - first <= b.height)
            add_up_tiles<2 * P, 1>(t, weights, p, x, b.height, b.stride, finished);
        else if constexpr (P == 1)
            add_up_tiles<2, 2>(t, weights, p, x, b.height, b.stride, finished);
    }
    /// sums[vector][row] of C tiles of activation vectors and R tiles of rows.
    template <std::size_t R, std::size_t C, class Weights, class Unfinished>
    static S3_INLINE void add_up_tiles(unit& t, Weights& weights, const pass& p, const staged* x,
                                       std::size_t height, std::size_t stride,
                                       Unfinished& finished) {
        constexpr std::size_t step_bytes = R * tile_rows * sizeof(lane);
        constexpr std::size_t sum_stride = R * tile_rows * sizeof(sum);
        const auto tile = [&](auto* of, std::size_t i) S3_INLINE_LAMBDA {
            return of + (i / R * height * R + i % R) * tile_rows;
        };
        simd::unrolled<R * C>([&](auto i) S3_INLINE_LAMBDA {
            if (p.initial != nullptr)
                t.template load<i>(p.initial + i % R * tile_rows, 0);
            else
                t.template load<i>(tile(p.before, i), sum_stride);
        });
        const std::size_t each = std::max<std::size_t>(
            8, p.deep == 0 ? 0 : (finished.count + p.deep - 1) / p.deep);
        for (std::size_t d = p.deep; d > 0; --d, x += tile_depth) {
            const lane* const w = weights.next();
            simd::unrolled<R>([&](auto r) S3_INLINE_LAMBDA {
                constexpr int rows = 6 + r % 2;
                t.template load<rows>(w + r * tile_rows, step_bytes);
                simd::unrolled<C>([&](auto c) S3_INLINE_LAMBDA {
                    if constexpr (r == 0)
                        t.template load_past<4 + c>(x + c * height * stride, stride);
                    t.template dot<c * R + r, 4 + c, rows>();
                });
            });
            finished.finish(each);
        }
        simd::unrolled<R * C>(
            [&](auto i) S3_INLINE_LAMBDA { t.template store<i>(tile(p.sums, i), sum_stride); });
    }
};

/// Preferred wherever the process may use tiles: the unit's peak is some eight times that of dot
/// products of vectors, though how much of it this kernel reaches is not measured yet. A single
/// activation vector is bound by memory, and has no use for tiles.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_tiles {
    static constexpr const char* name = "dot_bytes_tiles";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = has_byte_dot<F, X, Arch> && simd::has_tiles<Arch>;
    static constexpr rank_range ranks{0, 390};
    static constexpr int rank(const product_request& r) noexcept {
        return r.batch > 1 ? ranks.most : 50;
    }
    static bool permitted() noexcept { return simd::tiles_permitted<Arch>(); }
    static auto loop() { return std::type_identity<tile_product<byte_dot<F, Arch>>>{}; }
};

} // namespace s3::kernel
