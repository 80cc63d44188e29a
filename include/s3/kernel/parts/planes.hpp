#pragma once
// Kernel layout of packed weights: panels of L rows (one 32-bit lane each), cut into blocks of 32
// weights of the depth. A block has `Bits` vectors. The unit of a step is an element of W bits: a
// byte, of which four lie in a lane (step g: weights 4g … 4g+3 of the block), or a whole lane (step
// g: weight g). An element keeps the codes of W steps in the `Bits` vectors:
//
//   vector v, bits [j·Bits, (j+1)·Bits)    code of step v·P + j,  P = ⌊W/Bits⌋, j < P
//   the top r = W mod Bits bits of all     r more codes, steps Bits·P …, gathered into one vector
//                                          (vector v gives the bits from (Bits−1−v)·r up)
//
// so that a code is one shift away and no bit is wasted. A byte of 3-bit codes c0 … c7 (P = 2, r =
// 2):
//
//   bit        7 6   5 4 3   2 1 0
//   vector 0 | r 0 |  c 1  |  c 0  |       gathered, bits 5 … 0:
//   vector 1 | r 1 |  c 3  |  c 2  |         | r 0 | r 1 | r 2 |  =  |  c 7  |  c 6  |
//   vector 2 | r 2 |  c 5  |  c 4  |

#include <s3/pack/layout.hpp>
#include <s3/simd/lanes.hpp>
#include <s3/simd/spread.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace s3::kernel {

inline constexpr std::size_t block_columns = 32;

template <int Bits, std::size_t W>
struct planes {
    static constexpr int bits = Bits;
    static constexpr int per_element = static_cast<int>(W) / Bits;
    static constexpr int spare_bits = static_cast<int>(W) % Bits;
    static constexpr std::size_t steps = W;
    static_assert(spare_bits * Bits <= static_cast<int>(W), "the spare codes must fit one vector");
    static constexpr std::size_t depth_per_step = block_columns / W;
    static constexpr std::size_t vectors = Bits + (spare_bits != 0 ? 1 : 0);

    /// Where the code of a step is: its vector (number `Bits` is the gathered one), and its first
    /// bit.
    static constexpr std::size_t vector_of(int step) {
        return static_cast<std::size_t>(step < Bits * per_element ? step / per_element : Bits);
    }
    static constexpr int bit_of(int step) {
        return Bits * (step < Bits * per_element ? step % per_element : step - Bits * per_element);
    }
    /// The right shift that brings the spare bits of vector v to their place in the gathered
    /// vector.
    static constexpr int spare_shift(std::size_t v) {
        return static_cast<int>(W) - spare_bits * (Bits - static_cast<int>(v));
    }
    static constexpr std::uint32_t every_element(std::uint32_t field) {
        return W == 8 ? field * 0x01010101u : field;
    }

    /// Vector I of the block at p, as 32-bit lanes: as it is stored, or for I = Bits the spare bits
    /// of all, gathered.
    template <std::size_t I, class Arch>
    static S3_INLINE auto vector(const std::uint8_t* p) noexcept {
        const auto load = [p](std::size_t i) {
            return simd::load<std::uint32_t, Arch>(
                reinterpret_cast<const std::uint32_t*>(p + i * Arch::vector_bytes));
        };
        if constexpr (I < Bits) {
            return load(I);
        } else {
            auto gathered = load(Bits - 1) >> spare_shift(Bits - 1);
            S3_UNROLL_FOR(std::size_t i = 0; i < Bits - 1; ++i) {
                constexpr std::uint32_t spare = (1u << spare_bits) - 1;
                const auto here =
                    every_element(spare << (spare_bits * (Bits - 1 - static_cast<int>(i))));
                gathered = simd::select_bits<Arch>(simd::broadcast<std::uint32_t, Arch>(here),
                                                   load(i) >> spare_shift(i), gathered);
            }
            return gathered;
        }
    }
    /// One block in registers.
    template <class Arch>
    struct block {
        simd::lanes<std::uint32_t, Arch> v[vectors];
    };
    template <class Arch>
    static S3_INLINE block<Arch> load(const std::uint8_t* p) noexcept {
        block<Arch> b;
        simd::unrolled<vectors>([&](auto i) S3_INLINE_LAMBDA { b.v[i] = vector<i, Arch>(p); });
        return b;
    }

    static constexpr std::size_t blocks(std::size_t columns) {
        return columns / block_columns + (columns % block_columns != 0 ? 1 : 0);
    }
    /// The bytes of a panel, for vectors of `vector_bytes` bytes.
    static constexpr std::size_t panel_bytes(std::size_t columns, std::size_t vector_bytes) {
        return blocks(columns) * Bits * vector_bytes;
    }

    /// Packs one row into its lane of a panel: the `columns` codes from number `first` on, of a
    /// bitstream of `bytes` bytes. The last block is padded with code 0, which need not mean zero,
    /// so the activations that it meets must be zero.
    static void pack_row(const std::uint8_t* stream, std::size_t bytes, std::size_t first,
                         std::size_t columns, std::uint8_t* lane,
                         std::size_t vector_bytes) noexcept {
        for (std::size_t c = 0; c < columns; c += block_columns, lane += Bits * vector_bytes) {
            const std::size_t left = columns - c;
            const auto take = [&](std::size_t from, std::size_t count) -> std::uint64_t {
                return from < left ? s3::layout::take_bits(stream, bytes, (first + c + from) * Bits,
                                                           std::min(count, left - from) * Bits)
                                   : 0;
            };
            // An element holds consecutive steps: of a lane they are consecutive codes, of a byte
            // every fourth.
            std::uint32_t word[vectors] = {};
            if constexpr (W == 32) {
                constexpr std::size_t p = per_element;
                S3_UNROLL_FOR(std::size_t v = 0; v < vectors; ++v)
                    word[v] = static_cast<std::uint32_t>(take(v * p, v < Bits ? p : W - Bits * p));
            } else {
                S3_UNROLL_FOR(std::size_t i = 0; i < 4; ++i) {
                    const auto codes = simd::spread_fields<Bits>(take(8 * i, 8));
                    const int even = static_cast<int>(2 * i), odd = even + 1;
                    word[vector_of(even)] |= static_cast<std::uint32_t>(codes) << bit_of(even);
                    word[vector_of(odd)] |= static_cast<std::uint32_t>(codes >> 32) << bit_of(odd);
                }
            }
            S3_UNROLL_FOR(std::size_t v = 0; v < Bits; ++v) {
                if constexpr (spare_bits != 0) {
                    constexpr std::uint32_t field = every_element((1u << spare_bits) - 1);
                    const int from = spare_bits * (Bits - 1 - static_cast<int>(v));
                    word[v] |= (word[Bits] >> from & field) << (static_cast<int>(W) - spare_bits);
                }
                std::memcpy(lane + v * vector_bytes, &word[v], 4);
            }
        }
    }
};

} // namespace s3::kernel
