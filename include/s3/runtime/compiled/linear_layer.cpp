// Linear layers of floats. This file is compiled once per instruction set.

#include <s3/ops/linear.hpp>
#include <s3/runtime/compiled/factories.hpp>

namespace s3::runtime::detail {
namespace {

using formats = format_list<S3_RUNTIME_FORMATS>;

template <weight_format F>
class prepared_layer final : public linear_layer_kernel {
public:
    explicit prepared_layer(s3::linear<F> l) : layer_(std::move(l)) {}

    const char* name() const noexcept override { return layer_.kernel_name(); }
    std::size_t rows() const noexcept override { return layer_.rows(); }
    std::size_t columns() const noexcept override { return layer_.columns(); }
    std::size_t weight_bytes() const noexcept override { return layer_.weight_bytes(); }
    status run(const matrix_view<const float>& x, const matrix_view<float>& y,
               std::span<const float> bias) noexcept override {
        return layer_(x, y, {.bias = bias});
    }

private:
    s3::linear<F> layer_;
};

} // namespace

template <>
result<std::unique_ptr<linear_layer_kernel>>
make_linear_layer<compiled_isa>(any_matrix weights, const linear_layer_options& o) {
    using made = result<std::unique_ptr<linear_layer_kernel>>;
    return std::visit(
        [&]<weight_format F>(const packed_matrix<F>* w) -> made {
            if constexpr (formats::has<F>) {
                auto layer = s3::linear<F>::make(*w, {.batch = o.batch,
                                                      .activation_group = o.activation_group,
                                                      .executor = o.executor});
                if (!layer)
                    return layer.error();
                std::unique_ptr<linear_layer_kernel> kernel(
                    new (std::nothrow) prepared_layer<F>(*std::move(layer)));
                if (kernel == nullptr)
                    return error(errc::out_of_memory, "allocation").got(sizeof(prepared_layer<F>));
                return kernel;
            } else {
                return error(errc::unsupported, "weights.format").got(F::bits);
            }
        },
        weights);
}

} // namespace s3::runtime::detail
