#pragma once
// A matrix of weights in any format, prepared for the instruction set of this machine:
//
//   auto w = s3::runtime::prepare(packed, {.prepare = {.batch = 1}});
//   w->run(x, y, s3::epilogue{.scale = scale}, scratch, executor);    y[n][m] = Σ w[m][k]·x[n][k]
//
// Results are those of s3::matmul (ops/matmul.hpp), with the same bits on every instruction set,
// and so are errors. Besides, there is `unsupported`: for a format, activation type or instruction
// set that the library is not built for or this machine lacks, and for views of other types than
// the weights were prepared for ("x", "y", "epilogue").

#include <s3/exec/executor_ref.hpp>
#include <s3/runtime/arguments.hpp>
#include <s3/runtime/options.hpp>
#include <s3/runtime/weights.hpp>

#include <memory>

namespace s3::runtime {

namespace detail {

/// The interface that the object of each instruction set implements.
class linear_kernel {
public:
    virtual ~linear_kernel() = default;
    virtual const char* name() const noexcept = 0;
    virtual std::size_t rows() const noexcept = 0;
    virtual std::size_t columns() const noexcept = 0;
    virtual std::size_t scratch_bytes(std::size_t batch, std::size_t workers) const = 0;
    virtual status run(const input_matrix&, const output_matrix&, const any_epilogue&,
                       std::span<std::byte> scratch, executor_ref) const = 0;
};

} // namespace detail

class linear {
public:
    /// Only `prepare` calls this.
    linear(std::unique_ptr<const detail::linear_kernel> k, s3::isa set) noexcept
        : kernel_(std::move(k)), isa_(set) {}

    [[nodiscard]] std::size_t rows() const noexcept { return kernel_->rows(); }
    [[nodiscard]] std::size_t columns() const noexcept { return kernel_->columns(); }
    [[nodiscard]] s3::isa isa() const noexcept { return isa_; }
    [[nodiscard]] const char* kernel_name() const noexcept { return kernel_->name(); }

    /// The bytes of scratch memory for `batch` activation vectors and `workers` threads.
    [[nodiscard]] std::size_t scratch_bytes(std::size_t batch, std::size_t workers = 1) const {
        return kernel_->scratch_bytes(batch, workers);
    }

    /// Computes y from x, without allocating. `scratch` must have scratch_bytes().
    status run(const input_matrix& x, const output_matrix& y, const any_epilogue& e,
               std::span<std::byte> scratch, executor_ref ex = {}) const {
        return kernel_->run(x, y, e, scratch, ex);
    }
    /// The same, with scratch memory that is allocated for this call.
    status run(const input_matrix& x, const output_matrix& y, const any_epilogue& e = {},
               executor_ref ex = {}) const {
        const auto batch = std::visit([](const auto& m) { return m.rows; }, x);
        auto scratch = buffer<std::byte>::make(scratch_bytes(batch, ex.concurrency()));
        if (!scratch)
            return scratch.error();
        return run(x, y, e, scratch->span(), ex);
    }

private:
    std::unique_ptr<const detail::linear_kernel> kernel_;
    s3::isa isa_;
};

namespace detail {
result<linear> prepare(any_matrix weights, const options&);
}

/// Chooses the instruction set, kernel and layout for a matrix, whose format must be in
/// format/list.hpp.
template <weight_format F>
result<linear> prepare(const packed_matrix<F>& weights, const options& o = {}) {
    return detail::prepare(&weights, o);
}

} // namespace s3::runtime
