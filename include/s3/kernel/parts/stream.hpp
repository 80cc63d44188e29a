#pragma once
// The matrix product for a few columns (activation vectors), which is bound by memory: it loads a
// block of packed weights, decodes it in registers, accumulates, and stores the sums. Weights are
// read once and in order, so that sequential reading sets the pace.

#include <s3/kernel/parts/accumulate.hpp>
#include <s3/kernel/parts/activations.hpp>
#include <s3/kernel/parts/decoder.hpp>
#include <s3/kernel/seams.hpp>

namespace s3::kernel {

/// The prepared weights of a `rows` × `columns` matrix, and the sums that its rows start from.
/// `initial` has elements for whole panels.
template <class Sum>
struct panel_view {
    const std::uint8_t* data = nullptr;
    std::size_t rows = 0;
    std::size_t columns = 0;
    const Sum* initial = nullptr;
};

/// The part of the output that one task computes: columns [n_begin, n_end) of panels [panel_begin,
/// panel_end).
struct work_range {
    std::size_t n_begin = 0, n_end = 0, panel_begin = 0, panel_end = 0;
};

template <panel_unit Unit>
struct stream {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    static constexpr std::size_t lanes = simd::width32<arch>;

    /// The number of columns that are computed for `count`: odd numbers above four have no code of
    /// their own, because a column more costs little and every number takes long to compile.
    static constexpr std::size_t computed(std::size_t count) {
        return count <= 4 ? count : count + count % 2;
    }
    /// With few columns there are several chains of sums: a single one would wait for the result of
    /// each instruction.
    static constexpr std::size_t chains(std::size_t columns) {
        return columns == 1 ? 8 : columns == 2 ? 4 : columns <= 4 ? 2 : 1;
    }
    /// Multiplies the range's panels by the `count` staged columns at x, which are columns n, n +
    /// 1, … of the sink. At x there are computed(count) columns, and `sums` has room for a panel of
    /// each.
    template <class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, std::size_t n,
                    std::size_t count, const staged* x, std::size_t stride, sum* sums,
                    const Sink& sink) {
        static_assert(computed(Unit::stream_columns) == Unit::stream_columns);
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
        constexpr std::size_t fewer = computed(C - 1) < C ? C - 1 : C - 2;
        if (c > fewer)
            exactly<C>(w, panel, x, stride, sums);
        else if constexpr (fewer > 0)
            any<fewer>(w, panel, x, stride, c, sums);
    }

    /// Multiplies one panel by C columns.
    template <std::size_t C>
    static S3_NOINLINE void exactly(const panel_view<sum>& w, std::size_t panel, const staged* x,
                                    std::size_t stride, sum* sums) {
        const std::size_t steps = layout::blocks(w.columns) * layout::steps;
        const auto* initial = reinterpret_cast<const lane*>(w.initial + panel * lanes);
        const spaced_columns<staged> columns{&x, std::max<std::size_t>(steps, 1), stride};
        using tile = tile_for<engine, 1, C, chains(C)>;
        accumulate<tile>(
            packed<Unit, 2 * C >= layout::bits>{
                w.data + panel * layout::panel_bytes(w.columns, arch::vector_bytes)},
            typename spaced_columns<staged>::template source<typename tile::reads, C>(columns),
            steps,
            [&](std::size_t, std::size_t)
                S3_INLINE_LAMBDA { return simd::load<lane, arch>(initial); },
            [&](std::size_t c, const typename engine::sums(&total)[1]) S3_INLINE_LAMBDA {
                simd::store<arch>(reinterpret_cast<lane*>(sums) + c * lanes, total[0]);
            });
    }
};

} // namespace s3::kernel
