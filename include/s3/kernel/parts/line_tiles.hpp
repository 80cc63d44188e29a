#pragma once
// How a line of output pixels is cut into register tiles. There is code for three widths of tile
// only, which bounds compile time; the last tile of a line may therefore compute pixels that nobody
// wants. The choice of a tile minimises the pixels computed, as a measure of time.

#include <cstddef>

namespace s3::kernel {

/// Widths of tiles, in pixels, for two panels of rows and a number of vector registers. Widths of
/// images are often multiples of 7 or 8. Sums of 14 × 2 or 8 × 2 vectors leave some of 32 registers
/// for weights and an activation, and so do 6 × 2 of 16 registers.
template <std::size_t Registers>
struct line_tiles {
    static constexpr std::size_t wide = Registers >= 32 ? 14 : 6;
    static constexpr std::size_t narrow = Registers >= 32 ? 8 : 3;
    static constexpr std::size_t narrowest = Registers >= 32 ? 4 : 3;

    /// The smallest tile that holds `count` pixels, or the widest one if none does.
    static constexpr std::size_t fitting(std::size_t count) noexcept {
        return count > narrow ? wide : count > narrowest ? narrow : narrowest;
    }
    /// The tile width, wide or narrow, that cuts `count` pixels with the least waste.
    static constexpr std::size_t best(std::size_t count) noexcept {
        return cost<narrow>(count) < cost<wide>(count) ? narrow : wide;
    }

private:
    /// The pixels computed if a line of `count` pixels is cut into tiles of this width and one that
    /// fits the rest. The narrowest tile is as slow as if it had two more pixels.
    template <std::size_t Tile>
    static constexpr std::size_t cost(std::size_t count) noexcept {
        const std::size_t rest = count % Tile, last = rest == 0 ? 0 : fitting(rest);
        return count - rest + last + (last != 0 && last < narrow ? 2 : 0);
    }
};

} // namespace s3::kernel
