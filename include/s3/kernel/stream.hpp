#pragma once
// The matrix product for a few columns, bound by memory: load a block of packed weights, decode it
// in registers, accumulate, store. Weights are read once and in order; two panels at a time share
// the broadcasts of the activations where there are registers for both.

#include <s3/kernel/planes.hpp>

#include <algorithm>
#include <bit>
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
    /// are columns n, n + 1, … of the sink. `sums` has room for two panels.
    template <class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, std::size_t n,
                    std::size_t count, const staged* x, std::size_t stride, sum* sums,
                    const Sink& sink) {
        with_columns<Unit::stream_columns>(count, [&](auto columns) {
            constexpr std::size_t C = columns, P = panels<C>;
            const auto emit = [&](std::size_t panel, std::size_t some) {
                const std::size_t row = panel * lanes;
                const std::size_t valid = std::min(some * lanes, w.rows - row);
                for (std::size_t c = 0; c < C; ++c)
                    sink(n + c, row, valid, sums + c * some * lanes);
            };
            std::size_t p = range.panel_begin;
            for (; range.panel_end - p >= P; p += P) {
                several<C, P>(w, p, x, stride, sums);
                emit(p, P);
            }
            for (; p < range.panel_end; ++p) {
                several<C, 1>(w, p, x, stride, sums);
                emit(p, 1);
            }
        });
    }

private:
    template <std::size_t C>
    static constexpr std::size_t panels = C > 1 && arch::vector_bytes == 64 ? 2 : 1;

    /// Calls f(std::integral_constant<std::size_t, count>), 1 ≤ count ≤ Most.
    template <std::size_t Most, class Function>
    static S3_INLINE void with_columns(std::size_t count, const Function& f) {
        if constexpr (Most > 1)
            if (count < Most)
                return with_columns<Most - 1>(count, f);
        f(std::integral_constant<std::size_t, Most>{});
    }

    /// P panels from `panel` on against C columns: sums[C][P] vectors.
    template <std::size_t C, std::size_t P>
    static S3_NOINLINE void several(const panel_view<sum>& w, std::size_t panel,
                                    const staged* S3_RESTRICT x, std::size_t stride,
                                    sum* S3_RESTRICT sums) {
        // Several chains of sums where there are few: one would wait for each instruction's result.
        constexpr std::size_t chains = std::bit_floor(std::max<std::size_t>(8 / C, 1));
        constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
        constexpr std::size_t prefetch = 8192;
        constexpr bool widens = engine::widen_every < std::numeric_limits<std::size_t>::max();
        constexpr std::size_t segment = widens ? engine::widen_every * chains / layout::steps
                                               : std::numeric_limits<std::size_t>::max();
        const std::size_t panel_bytes = layout::panel_bytes(w.columns, arch::vector_bytes);
        const std::uint8_t* data = w.data + panel * panel_bytes;
        std::size_t blocks = layout::blocks(w.columns);
        typename engine::sums total[C][P];
        S3_UNROLL for (std::size_t r = 0; r < P; ++r) {
            const sum* initial = w.initial + (panel + r) * lanes;
            const auto start = simd::load<lane, arch>(reinterpret_cast<const lane*>(initial));
            S3_UNROLL for (std::size_t c = 0; c < C; ++c) total[c][r] = start;
        }
        while (blocks > 0) {
            typename engine::partial p[chains][C][P];
            S3_UNROLL for (auto& chain : p) S3_UNROLL for (auto& column : chain)
                S3_UNROLL for (auto& v : column) v = typename engine::partial(0);
            const std::size_t now = std::min(blocks, segment);
            for (std::size_t b = 0; b < now; ++b, data += block_bytes, x += block_columns) {
                typename layout::template block<arch> planes[P];
                S3_UNROLL for (std::size_t r = 0; r < P; ++r) {
                    const std::uint8_t* from = data + r * panel_bytes;
                    S3_UNROLL for (std::size_t line = 0; line < block_bytes; line += 64)
                        __builtin_prefetch(from + prefetch + line);
                    planes[r] = layout::template load<arch>(from);
                }
                simd::unrolled<layout::steps>([&](auto step) __attribute__((always_inline)) {
                    typename engine::weights v[P];
                    S3_UNROLL for (std::size_t r = 0; r < P; ++r) v[r] =
                        Unit::template decode<step>(planes[r]);
                    S3_UNROLL for (std::size_t c = 0; c < C; ++c) {
                        const auto xc =
                            engine::broadcast(x + c * stride + step * layout::columns_per_step);
                        S3_UNROLL for (std::size_t r = 0; r < P; ++r) {
                            auto& chain = p[step % chains][c][r];
                            chain = engine::step(chain, xc, v[r]);
                        }
                    }
                });
            }
            S3_UNROLL for (const auto& chain : p) S3_UNROLL for (std::size_t c = 0; c < C; ++c)
                S3_UNROLL for (std::size_t r = 0; r < P; ++r) total[c][r] =
                    total[c][r] + engine::widen(chain[c][r]);
            blocks -= now;
        }
        auto* out = reinterpret_cast<lane*>(sums);
        S3_UNROLL for (std::size_t c = 0; c < C; ++c) S3_UNROLL for (std::size_t r = 0; r < P; ++r)
            simd::store<arch>(out + (c * P + r) * lanes, total[c][r]);
    }
};

} // namespace s3::kernel
