#pragma once
// Decoded weights in cache. The first columns that they meet take them from registers while they
// are decoded and stored: that costs next to nothing under many multiply-adds, and spares a pass of
// its own, which would be bound by its stores.

#include <s3/kernel/parts/planes.hpp>

#include <cstddef>

namespace s3::kernel {

/// Decodes R panels to [step][R] vectors, block by block. The weights of a register_tile, or alone.
template <class Unit, std::size_t R>
struct decoder {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    static constexpr std::size_t steps = layout::steps;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;

    const std::uint8_t* from; ///< the block in the first panel
    std::size_t panel_stride; ///< bytes from one panel to the next
    std::size_t ahead; ///< bytes from a block to the one that is brought into cache meanwhile
    typename engine::element* to;

    /// One step of the block at hand: stored, and as R vectors.
    template <int Step>
    S3_INLINE void load(typename engine::weights (&w)[R]) const noexcept {
        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
            if constexpr (Step == 0)
                prefetch(r);
            // From cache for each step: sums need the registers.
            w[r] = simd::in_register(Unit::template decode<Step>(
                layout::template vector<layout::vector_of(Step), arch>(from + r * panel_stride)));
            engine::store(to + (Step * R + r) * lanes, w[r]);
        }
    }
    S3_INLINE void advance() noexcept { pass(steps); }
    /// Goes on behind `count` steps, whole blocks, that have been stored.
    S3_INLINE void pass(std::size_t count) noexcept {
        from += count / steps * block_bytes;
        to += count * R * lanes;
    }
    /// Stores `count` steps, whole blocks.
    void skip(std::size_t count) noexcept {
        decoder d = *this; // for all that compilers know, what is stored could change members
        for (; count > 0; count -= steps, d.advance())
            for (std::size_t r = 0; r < R; ++r) {
                d.prefetch(r);
                const auto planes = layout::template load<arch>(d.from + r * panel_stride);
                simd::unrolled<steps>([&](auto step) S3_INLINE_LAMBDA {
                    engine::store(d.to + (step * R + r) * lanes,
                                  Unit::template decode<step>(planes.v[layout::vector_of(step)]));
                });
            }
        *this = d;
    }

private:
    S3_INLINE void prefetch(std::size_t r) const noexcept {
        S3_UNROLL_FOR(std::size_t line = 0; line < block_bytes; line += 64)
            __builtin_prefetch(from + r * panel_stride + ahead + line, 0, 2);
    }
};

/// Packed weights of one panel, decoded in registers as they are read from memory. `Busy`: whether
/// more is computed per byte than memory takes to deliver it.
template <class Unit, bool Busy>
struct packed {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    static constexpr std::size_t steps = layout::steps;
    static constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
    // How many bytes ahead weights are fetched, and into which cache, as measured: into the first
    // level where little is computed per byte, unless the machine prefers the second; else memory
    // has more time, and activations and sums need the first level for themselves.
    static constexpr bool far = Busy || simd::streams_to_second_level<arch>;
    static constexpr std::size_t prefetch = far ? 8192 : 5120;
    static constexpr int locality = far ? 2 : 3;

    const std::uint8_t* from;

    template <int Step>
    S3_INLINE void load(typename engine::weights (&w)[1]) noexcept {
        if constexpr (Step == 0) {
            S3_UNROLL_FOR(std::size_t line = 0; line < block_bytes; line += 64)
                __builtin_prefetch(from + prefetch + line, 0, locality);
        }
        w[0] = Unit::template decode<Step>(
            layout::template vector<layout::vector_of(Step), arch>(from));
    }
    S3_INLINE void advance() noexcept { from += block_bytes; }
    S3_INLINE void skip(std::size_t count) noexcept { from += count / steps * block_bytes; }
};

} // namespace s3::kernel
