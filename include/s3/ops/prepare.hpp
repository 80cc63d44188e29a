#pragma once
// `prepare` turns packed weights into the memory layout of one kernel, chosen once for the
// geometry, the activation type X and the architecture. The result belongs to this machine and is
// never written to disk. Errors: depth_exceeded if a row's Σ|w| could overflow int32, unsupported
// options.
//
// All of it lives in one piece of memory: the caller's (`prepare_into`), or its own (`prepare`).

#include <s3/ops/dispatch.hpp>
#include <s3/pack/pack.hpp>

namespace s3 {

template <weight_format F, activation X, architecture Arch = arch::native>
class prepared_matrix {
public:
    using format = F;
    using activation_type = X;
    using architecture_type = Arch;
    using sum = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] const geometry& prepared_for() const noexcept { return geometry_; }
    /// The kernel's family and architecture, e.g. "dot".
    [[nodiscard]] const char* kernel_name() const noexcept {
        return visit([](auto k) { return decltype(k)::type::name; });
    }
    [[nodiscard]] std::span<const std::int64_t> abs_sums() const noexcept { return abs_sums_; }
    [[nodiscard]] std::span<const float> real_scale() const noexcept { return real_scale_; }
    [[nodiscard]] kernel::panel_view<sum> panels() const noexcept {
        return {layout_.data(), rows_, columns_, initial_.data()};
    }

    template <class Function>
    auto visit(Function&& f) const {
        return detail::visit_kernel<F, X, Arch>(kernel_, std::forward<Function>(f));
    }

private:
    template <activation Y, architecture A, weight_format G>
    friend result<prepared_matrix<G, Y, A>> prepare_into(const packed_matrix<G>&, const geometry&,
                                                         std::span<std::byte>);
    template <activation Y, architecture A, weight_format G>
    friend result<prepared_matrix<G, Y, A>> prepare(const packed_matrix<G>&, const geometry&);

    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
    geometry geometry_;
    detail::kernel_id kernel_ = detail::kernel_id::dot;
    std::span<std::uint8_t> layout_;
    std::span<sum> initial_;
    std::span<std::int64_t> abs_sums_;
    std::span<float> real_scale_;
    buffer<std::byte> own_;
};

namespace detail {

/// Cuts aligned arrays from a piece of memory; without memory it only counts.
struct arena {
    std::byte* base = nullptr;
    std::size_t used = 0;

    template <class T>
    std::span<T> take(std::size_t count) noexcept {
        constexpr std::size_t line = 64;
        T* p = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
        const std::size_t bytes = saturating_mul(count, sizeof(T));
        const std::size_t whole = bytes / line * line + (bytes % line != 0 ? line : 0);
        used = whole < bytes || used + whole < used ? std::numeric_limits<std::size_t>::max()
                                                    : used + whole;
        return {p, p == nullptr ? 0 : count};
    }
};

/// The first multiple of 64 at or after p.
[[nodiscard]] inline std::byte* align_up(std::byte* p) noexcept {
    return p + (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64;
}

/// Every row's sums fit int32.
template <activation X, weight_format F>
status check_depth(const packed_matrix<F>& packed, const geometry& g) {
    if constexpr (std::integral<X>)
        for (std::size_t m = 0; m < packed.rows(); ++m)
            if (!fits_int32<X>(packed.abs_sums()[m], 0, g.activation_bits))
                return error(errc::depth_exceeded, "weights.row")
                    .at(m)
                    .got(packed.abs_sums()[m])
                    .limit(std::numeric_limits<std::int32_t>::max() /
                           (max_abs_activation<X> >> (8 - g.activation_bits)));
    return {};
}

/// Rows that whole panels of any kernel may cover: what `initial` must hold.
[[nodiscard]] constexpr std::size_t padded_rows(std::size_t rows) noexcept {
    return (rows + 63) / 64 * 64;
}

} // namespace detail

/// Bytes that `prepare_into` needs.
template <activation X = std::uint8_t, architecture Arch = arch::native, weight_format F>
result<std::size_t> prepared_bytes(const packed_matrix<F>& packed, const geometry& g = {}) {
    const auto id = detail::choose<F, X, Arch>(packed.rows(), g);
    if (!id)
        return id.error();
    detail::arena count;
    count.take<std::uint8_t>(detail::visit_kernel<F, X, Arch>(*id, [&](auto k) {
        return decltype(k)::type::layout_bytes(packed.rows(), packed.columns());
    }));
    count.take<std::int32_t>(detail::padded_rows(packed.rows()));
    count.take<std::int64_t>(packed.rows());
    count.take<float>(packed.rows());
    return count.used + 63;
}

template <activation X = std::uint8_t, architecture Arch = arch::native, weight_format F>
result<prepared_matrix<F, X, Arch>> prepare_into(const packed_matrix<F>& packed, const geometry& g,
                                                 std::span<std::byte> memory) {
    const auto id = detail::choose<F, X, Arch>(packed.rows(), g);
    if (!id)
        return id.error();
    if (auto s = detail::check_depth<X>(packed, g); !s)
        return s.error();
    const auto bytes = prepared_bytes<X, Arch>(packed, g);
    if (!bytes)
        return bytes.error();
    if (memory.size() < *bytes)
        return error(errc::buffer_too_small, "memory").got(memory.size()).needs(*bytes);

    using prepared = prepared_matrix<F, X, Arch>;
    prepared p;
    p.rows_ = packed.rows();
    p.columns_ = packed.columns();
    p.geometry_ = g;
    p.kernel_ = *id;
    detail::arena arena{detail::align_up(memory.data())};
    p.visit([&](auto k) {
        using kernel = typename decltype(k)::type;
        p.layout_ = arena.take<std::uint8_t>(kernel::layout_bytes(p.rows_, p.columns_));
        std::fill(p.layout_.begin(), p.layout_.end(), std::uint8_t{0});
        kernel::pack(packed.stream().data(), packed.sums().data(), p.rows_, p.columns_,
                     p.layout_.data());
        p.initial_ = arena.take<typename prepared::sum>(detail::padded_rows(p.rows_));
        std::fill(p.initial_.begin(), p.initial_.end(), typename prepared::sum{0});
        // Signed activations are staged as x + zero_point: what that adds is a constant of the row.
        if constexpr (std::is_same_v<X, std::int8_t>)
            for (std::size_t m = 0; m < p.rows_; ++m)
                p.initial_[m] = static_cast<std::int32_t>(-kernel::zero_point * packed.sums()[m]);
    });
    p.abs_sums_ = arena.take<std::int64_t>(p.rows_);
    std::copy(packed.abs_sums().begin(), packed.abs_sums().end(), p.abs_sums_.begin());
    if (std::is_same_v<X, float> && (packed.exponent_offset() != 0 || !packed.scale().empty())) {
        p.real_scale_ = arena.take<float>(p.rows_);
        for (std::size_t m = 0; m < p.rows_; ++m)
            p.real_scale_[m] = packed.real_scale(m);
    }
    return p;
}

template <activation X = std::uint8_t, architecture Arch = arch::native, weight_format F>
result<prepared_matrix<F, X, Arch>> prepare(const packed_matrix<F>& packed,
                                            const geometry& g = {}) {
    const auto bytes = prepared_bytes<X, Arch>(packed, g);
    if (!bytes)
        return bytes.error();
    auto memory = buffer<std::byte>::make(*bytes);
    if (!memory)
        return memory.error();
    auto p = prepare_into<X, Arch>(packed, g, memory->span());
    if (p)
        p->own_ = *std::move(memory);
    return p;
}

} // namespace s3
