#pragma once
// The one place where a kernel is chosen: format × activation type × architecture × family. A new
// kernel is a line in `kernel_id`, one in `visit_kernel` and its rule in `choose`.

#include <s3/kernel/dot/bytes.hpp>
#include <s3/kernel/dot/words.hpp>
#include <s3/kernel/shift_add/pair.hpp>
#include <s3/kernel/shift_add/table.hpp>
#include <s3/kernel/shift_add/words.hpp>
#include <s3/kernel/tile.hpp>

#include <type_traits>

namespace s3 {

/// `shift_add` has no multiplication in its inner loop, `dot` uses the machine's multipliers;
/// `automatic` takes the faster by measured rule.
enum class family : unsigned char { automatic, dot, shift_add };

/// What is known of the activations when weights are prepared.
struct geometry {
    std::size_t columns = 64; ///< activation vectors per call (pixels of a convolution)
    family kernels = family::automatic;
    int activation_bits = 8; ///< a promise: activations use no more bits than this
};

namespace detail {

enum class kernel_id : unsigned char { dot, shift_add_words, shift_add_pair, shift_add_table };

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
requires simd::has_bytes<Arch> &&(F::max_value <= 127) struct dot_kernel<F, X, Arch> {
    using type = kernel::tile<kernel::byte_dot<F, Arch>>;
};

/// Lanes of the tables of partial sums: 16 bits where some groups' sums fit them.
template <weight_format F, activation X>
using table_lane =
    std::conditional_t<std::is_same_v<X, float>, float,
                       std::conditional_t<F::bits <= 3, std::int16_t, std::uint32_t>>;

/// Whether sums can be looked up by permutation.
template <weight_format F, activation X, architecture Arch>
inline constexpr bool permutes =
    F::is_shift&& F::bits <= 3 && std::integral<X>&& kernel::has_pair<Arch>;

/// Calls f(type_tag<Kernel>{}); every branch must return the same type.
template <weight_format F, activation X, architecture Arch, class Function>
auto visit_kernel(kernel_id id, Function&& f) {
    if constexpr (F::is_shift) {
        if constexpr (std::integral<X>)
            if (id == kernel_id::shift_add_words)
                return f(type_tag<kernel::tile<kernel::word_shift_add<F, Arch>>>{});
        if constexpr (permutes<F, X, Arch>)
            if (id == kernel_id::shift_add_pair)
                return f(type_tag<kernel::pair<F, Arch>>{});
        if (id == kernel_id::shift_add_table)
            return f(type_tag<kernel::table<F, Arch, table_lane<F, X>>>{});
    }
    (void)id;
    return f(type_tag<typename dot_kernel<F, X, Arch>::type>{});
}

template <weight_format F, activation X, architecture Arch>
[[nodiscard]] result<kernel_id> choose(const geometry& g) {
    if (g.activation_bits < 1 || g.activation_bits > 8)
        return error(errc::bad_option, "geometry.activation_bits").got(g.activation_bits).needs(8);
    if (g.kernels != family::shift_add)
        return kernel_id::dot;
    if (!F::is_shift)
        return error(errc::unsupported, "geometry.kernels");
    // A table has columns for lanes, which few columns leave empty; the others have rows.
    if (std::is_same_v<X, float> || g.columns >= 16)
        return kernel_id::shift_add_table;
    return permutes<F, X, Arch> ? kernel_id::shift_add_pair : kernel_id::shift_add_words;
}

} // namespace detail
} // namespace s3
