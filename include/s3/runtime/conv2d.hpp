#pragma once
// A convolution with weights in any format, prepared for the instruction set of this machine:
//
//   auto w = s3::runtime::prepare(filter, {.stride = 2, .padding = 1});
//   w->run(images, y, s3::epilogue{.scale = scale}, scratch, executor);
//
// Results are those of s3::conv2d (ops/conv2d.hpp). Errors are its errors and those of
// runtime/linear.hpp.

#include <s3/core/conv.hpp>
#include <s3/runtime/linear.hpp>

namespace s3::runtime {

namespace detail {

/// The interface that the object of each instruction set implements.
class conv2d_kernel {
public:
    virtual ~conv2d_kernel() = default;
    virtual const char* name() const noexcept = 0;
    virtual result<extent> output_shape(std::size_t height, std::size_t width) const = 0;
    virtual std::size_t scratch_bytes(std::size_t batch, const extent& out,
                                      std::size_t workers) const = 0;
    virtual status run(const input_image&, const output_image&, const any_epilogue&,
                       std::span<std::byte> scratch, executor_ref) const = 0;
};

} // namespace detail

class conv2d {
public:
    /// Only `prepare` calls this.
    conv2d(std::unique_ptr<const detail::conv2d_kernel> k, s3::isa set) noexcept
        : kernel_(std::move(k)), isa_(set) {}

    [[nodiscard]] s3::isa isa() const noexcept { return isa_; }
    [[nodiscard]] const char* kernel_name() const noexcept { return kernel_->name(); }
    /// Height and width of the output for an image of this size, or the error that there is none.
    result<extent> output_shape(std::size_t height, std::size_t width) const {
        return kernel_->output_shape(height, width);
    }
    /// The bytes of scratch memory for `batch` images with this output size and `workers` threads.
    [[nodiscard]] std::size_t scratch_bytes(std::size_t batch, const extent& out,
                                            std::size_t workers = 1) const {
        return kernel_->scratch_bytes(batch, out, workers);
    }

    /// Computes y from x, without allocating. `scratch` must have scratch_bytes().
    status run(const input_image& x, const output_image& y, const any_epilogue& e,
               std::span<std::byte> scratch, executor_ref ex = {}) const {
        return kernel_->run(x, y, e, scratch, ex);
    }
    /// The same, with scratch memory that is allocated for this call.
    status run(const input_image& x, const output_image& y, const any_epilogue& e = {},
               executor_ref ex = {}) const {
        const std::size_t bytes = std::visit(
            [&](const auto& image) {
                return scratch_bytes(image.batch, {image.height, image.width}, ex.concurrency());
            },
            y);
        auto scratch = buffer<std::byte>::make(bytes);
        if (!scratch)
            return scratch.error();
        return run(x, y, e, scratch->span(), ex);
    }

private:
    std::unique_ptr<const detail::conv2d_kernel> kernel_;
    s3::isa isa_;
};

namespace detail {
result<conv2d> prepare(any_filter filter, const conv_options& shape, const options&);
}

/// Chooses the instruction set, kernel and layout for a filter, whose format must be in
/// format/list.hpp.
template <weight_format F>
result<conv2d> prepare(const packed_filter<F>& filter, const conv_options& shape,
                       const options& o = {}) {
    return detail::prepare(&filter, shape, o);
}

} // namespace s3::runtime
