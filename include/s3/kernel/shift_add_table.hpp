#pragma once
// `shift_add` by tables of partial sums, whose lanes are activation vectors. For each group of G
// consecutive weights a table holds every possible signed sum of the G activations (D^G entries, D
// being the number of the format's values), built by doubling and adding. Each row then takes one
// addition per group, of the entry that its weights select. There is no multiplication anywhere.
//
//   ternary  G = 3 or 4, 27 or 81 entries      shift3  G = 2, 49 entries
//   dense2   G = 3, 64 entries                 dense3  G = 2, 64 entries      4, 5 bits  G = 1
//
// Lanes are int16 where sums of several groups fit (activations are centred at 128 for that, and
// sums are widened to int32 once per segment), else uint32 (modulo 2^32), or float.

#include <s3/format/shift.hpp>
#include <s3/kernel/parts/tabulate.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/bytes.hpp>

namespace s3::kernel {

/// The number of weights in a group. Larger groups save additions, but a table of D^G entries must
/// be built. The wider vectors are, the fewer tables fit the cache.
template <shift_weight_format F, class Arch>
inline constexpr std::size_t group_size = F::bits == 2
                                              ? (F::has_zero&& Arch::vector_bytes < 64 ? 4 : 3)
                                          : F::bits == 3 ? 2
                                                         : 1;

template <shift_weight_format F, class Arch, class Lane, std::size_t Group = group_size<F, Arch>>
requires(std::same_as<Lane, std::int16_t>&& Group* F::max_value <= 32) ||
    std::same_as<Lane, std::uint32_t> || std::same_as<Lane, float> struct table_unit {
    using arch = Arch;
    using format = F;
    using staged = std::conditional_t<std::same_as<Lane, float>, float, std::uint8_t>;
    using sum = std::conditional_t<std::same_as<Lane, float>, float, std::int32_t>;
    using entry = Lane;
    using partial = Lane;
    using vector = simd::lanes<Lane, Arch>;

    static constexpr bool narrow = std::same_as<Lane, std::int16_t>;
    static constexpr int zero_point = std::same_as<Lane, float> ? 0 : 128;
    static constexpr int center = narrow ? 128 : 0;
    static constexpr std::size_t bias = 0;

    static constexpr std::size_t group = Group;
    static constexpr std::size_t width = sizeof(vector) / sizeof(Lane);
    static constexpr std::size_t vectors = entry_vectors<Arch>;
    static constexpr std::size_t values = digits<F>::count;
    static constexpr std::size_t entries = power(values, Group);
    static constexpr std::size_t table_bytes = entries * vectors * sizeof(vector);

    template <std::size_t V>
    using numbers_of = entry_fields<entries, V * sizeof(vector)>;
    using numbers = numbers_of<vectors>;

    /// The largest number of groups whose sums fit a lane.
    static constexpr std::size_t groups_fit =
        narrow ? std::size_t{32767} / (128 * Group * F::max_value)
               : std::numeric_limits<std::size_t>::max();
    /// Groups of a block. Their tables about fill the first-level cache: what spills over costs
    /// less than storing and loading sums more often would.
    static constexpr std::size_t groups =
        numbers::groups(std::min(42 * 1024 / table_bytes, groups_fit));
    static constexpr std::size_t segment_blocks = narrow ? groups_fit / groups : 0;

    template <std::size_t V>
    static constexpr std::size_t lane_of(std::size_t column) {
        return column;
    }

    /// Builds the tables [group][entry][V] of one block from the activations x[k][lanes]. Entry
    /// number Σ digit_i·D^i of a group is the sum Σ value(digit_i)·x_i.
    template <std::size_t V>
    static S3_NOINLINE void build(const staged* S3_RESTRICT x, Lane* S3_RESTRICT tables) {
        constexpr std::size_t all = V * width;
        for (std::size_t g = 0; g < groups; ++g, x += Group * all, tables += entries * all)
            for (std::size_t v = 0; v < V; ++v)
                build_vector<all>(x + v * width, tables + v * width);
    }

    /// Adds to sums[row][V], or writes there if `Fresh`, the sums of the entries that a block's
    /// fields select.
    template <std::size_t V, bool Fresh>
    static S3_NOINLINE void add_rows(const std::uint64_t* S3_RESTRICT fields,
                                     const Lane* S3_RESTRICT tables, Lane* S3_RESTRICT sums,
                                     std::size_t rows) {
        constexpr std::size_t entry_bytes = V * sizeof(vector), words = numbers::words(groups);
        const auto* base = reinterpret_cast<const std::byte*>(tables);
        for (; rows > 0; --rows, fields += words, sums += V * width) {
            vector s[V];
            S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v)
                s[v] = Fresh ? vector(Lane(0)) : simd::load<Lane, Arch>(sums + v * width);
            simd::unrolled<static_cast<int>(groups)>([&](auto group) S3_INLINE_LAMBDA {
                constexpr std::size_t g = group;
                const auto* entry = reinterpret_cast<const Lane*>(
                    base + g * entries * entry_bytes + numbers_of<V>::template offset<g>(fields));
                S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v)
                    s[v] = static_cast<vector>(s[v] + simd::load<Lane, Arch>(entry + v * width));
            });
            S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v)
                simd::store<Arch>(sums + v * width, s[v]);
        }
    }

    /// Adds `from` to the int32 sums, or to start(row) if `Fresh`. It must not be inlined, because
    /// compilers then fail to vectorise it.
    template <std::size_t V, bool Fresh, class Start>
    static S3_NOINLINE void widen(const Lane* S3_RESTRICT from, sum* S3_RESTRICT sums,
                                  std::size_t rows, const Start& start) {
        for (std::size_t r = 0; r < rows; ++r, from += V * width, sums += V * width) {
            const sum first = Fresh ? start(r) : 0;
            for (std::size_t l = 0; l < V * width; ++l)
                sums[l] = static_cast<sum>(static_cast<std::uint32_t>(Fresh ? first : sums[l]) +
                                           static_cast<std::uint32_t>(sum{from[l]}));
        }
    }

