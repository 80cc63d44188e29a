#pragma once
// y[n][m] = Σ_k w[m][k]·x[n][k], then the epilogue. X is [N][K] and Y is [N][M]: each activation
// vector is contiguous. int8 and uint8 activations give int32, float, or (with a scale) uint8 and
// int8 outputs, exact; float gives float within K·ε·Σ|w·x|.
//
// Errors: shapes that do not fit, a scratch that is too small, epilogues that the output type does
// not have, a bias that could overflow. On error nothing is written.

#include <s3/ops/run.hpp>

namespace s3 {

template <activation X>
using epilogue_for = std::conditional_t<std::is_same_v<X, float>, float_epilogue, epilogue>;

/// What an operation on activations X can produce.
template <class Y, class X>
concept output = std::same_as<Y, float> ||
    (std::integral<X> && (std::same_as<Y, std::int32_t> || std::same_as<Y, std::uint8_t> ||
                          std::same_as<Y, std::int8_t>));

namespace detail {

/// What std::span can be made of.
template <class Range>
concept contiguous = requires(Range range) {
    std::span(range);
};
template <class Range>
using element_of = typename decltype(std::span(std::declval<Range>()))::element_type;

/// For messages of the compiler alone.
template <class>
inline constexpr bool never = false;

} // namespace detail

/// Bytes of scratch for `columns` activation vectors and `workers` threads.
template <weight_format F, activation X, architecture Arch, kernel_choice Choice>
[[nodiscard]] std::size_t scratch_bytes(const prepared_matrix<F, X, Arch, Choice>& w,
                                        std::size_t columns, std::size_t workers = 1) {
    if (w.rows() == 0)
        return 0;
    const std::size_t each = w.visit([&](auto k) {
        return detail::worker_scratch<typename decltype(k)::type>(w.columns(), columns);
    });
    return saturating_add(63, saturating_mul(workers, each));
}

template <weight_format F, activation X, architecture Arch, kernel_choice Choice, output<X> Y>
status matmul(const prepared_matrix<F, X, Arch, Choice>& w,
              std::type_identity_t<matrix_view<const X>> x, matrix_view<Y> y,
              const epilogue_for<X>& e, std::span<std::byte> scratch, executor_ref ex = {}) {
    if (auto s = x.check("x"); !s)
        return s;
    if (auto s = y.check("y"); !s)
        return s;
    if (x.columns != w.columns())
        return error(errc::shape_mismatch, "x.columns").got(x.columns).needs(w.columns());
    if (y.columns != w.rows())
        return error(errc::shape_mismatch, "y.columns").got(y.columns).needs(w.rows());
    if (y.rows != x.rows)
        return error(errc::shape_mismatch, "y.rows").got(y.rows).needs(x.rows);
    if constexpr (std::integral<X>) {
        const std::size_t size = y.rows == 0 ? 0 : (y.rows - 1) * y.stride + y.columns;
        if (auto s = check<Y>(e, w.rows(), size); !s)
            return s;
        if (auto s = detail::check_bias<X>(w.abs_sums(), e.bias, w.prepared_for().activation_bits);
            !s)
            return s;
        if (auto s = detail::check_real_scale<Y>(e, w.real_scale()); !s)
            return s;
    } else {
        if (auto s = check(e, w.rows()); !s)
            return s;
    }
    if (w.rows() == 0)
        return {};
    const std::size_t needed = scratch_bytes(w, x.rows, ex.concurrency());
    if (scratch.size() < needed)
        return error(errc::buffer_too_small, "scratch").got(scratch.size()).needs(needed);
    const detail::output_map map{.image = y.stride};
    w.visit([&](auto k) {
        using loop = typename decltype(k)::type;
        const detail::row_source<loop::zero_point, X> source{x};
        if constexpr (std::integral<X>)
            detail::run<loop>(w.panels(), x.rows, source,
                              detail::integer_store<Arch, Y>{y.data.data(), map, e, w.real_scale()},
                              scratch, ex);
        else
            detail::run<loop>(w.panels(), x.rows, source,
                              detail::float_store<Arch>{y.data.data(), map, e, w.real_scale()},
                              scratch, ex);
    });
    return {};
}

/// The same with scratch memory allocated for this call.
template <weight_format F, activation X, architecture Arch, kernel_choice Choice, output<X> Y>
status matmul(const prepared_matrix<F, X, Arch, Choice>& w,
              std::type_identity_t<matrix_view<const X>> x, matrix_view<Y> y,
              const epilogue_for<X>& e = {}, executor_ref ex = {}) {
    auto scratch = buffer<std::byte>::make(scratch_bytes(w, x.rows, ex.concurrency()));
    if (!scratch)
        return scratch.error();
    return matmul(w, x, y, e, scratch->span(), ex);
}

/// The same on plain ranges: N is what x holds.
template <weight_format F, activation X, architecture Arch, kernel_choice Choice, class XRange,
          class YRange>
requires detail::contiguous<const XRange&> && detail::contiguous<YRange&>
    status matmul(const prepared_matrix<F, X, Arch, Choice>& w, const XRange& x, YRange&& y,
                  const epilogue_for<X>& e = {}, executor_ref ex = {}) {
    static_assert(std::is_same_v<detail::element_of<const XRange&>, const X>,
                  "x holds another type than the weights were prepared for: name it, as in "
                  "prepare<std::int8_t>(weights)");
    using Y = typename decltype(std::span(y))::element_type;
    static_assert(output<Y, X>, "y holds float or, where x holds integers, std::int32_t, "
                                "std::uint8_t or std::int8_t, and may be written to");
    const std::span<const X> in(x);
    const std::span<Y> out(y);
    const std::size_t n = w.columns() != 0 ? in.size() / w.columns()
                          : w.rows() != 0  ? out.size() / w.rows()
                                           : 0;
    if (in.size() != n * w.columns())
        return error(errc::shape_mismatch, "x").got(in.size()).needs(n * w.columns());
    if (out.size() != n * w.rows())
        return error(errc::shape_mismatch, "y").got(out.size()).needs(n * w.rows());
    return matmul(w, matrix_view<const X>(in, n, w.columns()), matrix_view<Y>(out, n, w.rows()), e,
                  ex);
}

/// From packed weights, with all memory in `scratch` (packed_scratch_bytes): prepares on the fly.
template <activation X, kernel_choice Choice = family::automatic, architecture Arch = arch::native,
          weight_format F>
result<std::size_t> packed_scratch_bytes(const packed_matrix<F>& w, std::size_t batch,
                                         const prepare_options& o = {}, std::size_t workers = 1) {
    using prepared = prepared_matrix<F, X, Arch, Choice>;
    const auto layout = prepared::bytes(w, o);
    if (!layout)
        return layout.error();
    const auto kernel = detail::choose<F, X, Arch, Choice>(w.rows(), o);
    const std::size_t each = prepared::visit_loop(*kernel, [&](auto k) {
        return detail::worker_scratch<typename decltype(k)::type>(w.columns(), batch);
    });
    return saturating_add(*layout, saturating_add(saturating_mul(workers, each), 63));
}
template <kernel_choice Choice = family::automatic, architecture Arch = arch::native,
          weight_format F, class X, class Y>
requires activation<std::remove_const_t<X>> && output<Y, std::remove_const_t<X>>
    status matmul(const packed_matrix<F>& w, matrix_view<X> x, matrix_view<Y> y,
                  const epilogue_for<std::remove_const_t<X>>& e, std::span<std::byte> scratch,
                  const prepare_options& o = {}, executor_ref ex = {}) {
    using element = std::remove_const_t<X>;
    const auto layout = prepared_bytes<element, Choice, Arch>(w, o);
    if (!layout)
        return layout.error();
    if (scratch.size() < *layout)
        return error(errc::buffer_too_small, "scratch").got(scratch.size()).needs(*layout);
    const auto p = prepare_into<element, Choice, Arch>(w, o, scratch.first(*layout));
    if (!p)
        return p.error();
    return matmul(*p, x, y, e, scratch.subspan(*layout), ex);
}

/// The same with all memory allocated for this call.
template <kernel_choice Choice = family::automatic, architecture Arch = arch::native,
          weight_format F, class X, class Y>
requires activation<std::remove_const_t<X>> && output<Y, std::remove_const_t<X>>
    status matmul(const packed_matrix<F>& w, matrix_view<X> x, matrix_view<Y> y,
                  const epilogue_for<std::remove_const_t<X>>& e = {}, const prepare_options& o = {},
                  executor_ref ex = {}) {
    const auto p = prepare<std::remove_const_t<X>, Choice, Arch>(w, o);
    if (!p)
        return p.error();
    return matmul(*p, x, y, e, ex);
}

/// Weights that may be an error.
template <class T, class... Rest>
status matmul(const result<T>&, Rest&&...) {
    static_assert(detail::never<T>, "the weights are a result: check it, and pass *weights");
    return {};
}

} // namespace s3
