#pragma once
// A linear layer of floats: float activations in, float outputs out, packed weights and integer
// sums between.
//
//   auto layer = s3::linear<s3::shift3>::make(weights, {.batch = 16});
//   (*layer)(x, y);                                     x [N][K], y [N][M]
//
// Each activation vector is rounded to int8 by its own largest magnitude (ops/round.hpp), or each
// of its groups by their own. The sums of a group of weights (the row, where there are no groups)
// are exact in int32 and become floats that are scaled and added in a fixed order
// (kernel/parts/group_product.hpp): results have the same bits on every machine, for every number
// of threads and every division into batches. What may follow is in ops/linear_epilogue.hpp.
//
// The layer owns its prepared weights and scratch memory. Calling it allocates nothing. The weights
// are never written; the scratch memory is, so each thread that calls needs a layer of its own.

#include <s3/kernel/registry.hpp>
#include <s3/ops/linear_epilogue.hpp>
#include <s3/ops/matmul.hpp>
#include <s3/ops/round.hpp>

namespace s3 {

struct linear_options {
    std::size_t batch = 1; ///< activation vectors that are computed together; more take turns
    /// How many consecutive activations of a vector share a scale: 0 for all, or as many as weights
    /// do.
    std::size_t activation_group = 0;
    /// Must outlive the layer, and have no more workers at a call than when the layer was made.
    executor_ref executor = {};
};

template <weight_format F, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native>
class linear {
    using candidates = kernel::candidates<Choice, kernel::group_products<F, Arch>>;
    static_assert(candidates::size != 0,
                  "no kernel of this family or name multiplies groups of weights of this format "
                  "with this instruction set");

public:
    using format = F;

    /// The bytes of memory that a layer needs. Errors: those of `make`.
    static result<std::size_t> bytes(const packed_matrix<F>& w, const linear_options& o = {}) {
        auto l = begin(w, o);
        if (!l)
            return l.error();
        return saturating_add(l->lay_out(nullptr), 63);
    }
    /// Prepares a matrix [M][K], in memory of the layer's own. Errors: `unsupported` (a kernel that
    /// was named does not serve such groups), `bad_option` (a batch of 0; a group of activations
    /// that is not that of the weights), `depth_exceeded` (a row whose Σ|w| could overflow int32),
    /// no memory.
    static result<linear> make(const packed_matrix<F>& w, const linear_options& o = {}) {
        const auto needed = bytes(w, o);
        if (!needed)
            return needed.error();
        auto memory = buffer<std::byte>::make(*needed);
        if (!memory)
            return memory.error();
        auto l = make(w, o, memory->span());
        if (l)
            l->own_ = *std::move(memory);
        return l;
    }
    /// Does the same in the caller's memory, for example of large pages, which must outlive the
    /// layer.
    static result<linear> make(const packed_matrix<F>& w, const linear_options& o,
                               std::span<std::byte> memory) {
        auto l = begin(w, o);
        if (!l)
            return l;
        if (const std::size_t needed = saturating_add(l->lay_out(nullptr), 63);
            memory.size() < needed)
            return error(errc::buffer_too_small, "memory").got(memory.size()).needs(needed);
        std::byte* const start = detail::align_up(memory.data());
        std::memset(start, 0, l->lay_out(start)); // what is behind activation vectors stays zero
        if (auto s = l->fill(w); !s)
            return s.error();
        return l;
    }

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] const char* kernel_name() const noexcept {
        return candidates::visit(kernel_, [](auto k) { return decltype(k)::type::name; });
    }
    /// The bytes of the prepared weights and their scales, which a call reads once.
    [[nodiscard]] std::size_t weight_bytes() const noexcept {
        return weights_.size() + scales_.size();
    }

    /// Computes y from x. Errors name the argument: shapes that do not fit, `not_finite`
    /// activations, an executor with more workers than it had when the layer was made. On error
    /// nothing is written.
    status operator()(std::type_identity_t<matrix_view<const float>> x, matrix_view<float> y,
                      const linear_epilogue& e = {}) noexcept {
        if (auto s = x.check("x"); !s)
            return s;
        if (auto s = y.check("y"); !s)
            return s;
        if (x.columns != columns_)
            return error(errc::shape_mismatch, "x.columns").got(x.columns).needs(columns_);
        if (y.columns != rows_)
            return error(errc::shape_mismatch, "y.columns").got(y.columns).needs(rows_);
        if (y.rows != x.rows)
            return error(errc::shape_mismatch, "y.rows").got(y.rows).needs(x.rows);
        if (auto s = check(e, y.rows, rows_); !s)
            return s;
        const std::size_t workers = options_.executor.concurrency();
        if (workers > workers_)
            return error(errc::bad_option, "options.executor").got(workers).limit(workers_);
        for (std::size_t n = 0; n < x.rows; ++n)
            if (!detail::all_finite<Arch>(x.row(n), columns_)) {
                std::size_t c = 0;
                while (is_finite(x.row(n)[c]))
                    ++c;
                return error(errc::not_finite, "x").at(n * x.stride + c);
            }
        if (rows_ == 0)
            return {};
        for (std::size_t n = 0; n < x.rows; n += options_.batch)
            candidates::visit(kernel_, [&](auto k) {
                run<kernel::loop_of<typename decltype(k)::type>>(
                    x, y, n, std::min(options_.batch, x.rows - n), e, workers);
            });
        return {};
    }