private:
    template <std::size_t Apart>
    static S3_INLINE void build_vector(const staged* S3_RESTRICT x, Lane* S3_RESTRICT table) {
        std::size_t filled = 1;
        simd::store<Arch>(table, vector(Lane(0)));
        for (std::size_t i = 0; i < Group; ++i, x += Apart) {
            Lane wide[width];
            for (std::size_t l = 0; l < width; ++l)
                wide[l] = static_cast<Lane>(x[l] - static_cast<staged>(center));
            vector shifted[F::exponents];
            shifted[0] = simd::load<Lane, Arch>(wide);
            for (std::size_t e = 1; e < F::exponents; ++e)
                shifted[e] = static_cast<vector>(shifted[e - 1] + shifted[e - 1]);
            // Digit 0 comes last, because it overwrites the entries that the others are made from.
            for (unsigned d = values; d-- > (F::has_zero ? 1 : 0);) {
                const triple t = digits<F>::value(d);
                const vector by = shifted[static_cast<std::size_t>(t.shift)];
                for (std::size_t j = 0; j < filled; ++j) {
                    const vector old = simd::load<Lane, Arch>(table + j * Apart);
                    simd::store<Arch>(table + (d * filled + j) * Apart,
                                      static_cast<vector>(t.sign > 0 ? old + by : old - by));
                }
            }
            filled *= values;
        }
    }
};

template <shift_weight_format F, class Arch, class Lane, std::size_t Group = group_size<F, Arch>>
using table = tabulated<table_unit<F, Arch, Lane, Group>>;

/// It beats the multiplier if the batch fills at least half a vector: for ternary weights from 256
/// rows on where the machine has no dot product of four bytes; for ternary weights and floats from
/// 128 rows on, or 512 where permutations are slow; for 3-bit weights and floats from 1024 rows on.
/// Building a table costs as much as the additions of some hundred rows, and small batches leave
/// lanes empty.
template <weight_format F, activation X, architecture Arch>
struct shift_add_table {
    static constexpr const char* name = "shift_add_table";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr bool exists = F::is_shift;
    static constexpr bool floats = std::is_same_v<X, float>;
    static constexpr bool slow_permute = simd::has_permute16<Arch> && !simd::fast_permute16<Arch>;
    /// The number of rows from which on it beats the multiplier; 0 for never.
    static constexpr std::size_t wins_from = [] {
        if constexpr (!simd::has_bytes<Arch>)
            return 0;
        else if constexpr (std::is_same_v<F, ternary>)
            return !floats ? (simd::has_quad_dot<Arch> ? 0 : 256) : slow_permute ? 512 : 128;
        else
            return floats && std::is_same_v<F, shift3> ? 1024 : 0;
    }();
    static constexpr rank_range ranks{10, wins_from != 0 ? 120 : 70};
    static constexpr int rank(const product_request& r) noexcept {
        // A vector of ternary sums must be full, of wider ones two, of 16-bit ones half of one.
        const std::size_t enough = std::max<std::size_t>(
            Arch::vector_bytes / (floats && F::bits == 2 ? 4 : 2), floats ? 0 : 16);
        if (wins_from != 0 && r.rows >= wins_from && r.batch >= enough)
            return 120;
        return r.batch >= 16 ? 70 : 10;
    }
    static auto loop() {
        // Lanes have 16 bits where the sums of several groups fit them.
        using lane =
            std::conditional_t<floats, float,
                               std::conditional_t<F::bits <= 3, std::int16_t, std::uint32_t>>;
        return std::type_identity<table<F, Arch, lane>>{};
    }
};

} // namespace s3::kernel
