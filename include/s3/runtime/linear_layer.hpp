#pragma once
// A linear layer of floats with weights in any format, prepared for the instruction set of this
// machine:
//
//   auto layer = s3::runtime::linear_layer::make(packed, {.batch = 16});
//   layer->run(x, y, bias);                                 x [N][K], y [N][M]
//
// Results and errors are those of s3::linear (ops/linear.hpp), with the same bits on every
// instruction set. Besides, there is the error `unsupported`, for a format or instruction set that
// the library is not built for or this machine lacks.

#include <s3/core/view.hpp>
#include <s3/exec/executor_ref.hpp>
#include <s3/runtime/options.hpp>
#include <s3/runtime/weights.hpp>

#include <memory>
#include <optional>
#include <span>

namespace s3::runtime {

/// How a layer is prepared; linear_options (ops/linear.hpp) says more.
struct linear_layer_options {
    std::optional<isa> set = {}; ///< if empty, the best that this machine supports
    std::size_t batch = 1;
    std::size_t activation_group = 0;
    executor_ref executor = {};
};

namespace detail {

/// The interface that the object of each instruction set implements.
class linear_layer_kernel {
public:
    virtual ~linear_layer_kernel() = default;
    virtual const char* name() const noexcept = 0;
    virtual std::size_t rows() const noexcept = 0;
    virtual std::size_t columns() const noexcept = 0;
    virtual std::size_t weight_bytes() const noexcept = 0;
    virtual status run(const matrix_view<const float>& x, const matrix_view<float>& y,
                       std::span<const float> bias) noexcept = 0;
};

} // namespace detail

class linear_layer {
public:
    /// Prepares a matrix [M][K], whose format must be in format/list.hpp.
    template <weight_format F>
    static result<linear_layer> make(const packed_matrix<F>& weights,
                                     const linear_layer_options& o = {}) {
        return make_any(&weights, o);
    }

    [[nodiscard]] std::size_t rows() const noexcept { return kernel_->rows(); }
    [[nodiscard]] std::size_t columns() const noexcept { return kernel_->columns(); }
    /// The bytes of the prepared weights and their scales.
    [[nodiscard]] std::size_t weight_bytes() const noexcept { return kernel_->weight_bytes(); }
    [[nodiscard]] s3::isa isa() const noexcept { return isa_; }
    [[nodiscard]] const char* kernel_name() const noexcept { return kernel_->name(); }

    /// Computes y from x, without allocating. The bias has one number per output, or is empty. The
    /// layer's own memory is written, so each thread that calls needs a layer of its own.
    status run(const matrix_view<const float>& x, const matrix_view<float>& y,
               std::span<const float> bias = {}) noexcept {
        return kernel_->run(x, y, bias);
    }

    /// Only the compiled library calls this.
    linear_layer(std::unique_ptr<detail::linear_layer_kernel> k, s3::isa set) noexcept
        : kernel_(std::move(k)), isa_(set) {}

private:
    static result<linear_layer> make_any(detail::any_matrix weights, const linear_layer_options&);

    std::unique_ptr<detail::linear_layer_kernel> kernel_;
    s3::isa isa_;
};

} // namespace s3::runtime
