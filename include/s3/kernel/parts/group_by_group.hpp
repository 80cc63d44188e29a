#pragma once
// Scales of groups around any product of integers: each group is a product of its own, whose sums
// become floats, are scaled and added to those of the groups before, as parts/group_product.hpp
// defines it. Kernels that look sums up in tables, which are built anew for every few weights of
// the depth anyway, lose little by it.
//
// Layout: for each group, where its sums start (int32, one per row), then the kernel's own layout.

#include <s3/core/buffer.hpp>
#include <s3/kernel/parts/group_product.hpp>

namespace s3::kernel {

template <weight_format F, architecture Arch, product_loop Loop>
struct group_by_group {
    struct unit {}; // sums need nothing that depends on the activations
    using staged = std::int8_t;
    using activations = group_activations<staged>;
    static constexpr std::size_t spare_columns = 0;
    static constexpr std::size_t lanes = simd::width32<Arch>;

    static constexpr std::size_t panels(std::size_t m) { return Loop::panels(m); }
    static constexpr std::size_t stage_stride(std::size_t k) { return whole_lines(k) + 64; }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k, std::size_t group) {
        return saturating_mul(group == 0 ? 1 : k / group, group_bytes(m, group));
    }
    /// Errors: out_of_memory, for a copy of a group's weights.
    static status pack(const std::uint8_t* stream, std::size_t m, std::size_t k, std::size_t group,
                       std::uint8_t* to) {
        const std::size_t bytes = s3::layout::stream_bytes(m * group, F::bits);
        auto part = buffer<std::uint8_t>::make(bytes);
        auto sums = buffer<std::int64_t>::make(m);
        if (!part)
            return part.error();
        if (!sums)
            return sums.error();
        for (std::size_t begin = 0; begin < k; begin += group, to += group_bytes(m, group)) {
            std::fill_n(part->data(), bytes, std::uint8_t{0});
            std::fill_n(sums->data(), m, 0);
            for (std::size_t row = 0; row < m; ++row)
                for (std::size_t i = 0; i < group; ++i) {
                    const unsigned code = s3::layout::get<F::bits>(stream, row * k + begin + i);
                    s3::layout::put<F::bits>(part->data(), row * group + i, code);
                    (*sums)[row] += F::value(code);
                }
            auto* const start = reinterpret_cast<std::int32_t*>(to);
            for (std::size_t row = 0; row < m; ++row)
                start[row] = static_cast<std::int32_t>(-Loop::zero_point * (*sums)[row]);
            Loop::pack(part->data(), sums->data(), m, group, to + start_bytes(m));
        }
        return {};
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        std::size_t most = Loop::scratch_bytes(k, std::min(n, columns));
        for (const std::size_t group : {32u, 64u, 128u, 256u})
            most = std::max(most, Loop::scratch_bytes(group, std::min(n, columns)));
        return total_bytes + most;
    }

    template <group_sink Sink>
    static void run(const group_view& w, const work_range& range, const activations& x,
                    const Sink& sink, std::byte* scratch) {
        auto* const totals = reinterpret_cast<float*>(scratch);
        const std::size_t groups = w.groups();
        constexpr std::size_t most = rows / panel_rows;
        for (std::size_t n = range.n_begin; n < range.n_end; n += columns)
            for (std::size_t p = range.panel_begin; p < range.panel_end; p += most) {
                const work_range part{n, std::min(n + columns, range.n_end), p,
                                      std::min(p + most, range.panel_end)};
                const std::size_t row = p * panel_rows, count = part.n_end - n;
                std::fill_n(totals, count * rows, -0.0f); // added to v it gives v, also if v is 0
                for (std::size_t g = 0; g < groups; ++g) {
                    const std::uint8_t* const at = w.data + g * group_bytes(w.rows, w.group);
                    const panel_view<std::int32_t> weights{
                        at + start_bytes(w.rows), w.rows, w.group,
                        reinterpret_cast<const std::int32_t*>(at)};
                    Loop::run(weights, part, source{x.data + g * w.group, x.stride, w.group},
                              adder{w.scales, x.scale, groups, g, n, row, totals},
                              scratch + total_bytes);
                }
                sink(n, count, row, std::min(part.panel_end * panel_rows, w.rows) - row, totals,
                     rows);
            }
    }

private:
    static constexpr std::size_t columns = 32; ///< activation vectors whose totals are kept
    static constexpr std::size_t rows = 4096;  ///< rows whose totals are kept
    static constexpr std::size_t total_bytes = columns * rows * sizeof(float);
    /// Rows of the kernel's own panel.
    static constexpr std::size_t panel_rows = [] {
        std::size_t m = 1;
        while (Loop::panels(2 * m) == 1)
            m *= 2;
        return m;
    }();
    static_assert(Loop::panels(panel_rows + 1) == 2 && rows % panel_rows == 0);

