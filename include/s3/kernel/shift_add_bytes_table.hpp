#pragma once
// `shift_add` of ternary weights with activations of at most 4 bits, by tables of partial sums in
// byte lanes; an addition then covers twice as many activation vectors as with 16-bit lanes. A
// table entry is the signed sum of G activations plus a bias that makes it unsigned, and is so
// small that the sum s of two entries still fits a byte. Seen as 16-bit lanes, s is added to one
// accumulator and s >> 8 to another: the second one holds the sums of the odd byte lanes, and
// subtracting 2^8 times those from the first leaves the sums of the even ones.
//
// Staged activations are bytes of which only the low four bits count, so int8 activations of four
// bits may be staged as x ^ 8.

#include <s3/format/shift.hpp>
#include <s3/kernel/parts/tabulate.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/bytes.hpp>

namespace s3::kernel {

template <shift_weight_format F, class Arch, std::size_t Group = Arch::vector_bytes<64 ? 4 : 3>
requires(digits<F>::count == 3 && Arch::vector_bytes >= 16 &&
         std::endian::native == std::endian::little) struct byte_table_unit {
    using arch = Arch;
    using format = F;
    using staged = std::uint8_t;
    using sum = std::int32_t;
    using entry = std::uint8_t;
    using partial = std::uint16_t;
    using vector = simd::lanes<std::uint8_t, Arch>;
    using half_vector = simd::lanes<std::uint16_t, Arch>;

    static constexpr int activation_bits = 4;
    static constexpr int zero_point = 8;

    static constexpr std::size_t group = Group;
    static constexpr std::size_t width = sizeof(vector);
    static constexpr std::size_t vectors = entry_vectors<Arch>;
    static constexpr std::size_t entries = power(3, Group);
    static constexpr std::size_t table_bytes = entries * vectors * width;
    template <std::size_t V>
    using numbers_of = entry_fields<entries, V * width>;
    using numbers = numbers_of<vectors>;

    static constexpr int center = 0;
    static constexpr std::size_t largest = (1 << activation_bits) - 1;
    static constexpr std::size_t bias = Group * largest;
    static_assert(2 * 2 * bias <= 255);

    /// Groups of a block. Their tables about fill the first-level cache: what spills over costs
    /// less than storing and loading sums more often would.
    static constexpr std::size_t groups = numbers::groups(41 * 1024 / table_bytes);
    static constexpr std::size_t segment_blocks = 65535 / (2 * bias * groups);

    /// The place of an activation vector's sum in a row: even lanes come before odd ones, the order
    /// in which lanes are split.
    template <std::size_t V>
    static constexpr std::size_t lane_of(std::size_t column) {
        return column / 2 + column % 2 * (V * width / 2);
    }

    /// Builds the tables [group][entry][V] of one block from the activations x[k][lanes].
    template <std::size_t V>
    static S3_NOINLINE void build(const staged* S3_RESTRICT x, std::uint8_t* S3_RESTRICT tables) {
        constexpr std::size_t all = V * width;
        const auto low_bits = simd::broadcast<std::uint8_t, Arch>(largest);
        for (std::size_t g = 0; g < groups; ++g, tables += entries * all)
            for (std::size_t v = 0; v < V; ++v) {
                const staged* from = x + g * Group * all + v * width;
                std::uint8_t* table = tables + v * width;
                std::size_t filled = 1;
                simd::store<Arch>(table, simd::broadcast<std::uint8_t, Arch>(bias));
                for (std::size_t i = 0; i < Group; ++i, from += all, filled *= 3) {
                    const vector by = simd::load<std::uint8_t, Arch>(from) & low_bits;
                    for (std::size_t j = 0; j < filled; ++j) {
                        const vector old = simd::load<std::uint8_t, Arch>(table + j * all);
                        simd::store<Arch>(table + (filled + j) * all, vector(old + by));
                        simd::store<Arch>(table + (2 * filled + j) * all, vector(old - by));
                    }
                }
            }
    }

    /// Adds to partial[row][2][V], or writes there if `Fresh`, the sums of the entries that a
    /// block's fields select: first the sums of all lanes, then those of the odd lanes.
    template <std::size_t V, bool Fresh>
    static S3_NOINLINE void add_rows(const std::uint64_t* S3_RESTRICT fields,
                                     const std::uint8_t* S3_RESTRICT tables,
                                     std::uint16_t* S3_RESTRICT partial, std::size_t rows) {
        constexpr std::size_t half = width / 2, words = numbers::words(groups);
        for (; rows > 0; --rows, fields += words, partial += V * width) {
            half_vector sums[2 * V];
            S3_UNROLL_FOR(std::size_t i = 0; i < 2 * V; ++i)
                sums[i] = Fresh ? simd::broadcast<std::uint16_t, Arch>(0)
                                : simd::load<std::uint16_t, Arch>(partial + i * half);
            simd::unrolled<static_cast<int>((groups + 1) / 2)>([&](auto pair) S3_INLINE_LAMBDA {
                constexpr std::size_t g = 2 * pair;
                const std::uint8_t* first = find<V, g>(fields, tables);
                const std::uint8_t* second = nullptr;
                if constexpr (g + 1 < groups)
                    second = find<V, g + 1>(fields, tables);
                S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v) {
                    vector s = simd::load<std::uint8_t, Arch>(first + v * width);
                    if constexpr (g + 1 < groups)
                        s = s + simd::load<std::uint8_t, Arch>(second + v * width);
                    const half_vector pairs = simd::as<std::uint16_t>(s);
                    sums[v] = sums[v] + pairs;
                    sums[V + v] = sums[V + v] + (pairs >> 8);
                }
            });
            S3_UNROLL_FOR(std::size_t i = 0; i < 2 * V; ++i)
                simd::store<Arch>(partial + i * half, sums[i]);
        }
    }

