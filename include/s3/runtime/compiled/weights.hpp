#pragma once
// Implements the interfaces of runtime/linear.hpp and runtime/conv2d.hpp with prepared weights of
// one format and activation type, for the instruction set that the compiler's flags name.

#include <s3/ops/conv2d.hpp>
#include <s3/runtime/compiled/factories.hpp>

namespace s3::runtime::detail {

/// The epilogue for activations X: a default one if none is given, null if it is of another kind.
template <activation X>
[[nodiscard]] const epilogue_for<X>* epilogue_of(const any_epilogue& e) noexcept {
    static constexpr epilogue_for<X> none;
    return std::holds_alternative<std::monostate>(e) ? &none : std::get_if<epilogue_for<X>>(&e);
}

/// Calls f(x, y, epilogue) with their real types, or returns an error that names the argument whose
/// type does not fit. `View` is matrix_view or image_view.
template <template <class> class View, activation X, class Input, class Output, class Function>
status with_types(const Input& any_x, const Output& any_y, const any_epilogue& any_e,
                  Function&& f) {
    const auto* x = std::get_if<View<const X>>(&any_x);
    if (x == nullptr)
        return error(errc::unsupported, "x");
    const auto* e = epilogue_of<X>(any_e);
    if (e == nullptr)
        return error(errc::unsupported, "epilogue");
    return std::visit(
        [&]<class Y>(const View<Y>& y) -> status {
            if constexpr (output<Y, X>)
                return f(*x, y, *e);
            else
                return error(errc::unsupported, "y");
        },
        any_y);
}

template <activation X, weight_format F>
class prepared_linear final : public linear_kernel {
public:
    explicit prepared_linear(prepared_matrix<F, X, arch::native, family::any> w)
        : w_(std::move(w)) {}

    const char* name() const noexcept override { return w_.kernel_name(); }
    std::size_t rows() const noexcept override { return w_.rows(); }
    std::size_t columns() const noexcept override { return w_.columns(); }
    std::size_t scratch_bytes(std::size_t batch, std::size_t workers) const override {
        return s3::scratch_bytes(w_, batch, workers);
    }
    status run(const input_matrix& x, const output_matrix& y, const any_epilogue& e,
               std::span<std::byte> scratch, executor_ref ex) const override {
        return with_types<matrix_view, X>(x, y, e,
                                          [&](const auto& from, const auto& to, const auto& how) {
                                              return matmul(w_, from, to, how, scratch, ex);
                                          });
    }

private:
    prepared_matrix<F, X, arch::native, family::any> w_;
};

template <activation X, weight_format F>
class prepared_conv2d final : public conv2d_kernel {
public:
    explicit prepared_conv2d(prepared_filter<F, X, arch::native, family::any> w)
        : w_(std::move(w)) {}

    const char* name() const noexcept override { return w_.kernel_name(); }
    result<extent> output_shape(std::size_t height, std::size_t width) const override {
        return w_.output_shape(height, width);
    }
    std::size_t scratch_bytes(std::size_t batch, const extent& out,
                              std::size_t workers) const override {
        return s3::scratch_bytes(w_, batch, out, workers);
    }
    status run(const input_image& x, const output_image& y, const any_epilogue& e,
               std::span<std::byte> scratch, executor_ref ex) const override {
        return with_types<image_view, X>(x, y, e,
                                         [&](const auto& from, const auto& to, const auto& how) {
                                             return s3::conv2d(w_, from, to, how, scratch, ex);
                                         });
    }

private:
    prepared_filter<F, X, arch::native, family::any> w_;
};

/// Moves prepared weights into an object behind their interface.
template <class Kernel, class Interface, class Prepared>
made<Interface> behind(result<Prepared> prepared) {
    if (!prepared)
        return prepared.error();
    std::unique_ptr<const Interface> kernel(new (std::nothrow) Kernel(*std::move(prepared)));
    if (kernel == nullptr)
        return error(errc::out_of_memory, "allocation").got(sizeof(Kernel));
    return kernel;
}

} // namespace s3::runtime::detail
