#pragma once
// What matmul and conv2d share: staging of activations, and sharing a kernel's work among workers.

#include <s3/exec/executor_ref.hpp>
#include <s3/ops/prepare.hpp>
#include <s3/ops/store.hpp>

#include <cstring>

namespace s3::detail {

/// Copies `count` activations in the form that a kernel stages. Signed bytes become unsigned ones
/// by adding ZeroPoint.
template <int ZeroPoint, activation X, class Staged>
S3_INLINE void stage(const X* from, std::size_t count, Staged* to) noexcept {
    if constexpr (std::is_same_v<X, Staged>) {
        if (count != 0)
            std::memcpy(to, from, count * sizeof(X));
    } else if constexpr (sizeof(Staged) == 1) {
        for (std::size_t i = 0; i < count; ++i)
            to[i] = static_cast<Staged>(static_cast<std::uint8_t>(from[i]) ^ ZeroPoint);
    } else {
        for (std::size_t i = 0; i < count; ++i)
            to[i] = static_cast<Staged>(static_cast<std::int32_t>(from[i]));
    }
}

/// An activation_source whose columns are the rows of a matrix of activation vectors.
template <int ZeroPoint, activation X>
struct row_source {
    matrix_view<const X> x;

    template <class Staged>
    void operator()(std::size_t n, std::size_t count, Staged* to, std::size_t stride) const {
        for (std::size_t c = 0; c < count; ++c, to += stride) {
            stage<ZeroPoint>(x.row(n + c), x.columns, to);
            std::fill(to + x.columns, to + stride, Staged{0});
        }
    }
    /// One segment if rows can be read in place: whole steps, of the type that the kernel stages,
    /// and not so far apart that all rows fall into the same set of the cache. Else 0.
    template <class Staged>
    [[nodiscard]] std::size_t segments() const noexcept {
        const bool whole_steps = x.columns != 0 && x.columns * sizeof(X) % 4 == 0;
        return std::is_same_v<X, Staged> && whole_steps && x.stride * sizeof(X) % 2048 != 0;
    }
    template <class Staged>
    void point(std::size_t n, std::size_t count, const Staged** table, Staged*) const noexcept {
        if constexpr (std::is_same_v<X, Staged>)
            for (std::size_t c = 0; c < count; ++c)
                table[c] = x.row(n + c);
    }
    [[nodiscard]] static constexpr bool ignores_padding() noexcept { return false; }
    [[nodiscard]] std::size_t alike(std::size_t n) const noexcept { return x.rows - n; }
};

/// How a product is divided into tasks: by rows if there are many, so that no weight is decoded
/// twice, else by columns.
struct sharing {
    std::size_t tasks = 1;
    bool by_rows = false;

    static sharing of(std::size_t panels, std::size_t columns, std::size_t workers) noexcept {
        if (workers <= 1)
            return {};
        if (panels >= 8 * workers || columns < 2 * workers)
            return {std::min(std::max<std::size_t>(panels, 1), workers), true};
        return {std::min(columns, 2 * workers), false};
    }
    [[nodiscard]] kernel::work_range range(std::size_t task, std::size_t panels,
                                           std::size_t columns) const noexcept {
        const auto cut = [&](std::size_t all, std::size_t t) { return piece_begin(all, tasks, t); };
        if (by_rows)
            return {0, columns, cut(panels, task), cut(panels, task + 1)};
        return {cut(columns, task), cut(columns, task + 1), 0, panels};
    }
};

template <class Kernel>
[[nodiscard]] constexpr std::size_t worker_scratch(std::size_t k, std::size_t n) {
    return whole_lines(Kernel::scratch_bytes(k, n));
}

/// Runs a kernel for all columns and rows. `scratch` must have 63 bytes for alignment and
/// worker_scratch bytes for each worker.
template <class Kernel, class Source, class Sink>
void run(const kernel::panel_view<typename Kernel::sum>& panels, std::size_t columns,
         const Source& source, const Sink& sink, std::span<std::byte> scratch, executor_ref ex) {
    const std::size_t count = Kernel::panels(panels.rows);
    const auto shared = sharing::of(count, columns, ex.concurrency());
    std::byte* base = align_up(scratch.data());
    const std::size_t each = worker_scratch<Kernel>(panels.columns, columns);
    ex.run(shared.tasks, [&](std::size_t task, std::size_t worker) {
        Kernel::run(panels, shared.range(task, count, columns), source, sink, base + worker * each);
    });
}

/// Checks that every row's sum plus its bias provably fits int32.
template <activation X>
inline status check_bias(std::span<const std::int64_t> abs_sums, std::span<const std::int32_t> bias,
                         int activation_bits) noexcept {
    if constexpr (std::integral<X>)
        for (std::size_t m = 0; m < (bias.empty() ? 0 : abs_sums.size()); ++m)
            if (const auto b = channel(bias, m); !fits_int32<X>(abs_sums[m], b, activation_bits))
                return error(errc::depth_exceeded, "epilogue.bias").at(m).got(b);
    return {};
}

} // namespace s3::detail