    /// Adds `from` to the int32 sums, or to start(row) if `Fresh`. Even lanes come before odd ones.
    template <std::size_t V, bool Fresh, class Start>
    static S3_NOINLINE void widen(const std::uint16_t* S3_RESTRICT from, sum* S3_RESTRICT sums,
                                  std::size_t rows, const Start& start) {
        constexpr std::size_t all = V * width, half = all / 2;
        for (std::size_t r = 0; r < rows; ++r, from += all, sums += all) {
            const sum first = Fresh ? start(r) : 0;
            // Sums are modulo 2^32: the bias of padded groups may leave int32's range, and returns
            // to it.
            const auto add = [](sum s, unsigned more) {
                return static_cast<sum>(static_cast<unsigned>(s) + more);
            };
            for (std::size_t l = 0; l < half; ++l) {
                const unsigned odd = from[half + l];
                const auto even = static_cast<std::uint16_t>(from[l] - (odd << 8));
                sums[l] = add(Fresh ? first : sums[l], even);
                sums[half + l] = add(Fresh ? first : sums[half + l], odd);
            }
        }
    }

private:
    template <std::size_t V, std::size_t G>
    static S3_INLINE const std::uint8_t* find(const std::uint64_t* fields,
                                              const std::uint8_t* tables) noexcept {
        return tables + G * entries * V * width + numbers_of<V>::template offset<G>(fields);
    }
};

template <shift_weight_format F, class Arch,
          std::size_t Group = Arch::vector_bytes<64 ? 4 : 3> using byte_table =
              tabulated<byte_table_unit<F, Arch, Group>>;

/// It beats the multiplier from 64 rows on, if the batch fills at least half a vector.
template <weight_format F, activation X, architecture Arch>
struct shift_add_bytes_table {
    static constexpr const char* name = "shift_add_bytes_table";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr bool exists = std::integral<X> && std::is_same_v<F, ternary> &&
                                   Arch::vector_bytes >= 16 &&
                                   std::endian::native == std::endian::little;
    static constexpr rank_range ranks{0, simd::has_bytes<Arch> ? 160 : 90};
    static constexpr int rank(const product_request& r) noexcept {
        if (r.activation_bits > 4)
            return 0;
        if (r.batch < Arch::vector_bytes / 2)
            return 5;
        return simd::has_bytes<Arch> && r.rows >= 64 ? 160 : 90;
    }
    static auto loop() { return std::type_identity<byte_table<F, Arch>>{}; }
};

} // namespace s3::kernel