    /// The same on plain ranges of floats: N is what x holds.
    template <class XRange, class YRange>
    requires detail::contiguous<const XRange&> && detail::contiguous<YRange&>
        status operator()(const XRange& x, YRange&& y, const linear_epilogue& e = {}) noexcept {
        const std::span<const float> in(x);
        const std::span<float> out(y);
        const std::size_t n = columns_ != 0 ? in.size() / columns_
                              : rows_ != 0  ? out.size() / rows_
                                            : 0;
        if (in.size() != n * columns_)
            return error(errc::shape_mismatch, "x").got(in.size()).needs(n * columns_);
        if (out.size() != n * rows_)
            return error(errc::shape_mismatch, "y").got(out.size()).needs(n * rows_);
        return (*this)(matrix_view<const float>(in, n, columns_), matrix_view<float>(out, n, rows_),
                       e);
    }

private:
    template <class Loop>
    static constexpr int offset = kernel::added_to_weights<typename Loop::unit>;

    /// A layer without memory.
    static result<linear> begin(const packed_matrix<F>& w, const linear_options& o) {
        if (o.batch == 0)
            return error(errc::bad_option, "options.batch").got(0).needs(1);
        // Weights in one group of all columns say that they have none.
        const bool whole = w.group() == 0 && o.activation_group == w.columns();
        const std::size_t activation_group = whole ? 0 : o.activation_group;
        if (activation_group != 0 && activation_group != w.group())
            return error(errc::bad_option, "options.activation_group")
                .got(o.activation_group)
                .needs(w.group());
        if (w.group() == 0) // a group is too short for its sum to overflow
            if (auto s = detail::check_depth<std::int8_t>(w, {}); !s)
                return s.error();
        linear l;
        l.rows_ = w.rows();
        l.columns_ = w.columns();
        l.group_ = w.group() == 0 ? w.columns() : w.group();
        l.options_ = o;
        l.options_.activation_group = activation_group;
        l.workers_ = o.executor.concurrency();
        l.stored_ = w.group() != 0 && w.exponent_offset() == 0 ? w.stored() : scale_type::binary32;
        l.kernel_ = candidates::best(kernel::product_request{w.rows(), o.batch, 8, w.group()},
                                     family::automatic);
        if (l.kernel_ == candidates::size)
            return w.group() == 0 ? error(errc::unsupported, "kernel")
                                  : error(errc::unsupported, "weights.group").got(w.group());
        return l;
    }

    [[nodiscard]] std::size_t groups() const noexcept {
        return columns_ == 0 ? 1 : columns_ / group_;
    }
    [[nodiscard]] std::size_t activation_groups() const noexcept {
        return options_.activation_group == 0 ? 1 : groups();
    }

