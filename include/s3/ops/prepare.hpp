#pragma once
// `prepare` turns packed weights into the memory layout of one kernel, chosen once for the options,
// the activation type X and the architecture:
//
//   prepare<X>(w)                        the fastest kernel, by measured rules
//   prepare<X, family::shift_add>(w)     the fastest kernel of a family
//   prepare<X, "shift_add_table">(w)     one kernel, by its name (kernel/registry.hpp)
//   prepare<X, family::any>(w, options)  the family that the options name, at run time
//
// Only kernels that can be chosen are compiled. The result belongs to this machine and is never
// written to disk. Errors: depth_exceeded if a row's Σ|w| could overflow int32; options that cannot
// be served. The result lies in one piece of memory, the caller's (`prepare_into`) or its own
// (`prepare`).

#include <s3/core/saturating.hpp>
#include <s3/ops/choose.hpp>
#include <s3/pack/pack.hpp>

namespace s3 {

namespace detail {

/// Cuts aligned arrays off a piece of memory. Without memory it only counts the bytes.
struct arena {
    std::byte* base = nullptr;
    std::size_t used = 0;

    template <class T>
    std::span<T> take(std::size_t count) noexcept {
        T* p = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
        used = saturating_add(used, whole_lines(saturating_mul(count, sizeof(T))));
        return {p, p == nullptr ? 0 : count};
    }
};

/// The first address at or behind p that is a multiple of 64.
[[nodiscard]] inline std::byte* align_up(std::byte* p) noexcept {
    return p + (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64;
}

/// Checks that the sums of every row fit int32.
template <activation X, weight_format F>
status check_depth(const packed_matrix<F>& packed, const prepare_options& o) {
    if constexpr (std::integral<X>)
        for (std::size_t m = 0; m < packed.rows(); ++m)
            if (!fits_int32<X>(packed.abs_sums()[m], 0, o.activation_bits))
                return error(errc::depth_exceeded, "weights.row")
                    .at(m)
                    .got(packed.abs_sums()[m])
                    .limit(std::numeric_limits<std::int32_t>::max() /
                           (max_abs_activation<X> >> (8 - o.activation_bits)));
    return {};
}

/// Refuses what would lose scales: sums of a whole row cannot be multiplied by one per group.
template <weight_format F>
status check_scales(const packed_matrix<F>& packed) {
    if (packed.group() != 0)
        return error(errc::unsupported, "weights.group").got(packed.group());
    return {};
}

/// Whether weights stand for other numbers than their integer values, and outputs are to be in
/// terms of those numbers.
template <activation X, weight_format F>
[[nodiscard]] bool has_real_scale(const packed_matrix<F>& packed,
                                  const prepare_options& o) noexcept {
    return (packed.exponent_offset() != 0 || !packed.scale().empty()) &&
           !(std::integral<X> && o.integers_only);
}

/// The number of rows that `initial` must have: whole panels of every kernel.
[[nodiscard]] constexpr std::size_t padded_rows(std::size_t rows) noexcept {
    return (rows + 63) / 64 * 64;
}

} // namespace detail

template <weight_format F, activation X, architecture Arch = arch::native,
          kernel_choice Choice = family::automatic>
class prepared_matrix {
    using candidates = detail::product_candidates<F, X, Arch, Choice>;
    static_assert(
        candidates::size != 0,
        "no product kernel of this family or name serves this format, activation type and "
        "instruction set");

public:
    using format = F;
    using activation_type = X;
    using architecture_type = Arch;
    using sum = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;

    /// The bytes of memory that `make` needs.
    static result<std::size_t> bytes(const packed_matrix<F>& packed, const prepare_options& o) {
        const auto kernel = detail::choose<F, X, Arch, Choice>(packed.rows(), o);
        if (!kernel)
            return kernel.error();
        detail::arena count;
        count.take<std::uint8_t>(layout_bytes(*kernel, packed));
        count.take<std::int32_t>(detail::padded_rows(packed.rows()));
        count.take<std::int64_t>(packed.rows());
        count.take<float>(packed.rows());
        return saturating_add(count.used, 63);
    }
    /// Prepares the weights in the caller's memory, which must outlive the result.
    static result<prepared_matrix> make(const packed_matrix<F>& packed, const prepare_options& o,
                                        std::span<std::byte> memory) {
        const auto needed = bytes(packed, o);
        if (!needed)
            return needed.error();
        if (auto s = detail::check_scales(packed); !s)
            return s.error();
        if (auto s = detail::check_depth<X>(packed, o); !s)
            return s.error();
        if (memory.size() < *needed)
            return error(errc::buffer_too_small, "memory").got(memory.size()).needs(*needed);
        prepared_matrix p;
        p.rows_ = packed.rows();
        p.columns_ = packed.columns();
        p.options_ = o;
        p.kernel_ = *detail::choose<F, X, Arch, Choice>(packed.rows(), o);
        p.fill(packed, detail::arena{detail::align_up(memory.data())});
        return p;
    }
    /// Prepares the weights in memory that the result owns.
    static result<prepared_matrix> make(const packed_matrix<F>& packed, const prepare_options& o) {
        const auto needed = bytes(packed, o);
        if (!needed)
            return needed.error();
        auto memory = buffer<std::byte>::make(*needed);
        if (!memory)
            return memory.error();
        auto p = make(packed, o, memory->span());
        if (p)
            p->own_ = *std::move(memory);
        return p;
    }

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] const prepare_options& prepared_for() const noexcept { return options_; }
    [[nodiscard]] const char* kernel_name() const noexcept {
        return candidates::visit(kernel_, [](auto k) { return decltype(k)::type::name; });
    }
    [[nodiscard]] std::span<const std::int64_t> abs_sums() const noexcept { return abs_sums_; }
    [[nodiscard]] std::span<const float> real_scale() const noexcept { return real_scale_; }
    [[nodiscard]] kernel::panel_view<sum> panels() const noexcept {
        return {layout_.data(), rows_, columns_, initial_.data()};
    }

