#pragma once
// The one place where a kernel is chosen: format × activation type × architecture × family. A new
// kernel is a line in `kernel_id`, one in `visit_kernel` and its rule in `choose`.

#include <s3/format/activation.hpp>
#include <s3/format/shift.hpp>
#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/dot_words_panels.hpp>
#include <s3/kernel/parts/panel_product.hpp>
#include <s3/kernel/shift_add_bytes_shuffle.hpp>
#include <s3/kernel/shift_add_bytes_table.hpp>
#include <s3/kernel/shift_add_int16_permute.hpp>
#include <s3/kernel/shift_add_table.hpp>
#include <s3/kernel/shift_add_words_panels.hpp>
#include <s3/ops/geometry.hpp>

#include <type_traits>

namespace s3 {

namespace detail {

/// The family shift_add has rows for lanes, which suits few columns, or columns for lanes; bytes
/// for lanes, where weights are ternary and activations have at most 4 bits.
enum class kernel_id : unsigned char { dot, shift_add_rows, shift_add_table, shift_add_bytes };

template <class T>
struct type_tag {
    using type = T;
};

template <weight_format F, activation X, architecture Arch>
struct dot_kernel {
    using type = kernel::tile<kernel::word_dot<F, Arch, std::uint32_t>>;
};
template <weight_format F, architecture Arch>
struct dot_kernel<F, float, Arch> {
    using type = kernel::tile<kernel::word_dot<F, Arch, float>>;
};
template <weight_format F, integer_activation X, architecture Arch>
requires simd::has_bytes<Arch> && kernel::fits_bytes<F>
struct dot_kernel<F, X, Arch> {
    using type = kernel::tile<kernel::byte_dot<F, Arch>>;
};

template <weight_format F, architecture Arch>
struct rows_kernel {
    using type = kernel::tile<kernel::word_shift_add<F, Arch>>;
};
template <weight_format F, architecture Arch>
requires(kernel::has_pair<Arch>&& F::bits <= 3) struct rows_kernel<F, Arch> {
    using type = kernel::pair<F, Arch>;
};
template <weight_format F, architecture Arch>
requires(kernel::has_nibble<Arch> &&
         (F::bits == 4 || (F::bits < 4 && !kernel::has_pair<Arch>))) struct rows_kernel<F, Arch> {
    using type = kernel::nibble<F, Arch>;
};

/// Lanes of the tables of partial sums: 16 bits where some groups' sums fit them.
template <weight_format F, activation X>
using table_lane =
    std::conditional_t<std::is_same_v<X, float>, float,
                       std::conditional_t<F::bits <= 3, std::int16_t, std::uint32_t>>;

template <weight_format F, activation X, architecture Arch>
inline constexpr bool has_byte_table =
    std::integral<X>&& std::is_same_v<F, ternary>&& Arch::vector_bytes >= 16 &&
    std::endian::native == std::endian::little;

/// Calls f(type_tag<Kernel>{}); every branch must return the same type.
template <weight_format F, activation X, architecture Arch, class Function>
auto visit_kernel(kernel_id id, Function&& f) {
    if constexpr (F::is_shift) {
        if (id == kernel_id::shift_add_table)
            return f(type_tag<kernel::table<F, Arch, table_lane<F, X>>>{});
        if constexpr (std::integral<X>)
            if (id == kernel_id::shift_add_rows)
                return f(type_tag<typename rows_kernel<F, Arch>::type>{});
        if constexpr (has_byte_table<F, X, Arch>)
            if (id == kernel_id::shift_add_bytes)
                return f(type_tag<kernel::byte_table<F, Arch>>{});
    }
    (void)id;
    return f(type_tag<typename dot_kernel<F, X, Arch>::type>{});
}

/// The faster kernel of the family shift_add. A table costs as much as some hundred rows to build,
/// and leaves lanes empty for few columns.
template <weight_format F, activation X, architecture Arch>
[[nodiscard]] constexpr kernel_id choose_shift_add(const geometry& g) noexcept {
    if (std::is_same_v<X, float>)
        return kernel_id::shift_add_table;
    if (has_byte_table<F, X, Arch> && g.activation_bits <= 4 && g.columns >= Arch::vector_bytes / 2)
        return kernel_id::shift_add_bytes;
    // Permutations look sums up without either cost.
    constexpr bool permutes = F::bits <= 3 && kernel::has_pair<Arch>;
    return g.columns >= 16 && !permutes ? kernel_id::shift_add_table : kernel_id::shift_add_rows;
}

/// Whether additions beat the multiplier for a matrix of this many rows: the measured rule.
///   ternary, activations of ≤ 4 bits   from 64 rows on, at any vector width
///   ternary, 8 bits                    from 256 rows on, where bytes have no four-way dot product;
///                                      where they have, from 2048 on, by permutations
///   ternary, float                     from 128 rows on
///   3 bits with zero, float            from 1024 rows on
template <weight_format F, activation X, architecture Arch>
[[nodiscard]] constexpr bool shift_add_is_faster(std::size_t rows, const geometry& g) noexcept {
    constexpr bool is_ternary = std::is_same_v<F, ternary>;
    if (!F::is_shift || !simd::has_bytes<Arch> || g.columns < Arch::vector_bytes / 2)
        return false;
    if constexpr (std::is_same_v<X, float>)
        return is_ternary ? rows >= 128 : std::is_same_v<F, shift3> && rows >= 1024;
    if (has_byte_table<F, X, Arch> && g.activation_bits <= 4)
        return rows >= 64;
    if (simd::has_quad_dot<Arch>)
        return is_ternary && simd::fast_permute16<Arch> && rows >= 2048;
    return is_ternary && rows >= 256;
}

/// The kernel for `rows` rows, or what of the geometry cannot be served.
template <weight_format F, activation X, architecture Arch>
result<kernel_id> choose(std::size_t rows, const geometry& g) {
    if (g.activation_bits < 1 || g.activation_bits > 8)
        return error(errc::bad_option, "geometry.activation_bits").got(g.activation_bits).limit(8);
    if (g.kernels == family::shift_add && !F::is_shift)
        return error(errc::unsupported, "geometry.kernels");
    const bool by_shifts =
        g.kernels == family::shift_add ||
        (g.kernels == family::automatic && shift_add_is_faster<F, X, Arch>(rows, g));
    return by_shifts ? choose_shift_add<F, X, Arch>(g) : kernel_id::dot;
}

} // namespace detail
} // namespace s3