    static constexpr std::size_t start_bytes(std::size_t m) {
        return whole_lines(saturating_mul((m + 63) / 64 * 64, sizeof(std::int32_t)));
    }
    static constexpr std::size_t group_bytes(std::size_t m, std::size_t group) {
        return whole_lines(saturating_add(start_bytes(m), Loop::layout_bytes(m, group)));
    }

    /// The activations of a group.
    struct source {
        const std::int8_t* x;
        std::size_t x_stride, group;

        template <class Staged>
        void operator()(std::size_t n, std::size_t count, Staged* to, std::size_t stride) const {
            for (std::size_t c = 0; c < count; ++c, to += stride) {
                const std::int8_t* const from = x + (n + c) * x_stride;
                for (std::size_t i = 0; i < group; ++i)
                    to[i] = static_cast<Staged>(from[i] + Loop::zero_point);
                std::fill(to + group, to + stride, Staged{0});
            }
        }
        template <class Staged>
        [[nodiscard]] static std::size_t segments() noexcept {
            return 0;
        }
        template <class Staged>
        void point(std::size_t, std::size_t, const Staged**, Staged*) const noexcept {}
        [[nodiscard]] static constexpr bool ignores_padding() noexcept { return false; }
        [[nodiscard]] static std::size_t alike(std::size_t) noexcept { return columns; }
    };
    /// Where a group's sums go: into the totals.
    struct adder {
        group_scales scales;
        const float* x_scale;
        std::size_t groups, group, first_column, first_row;
        float* totals;

        void place(std::size_t n, std::size_t count, std::size_t* at) const noexcept {
            for (std::size_t c = 0; c < count; ++c)
                at[c] = n + c;
        }
        [[nodiscard]] static std::int32_t* straight(std::size_t) noexcept { return nullptr; }
        void operator()(const std::size_t* at, std::size_t count, std::size_t row, std::size_t some,
                        const std::int32_t* sums, std::size_t stride) const noexcept {
            for (std::size_t c = 0; c < count; ++c)
                (*this)(at[c], row, some, sums + c * stride);
        }
        void operator()(std::size_t n, std::size_t row, std::size_t some,
                        const std::int32_t* sums) const noexcept {
            const std::size_t index = n * groups + group;
            float* const to = totals + (n - first_column) * rows + (row - first_row);
            std::size_t i = 0;
            if (row % lanes == 0)
                for (; i + lanes <= some; i += lanes)
                    add(sums + i, (row + i) / lanes, index, to + i);
            for (; i < some; ++i) { // through memory for a whole vector
                std::int32_t one[lanes] = {};
                float all[lanes] = {};
                const std::size_t lane = (row + i) % lanes;
                one[lane] = sums[i];
                all[lane] = to[i];
                add(one, (row + i) / lanes, index, all);
                to[i] = all[lane];
            }
        }

    private:
        /// Of a panel and of activation scale number `index`.
        S3_INLINE void add(const std::int32_t* sums, std::size_t panel, std::size_t index,
                           float* to) const noexcept {
            const auto scale = scales.template load<Arch>((panel * groups + group) * lanes);
            const simd::lanes<float, Arch> sum =
                simd::load<float, Arch>(to) +
                scaled<Arch>(simd::load<std::int32_t, Arch>(sums),
                             with_activations<Arch>(scale, x_scale, index));
            simd::store<Arch>(to, sum);
        }
    };
};

/// What a kernel for groups declares beside its name, if it is `Kernel` for one group at a time.
/// Where bytes have dot products, those are always faster.
template <weight_format F, architecture Arch, class Kernel>
struct one_group_at_a_time {
    static constexpr s3::family family = Kernel::family;
    static constexpr bool exists = Kernel::exists;
    static constexpr rank_range ranks{std::min(Kernel::ranks.least, 90),
                                      std::min(Kernel::ranks.most, 90)};
    static constexpr int rank(const product_request& r) noexcept {
        return std::min(Kernel::rank(r), 90);
    }
    static auto loop() { return std::type_identity<group_by_group<F, Arch, loop_of<Kernel>>>{}; }
};

} // namespace s3::kernel