    /// Divides the memory, or without any counts its bytes. More activation vectors are staged than
    /// the batch has, because kernels compute whole tiles of them.
    std::size_t lay_out(std::byte* memory) {
        return candidates::visit(kernel_, [&](auto k) {
            using loop = kernel::loop_of<typename decltype(k)::type>;
            static_assert(kernel::group_loop<loop>);
            const std::size_t n = options_.batch;
            const std::size_t vectors = saturating_add(n, loop::spare_columns);
            detail::arena a{memory};
            weights_ = a.take<std::uint8_t>(loop::layout_bytes(rows_, columns_, group_));
            scales_ = a.take<std::byte>(saturating_mul(
                saturating_mul(detail::padded_rows(rows_), groups()), layout::bytes_of(stored_)));
            staged_ = a.take<std::byte>(saturating_mul(vectors, loop::stage_stride(columns_) *
                                                                    sizeof(typename loop::staged)));
            if (offset<loop> != 0)
                start_ = a.take<std::int32_t>(saturating_mul(vectors, groups()));
            x_scale_ = a.take<float>(saturating_mul(vectors, activation_groups()));
            scratch_ = a.take<std::byte>(
                saturating_mul(workers_, detail::worker_scratch<loop>(columns_, n)));
            return a.used;
        });
    }
    status fill(const packed_matrix<F>& w) {
        const status packed = candidates::visit(kernel_, [&](auto k) {
            using loop = kernel::loop_of<typename decltype(k)::type>;
            return loop::pack(w.stream().data(), rows_, columns_, group_, weights_.data());
        });
        if (!packed)
            return packed;
        constexpr std::size_t lanes = simd::width32<Arch>;
        const std::size_t bytes = layout::bytes_of(stored_);
        for (std::size_t m = 0; m < rows_; ++m)
            for (std::size_t g = 0; g < groups(); ++g) {
                const std::uint32_t bits = layout::to_bits(w.real_scale(m, g), stored_);
                const auto half = static_cast<std::uint16_t>(bits);
                std::byte* const to =
                    scales_.data() + ((m / lanes * groups() + g) * lanes + m % lanes) * bytes;
                std::memcpy(to, bytes == 2 ? static_cast<const void*>(&half) : &bits, bytes);
            }
        return {};
    }

    template <class Loop>
    void run(matrix_view<const float> x, matrix_view<float> y, std::size_t first, std::size_t count,
             const linear_epilogue& e, std::size_t workers) noexcept {
        using staged = typename Loop::staged;
        const std::size_t stride = Loop::stage_stride(columns_);
        auto* const at = reinterpret_cast<staged*>(staged_.data());
        const executor_ref& ex = options_.executor;
        const auto round = [&](std::size_t n) {
            round_vector<Loop>(x.row(first + n), at + n * stride, n);
        };
        if (workers == 1 || count < 2 * workers)
            for (std::size_t n = 0; n < count; ++n)
                round(n);
        else
            ex.run(count, [&](std::size_t n, std::size_t) { round(n); });

        const auto rows_from = [&]<class T>(const matrix_view<T>& v) {
            return v.data.empty() ? v
                                  : matrix_view<T>(v.data.subspan(first * v.stride), count,
                                                   v.columns, v.stride);
        };
        linear_epilogue here = e;
        here.gate = rows_from(e.gate);
        here.residual = rows_from(e.residual);
        const bool grouped = options_.activation_group != 0;
        const detail::linear_store<Arch> sink{rows_from(y), grouped ? nullptr : x_scale_.data(),
                                              here};
        const kernel::group_view weights{
            weights_.data(), rows_, columns_, group_, {scales_.data(), stored_}};
        const kernel::group_activations<staged> activations{at, stride, start_.data(),
                                                            grouped ? x_scale_.data() : nullptr};
        const std::size_t panels = Loop::panels(rows_);
        const std::size_t each = detail::worker_scratch<Loop>(columns_, options_.batch);
        const auto shared = detail::sharing::of(panels, count, workers);
        ex.run(shared.tasks, [&](std::size_t task, std::size_t worker) {
            Loop::run(weights, shared.range(task, panels, count), activations, sink,
                      scratch_.data() + worker * each);
        });
    }
    /// Stages activation vector number n of a batch. What is behind its end stays zero.
    template <class Loop>
    void round_vector(const float* x, typename Loop::staged* to, std::size_t n) noexcept {
        const std::size_t part = options_.activation_group == 0 ? columns_ : group_;
        for (std::size_t g = 0; g < activation_groups(); ++g)
            x_scale_[n * activation_groups() + g] =
                detail::round_to_int8<Arch>(x + g * part, part, to + g * part);
        if constexpr (offset<Loop> != 0)
            for (std::size_t g = 0; g < groups(); ++g)
                start_[n * groups() + g] =
                    static_cast<std::int32_t>(static_cast<std::uint32_t>(-offset<Loop>) *
                                              detail::sum_of(to + g * group_, group_));
    }

    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
    std::size_t group_ = 0; ///< weights that share a scale
    linear_options options_;
    std::size_t workers_ = 1; ///< that there is scratch memory for
    scale_type stored_ = scale_type::binary32;
    std::size_t kernel_ = 0; ///< the number of the chosen kernel among the candidates
    std::span<std::uint8_t> weights_;
    std::span<std::byte> scales_;
    std::span<std::byte> staged_; ///< [vector][stride]
    std::span<std::int32_t> start_;
    std::span<float> x_scale_;
    std::span<std::byte> scratch_;
    buffer<std::byte> own_;
};

} // namespace s3