    /// Calls f(std::type_identity<Loop>{}) for the loop of candidate number `index`.
    template <class Function>
    static decltype(auto) visit_loop(std::size_t index, Function&& f) {
        return candidates::visit(index, [&](auto k) -> decltype(auto) {
            using loop = kernel::loop_of<typename decltype(k)::type>;
            static_assert(kernel::product_loop<loop>);
            return f(std::type_identity<loop>{});
        });
    }
    /// Does the same for the kernel that was chosen.
    template <class Function>
    decltype(auto) visit(Function&& f) const {
        return visit_loop(kernel_, f);
    }

private:
    static std::size_t layout_bytes(std::size_t index, const packed_matrix<F>& packed) {
        return visit_loop(index, [&](auto k) {
            return decltype(k)::type::layout_bytes(packed.rows(), packed.columns());
        });
    }
    void fill(const packed_matrix<F>& packed, detail::arena memory) {
        layout_ = memory.take<std::uint8_t>(layout_bytes(kernel_, packed));
        std::fill(layout_.begin(), layout_.end(), std::uint8_t{0});
        initial_ = memory.take<sum>(detail::padded_rows(rows_));
        std::fill(initial_.begin(), initial_.end(), sum{0});
        visit([&](auto k) {
            using loop = typename decltype(k)::type;
            loop::pack(packed.stream().data(), packed.sums().data(), rows_, columns_,
                       layout_.data());
            // Signed activations are staged as x + zero_point. That adds zero_point · Σw to a sum,
            // a constant of the row, which is subtracted from the start.
            if constexpr (std::is_same_v<X, std::int8_t>)
                for (std::size_t m = 0; m < rows_; ++m)
                    initial_[m] = static_cast<std::int32_t>(-loop::zero_point * packed.sums()[m]);
        });
        abs_sums_ = memory.take<std::int64_t>(rows_);
        std::copy(packed.abs_sums().begin(), packed.abs_sums().end(), abs_sums_.begin());
        if (detail::has_real_scale<X>(packed, options_)) {
            real_scale_ = memory.take<float>(rows_);
            for (std::size_t m = 0; m < rows_; ++m)
                real_scale_[m] = packed.real_scale(m);
        }
    }

    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
    prepare_options options_;
    std::size_t kernel_ = 0; ///< the number of the chosen kernel among the candidates
    std::span<std::uint8_t> layout_;
    std::span<sum> initial_;
    std::span<std::int64_t> abs_sums_;
    std::span<float> real_scale_;
    buffer<std::byte> own_;
};

/// The bytes of memory that `prepare_into` needs.
template <activation X = std::uint8_t, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native, weight_format F>
result<std::size_t> prepared_bytes(const packed_matrix<F>& packed, const prepare_options& o = {}) {
    return prepared_matrix<F, X, Arch, Choice>::bytes(packed, o);
}

/// Prepares weights in the caller's memory of prepared_bytes(), which must outlive the result.
/// Errors: those of `prepare`, and buffer_too_small.
template <activation X = std::uint8_t, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native, weight_format F>
result<prepared_matrix<F, X, Arch, Choice>> prepare_into(const packed_matrix<F>& packed,
                                                         const prepare_options& o,
                                                         std::span<std::byte> memory) {
    return prepared_matrix<F, X, Arch, Choice>::make(packed, o, memory);
}

/// Prepares [rows][columns] weights for products with activations of type X, in memory of its own.
template <activation X = std::uint8_t, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native, weight_format F>
result<prepared_matrix<F, X, Arch, Choice>> prepare(const packed_matrix<F>& packed,
                                                    const prepare_options& o = {}) {
    return prepared_matrix<F, X, Arch, Choice>::make(packed, o);
}

} // namespace s3
