#pragma once
// The matrix product for a few columns, bound by memory: load a block of packed weights, decode it
// in registers, accumulate, store. Weights are read once and in order, so that sequential reading
// sets the pace.

#include <s3/kernel/parts/planes.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>

namespace s3::kernel {

/// The prepared weights of a matrix: `rows` × `columns`, and what every row's sum starts from
/// (`initial` covers whole panels).
template <class Sum>
struct panel_view {
    const std::uint8_t* data = nullptr;
    std::size_t rows = 0;
    std::size_t columns = 0;
    const Sum* initial = nullptr;
};

/// The part of the output that one task computes: columns [n_begin, n_end), panels likewise.
struct work_range {
    std::size_t n_begin = 0, n_end = 0, panel_begin = 0, panel_end = 0;
};

template <class Unit>
struct stream {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    static constexpr std::size_t lanes = simd::width32<arch>;

    /// Panels [range.panel_begin, range.panel_end) × the staged columns x, `count` of them, which
    /// are columns n, n + 1, … of the sink. `sums` has room for a panel of each.
    template <class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, std::size_t n,
                    std::size_t count, const staged* x, std::size_t stride, sum* sums,
                    const Sink& sink) {
        for (std::size_t p = range.panel_begin; p < range.panel_end; ++p) {
            any<Unit::stream_columns>(w, p, x, stride, count, sums);
            const std::size_t row = p * lanes, valid = std::min(lanes, w.rows - row);
            for (std::size_t c = 0; c < count; ++c)
                sink(n + c, row, valid, sums + c * lanes);
        }
    }

private:
    template <std::size_t C>
    static S3_INLINE void any(const panel_view<sum>& w, std::size_t panel, const staged* x,
                              std::size_t stride, std::size_t c, sum* sums) {
        if constexpr (C > 0) {
            if (c == C)
                return exactly<C>(w, panel, x, stride, sums);
            any<C - 1>(w, panel, x, stride, c, sums);
        }
    }

    /// One panel against C columns.
    template <std::size_t C>
    static S3_NOINLINE void exactly(const panel_view<sum>& w, std::size_t panel,
                                    const staged* S3_RESTRICT x, std::size_t stride,
                                    sum* S3_RESTRICT sums) {
        // Several chains of sums for few columns: one would wait for each instruction's result.
        constexpr std::size_t chains = C == 1 ? 8 : C == 2 ? 4 : C <= 4 ? 2 : 1;
        constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
        // How far ahead weights are fetched, and into which cache, as measured: into the first
        // level where little is computed per byte; else memory has more time, and the columns and
        // sums need the first level for themselves.
        constexpr bool busy = 2 * C >= layout::bits;
        constexpr std::size_t prefetch = busy ? 8192 : 5120;
        constexpr int locality = busy ? 2 : 3;
        constexpr bool widens = engine::widen_every < std::numeric_limits<std::size_t>::max();
        constexpr std::size_t segment = widens ? engine::widen_every * chains / layout::steps
                                               : std::numeric_limits<std::size_t>::max();
        const std::uint8_t* data =
            w.data + panel * layout::panel_bytes(w.columns, arch::vector_bytes);
        std::size_t blocks = layout::blocks(w.columns);
        auto* out = reinterpret_cast<lane*>(sums);
        const auto start =
            simd::load<lane, arch>(reinterpret_cast<const lane*>(w.initial + panel * lanes));
        typename engine::sums total[C];
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            total[c] = start;
        while (blocks > 0) {
            typename engine::partial p[chains][C];
            S3_UNROLL_FOR(std::size_t i = 0; i < chains; ++i)
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                    p[i][c] = typename engine::partial(0);
            const std::size_t now = std::min(blocks, segment);
            for (std::size_t b = 0; b < now; ++b, data += block_bytes, x += block_columns) {
                S3_UNROLL_FOR(std::size_t line = 0; line < block_bytes; line += 64)
                    __builtin_prefetch(data + prefetch + line, 0, locality);
                const auto planes = layout::template load<arch>(data);
                simd::unrolled<layout::steps>([&](auto step) S3_INLINE_LAMBDA {
                    const auto v = Unit::template decode<step>(planes.v[layout::vector_of(step)]);
                    S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
                        auto& chain = p[step % chains][c];
                        chain = engine::step(
                            chain,
                            engine::broadcast(x + c * stride + step * layout::columns_per_step), v);
                    }
                });
            }
            S3_UNROLL_FOR(std::size_t i = 0; i < chains; ++i)
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                    total[c] = total[c] + engine::widen(p[i][c]);
            blocks -= now;
        }
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            simd::store<arch>(out + c * lanes, total[c]);
    }
};

} // namespace s3::kernel
