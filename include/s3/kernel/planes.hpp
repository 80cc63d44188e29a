#pragma once
// Kernel layout of packed weights: panels of L rows (one 32-bit lane each), cut into blocks of 32
// columns. A block is `Bits` vectors; an element of W bits (a byte that holds one of four columns,
// or a whole 32-bit lane) keeps W codes in its `Bits` copies:
//
//   vector v, bits [j·Bits, (j+1)·Bits)    code of step v·P + j,  P = ⌊W/Bits⌋, j < P
//   the top r = W mod Bits bits of all     r more codes, steps Bits·P …, gathered into one vector
//                                          (vector v gives the bits from (Bits−1−v)·r up)
//
// so that a code is one shift away, and no bit is wasted. A byte's step g is columns 4g … 4g+3 of
// the block, a lane's step g is column g.

#include <s3/pack/layout.hpp>
#include <s3/simd/lanes.hpp>

#include <cstdint>
#include <cstring>

namespace s3::kernel {

inline constexpr int block_columns = 32;

template <int Bits, int W>
struct planes {
    static constexpr int bits = Bits;
    static constexpr int per_element = W / Bits;
    static constexpr int spare_bits = W % Bits;
    static constexpr int steps = W;
    static constexpr int columns_per_step = block_columns / W;
    static constexpr std::size_t vectors = Bits + (spare_bits != 0 ? 1 : 0);

    /// Where the code of a step is: which vector, from which bit.
    static constexpr int vector_of(int step) {
        return step < Bits * per_element ? step / per_element : Bits;
    }
    static constexpr int bit_of(int step) {
        return Bits * (step < Bits * per_element ? step % per_element : step - Bits * per_element);
    }
    /// Shift that brings the spare bits of vector v to their place in the gathered vector.
    static constexpr int spare_shift(int v) { return W - spare_bits * (Bits - v); }
    static constexpr std::uint32_t spare_mask(int v) {
        const std::uint32_t field = ((1u << spare_bits) - 1) << (spare_bits * (Bits - 1 - v));
        return W == 8 ? field * 0x01010101u : field;
    }

    /// One block in registers, as 32-bit lanes.
    template <class Arch>
    struct block {
        simd::lanes<std::uint32_t, Arch> v[vectors];
    };
    template <class Arch>
    [[nodiscard]] static S3_INLINE block<Arch> load(const std::uint8_t* p) noexcept {
        block<Arch> b;
        S3_UNROLL for (int i = 0; i < Bits; ++i) b.v[i] = simd::load<std::uint32_t, Arch>(
            reinterpret_cast<const std::uint32_t*>(p + i * Arch::vector_bytes));
        if constexpr (spare_bits != 0) {
            auto gathered = b.v[Bits - 1] >> spare_shift(Bits - 1);
            S3_UNROLL for (int i = 0; i < Bits - 1; ++i) gathered =
                simd::select_bits(simd::broadcast<std::uint32_t, Arch>(spare_mask(i)),
                                  b.v[i] >> spare_shift(i), gathered);
            b.v[Bits] = gathered;
        }
        return b;
    }

    /// Bytes of the panels of a rows × columns matrix for vectors of `vector_bytes`.
    static constexpr std::size_t blocks(std::size_t columns) {
        return (columns + block_columns - 1) / block_columns;
    }
    static constexpr std::size_t panel_bytes(std::size_t columns, int vector_bytes) {
        return blocks(columns) * static_cast<std::size_t>(Bits * vector_bytes);
    }

    /// Lays one row of a bitstream, beginning with code `first`, into its lane of a zeroed panel.
    static void pack_row(const std::uint8_t* stream, std::size_t first, std::size_t columns,
                         std::uint8_t* panel, int lane, int vector_bytes) noexcept {
        for (std::size_t c = 0; c < columns; ++c) {
            const auto in_block = static_cast<int>(c % block_columns);
            const int step = in_block / columns_per_step;
            std::uint8_t* element =
                panel + c / block_columns * static_cast<std::size_t>(Bits * vector_bytes) +
                lane * 4 + (W == 8 ? in_block % 4 : 0);
            const auto put = [&](int vector, int bit, std::uint32_t value) {
                std::uint8_t* to = element + vector * vector_bytes;
                if constexpr (W == 8) {
                    *to = static_cast<std::uint8_t>(*to | value << bit);
                } else {
                    std::uint32_t word;
                    std::memcpy(&word, to, 4);
                    word |= value << bit;
                    std::memcpy(to, &word, 4);
                }
            };
            const unsigned code = layout::get<Bits>(stream, first + c);
            if (vector_of(step) < Bits) {
                put(vector_of(step), bit_of(step), code);
            } else if constexpr (spare_bits != 0) {
                for (int v = 0; v < Bits; ++v) {
                    const int low = spare_bits * (Bits - 1 - v) - bit_of(step);
                    // bits [low, low + spare_bits) of the gathered code, where they overlap it
                    const std::uint32_t part =
                        (low >= 0 ? code >> low : code << -low) & ((1u << spare_bits) - 1);
                    if (low < Bits && low + spare_bits > 0)
                        put(v, W - spare_bits, part);
                }
            }
        }
    }
};

} // namespace s3::kernel
