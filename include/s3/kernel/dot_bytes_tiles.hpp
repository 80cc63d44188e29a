#pragma once
// `dot` on a matrix unit (kernel/parts/tile_sums.hpp): tiles of up to 16 activation vectors, as
// they are staged, meet tiles of 16 rows of weights, decoded as for dot_bytes_panels. Two tiles of
// each at a time; of up to 16 activation vectors one, and four of rows.
//
// Each 64 of the depth is decoded while the unit multiplies the 64 before it. Where no other
// activation vectors meet them, sums stay in the unit over the whole depth. Else 1024 of the
// depth, decoded, stay in the first-level cache for all others, which are loaded past it: the unit
// takes 64 bytes a cycle, which is more than the second-level cache gives. To store the sums after
// every 1024 and load them again costs less.
//
// Layout: panels of 32 rows, each the panels of dot_bytes_panels that make 32 rows, one after the
// other, padded with whatever a code 0 stands for.

#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/tile_sums.hpp>

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
    static constexpr std::size_t steps = tile_depth / Unit::layout::depth_per_step;
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
        const std::size_t vectors = (all + batches - 1) / batches;
        batch b;
        b.decoded = reinterpret_cast<lane*>(scratch);
        b.sums = reinterpret_cast<sum*>(scratch += decoded_bytes);
        b.at = reinterpret_cast<std::size_t*>(scratch += sum_bytes(vectors + tile_rows));
        b.x = reinterpret_cast<staged*>(scratch += place_bytes(vectors + tile_rows));
        b.stride = stride(w.columns);
        b.height = tile_height(vectors);
        const auto height = static_cast<std::uint8_t>(b.height);
        unit t({height, height, height, height, height, height, tile_rows, tile_rows});
        for (b.first = range.n_begin; b.first < range.n_end; b.first += vectors) {
            b.count = std::min(vectors, range.n_end - b.first);
            source(b.first, b.count, b.x, b.stride);
            // Tiles are whole: what is behind the last activations meets weights, too.
            const std::size_t whole = (b.count + b.height - 1) / b.height * b.height;
            std::fill(b.x + b.count * b.stride, b.x + whole * b.stride, staged{0});
            sink.place(b.first, b.count, b.at);
            unfinished_sums<Sink> finished{&sink};
            std::size_t p = range.panel_begin;
            if (b.count <= b.height)
                for (; range.panel_end - p >= 2; p += 2)
                    multiply<2>(t, w, p, b, finished);
            for (; p < range.panel_end; ++p)
                multiply<1>(t, w, p, b, finished);
            finished.finish(finished.columns);
        }
    }

private:
    static constexpr std::size_t deep_together = 16; ///< tiles of weights in the first-level cache

    static constexpr std::size_t decoded_bytes = deep_together * panel_rows * tile_depth;
    /// Two times what the unit holds, and one panel's sums of all activation vectors.
    static constexpr std::size_t sum_bytes(std::size_t vectors) {
        return (2 * unit_sums + vectors * panel_rows) * sizeof(sum);
    }
    static constexpr std::size_t place_bytes(std::size_t vectors) {
        return whole_lines(vectors * sizeof(std::size_t));
    }

    /// Activation vectors that are staged together, and the memory to multiply them.
    struct batch {
        std::size_t first, count;
        std::size_t height; ///< activation vectors of a tile
        lane* decoded;
        sum* sums;
        std::size_t* at;
        staged* x;
        std::size_t stride; ///< bytes from one activation vector to the next
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
        const std::size_t all = tiles_deep(k), together = keep ? deep_together : all;
        decoder<Unit, parts> packed{w.data + panel * panel_bytes(k), part_bytes(k),
                                    P * panel_bytes(k), b.decoded};
        std::size_t steps_left = layout::blocks(k) * layout::steps;
        std::size_t d = 0;
        do {
            const std::size_t deep = std::min(together, all - d);
            const std::size_t steps = std::min(steps_left, deep * tile_steps);
            const bool last = d + deep == all;
            const auto pass = [&](std::size_t c, auto& weights) S3_INLINE_LAMBDA {
                sum* const kept = b.sums + 2 * unit_sums + c * panel_rows;
                sum* const other = b.sums + (finished.sums < b.sums + unit_sums ? unit_sums : 0);
                const unit_pass s{b.height, d == 0 ? w.initial + row : nullptr, kept,
                                  last ? other : kept};
                const staged* const x = b.x + d * tile_depth + c * b.stride;
                if (b.count - c <= b.height) {
                    batch_steps<2 * P, 1, decltype(weights)> at{weights, x, b};
                    add_up_tiles<2 * P, 1>(t, at, deep, s, finished);
                } else if constexpr (P == 1) {
                    batch_steps<2, 2, decltype(weights)> at{weights, x, b};
                    add_up_tiles<2, 2>(t, at, deep, s, finished);
                }
                if (last)
                    finished = {
                        finished.sink, b.at + c, std::min(2 * b.height, b.count - c), s.sums,
                        rows,          row,      std::min(rows, w.rows - row)};
            };
            tiles_ahead<Unit, parts> ahead(packed, b.decoded, keep ? deep : 2, steps);
            pass(0, ahead);
            for (std::size_t c = 2 * b.height; c < b.count; c += 2 * b.height) {
                decoded_tiles decoded{b.decoded};
                pass(c, decoded);
            }
            packed = ahead.rest();
            steps_left -= steps;
            d += deep;
        } while (d < all);
    }

    /// One panel that is decoded already.
    struct decoded_tiles {
        const lane* at;
        S3_INLINE const lane* next() noexcept {
            const lane* const now = at;
            at += panel_rows * tile_depth / sizeof(lane);
            return now;
        }
    };

    /// The steps of add_up_tiles: weights of R tiles of rows, and C tiles of a batch from x on.
    template <std::size_t R, std::size_t C, class Weights>
    struct batch_steps {
        static constexpr bool weights_stay = true;
        struct step {
            const std::uint8_t* weights;
            const staged* x[C];
        };
        Weights weights;
        const staged* x;
        const batch& b;

        S3_INLINE std::size_t x_stride() const noexcept { return b.stride; }
        S3_INLINE step next() noexcept {
            step s{reinterpret_cast<const std::uint8_t*>(weights.next()), {}};
            simd::unrolled<C>([&](auto c)
                                  S3_INLINE_LAMBDA { s.x[c] = x + c * b.height * b.stride; });
            x += tile_depth;
            return s;
        }
    };
};

/// Some 3 to 4 times as fast as dot products of vectors. One or two activation vectors are bound by
/// memory, and a few rows by their outputs: these have no use for tiles.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_tiles {
    static constexpr const char* name = "dot_bytes_tiles";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = has_byte_dot<F, X, Arch> && simd::has_tiles<Arch>;
    static constexpr rank_range ranks{0, 350};
    static constexpr int rank(const product_request& r) noexcept {
        return r.rows < tile_rows ? 60 : r.batch <= 2 ? 90 : ranks.most;
    }
    static bool permitted() noexcept { return simd::tiles_permitted<Arch>(); }
    static auto loop() { return std::type_identity<tile_product<byte_dot<F, Arch>>>{}; }
};

} // namespace s3::kernel
