#pragma once
// The library's operations as contenders: weights prepared and scratch allocated beforehand, the
// public functions called. Their common instances are compiled once, in operations_….cpp.

#include "data.hpp"
#include "peers.hpp"
#include "report.hpp"

namespace s3::bench {

template <activation X>
inline constexpr const char* activation_name = std::is_same_v<X, float>         ? "fp32"
                                               : std::is_same_v<X, std::int8_t> ? "int8"
                                                                                : "uint8";

/// The builds in which the targets for vectors of 32 bytes are measured, and their name.
inline constexpr bool avx2_build = arch::native::vector_bytes == 32;
inline constexpr bool vnni_build = avx2_build && simd::has_quad_dot<arch::native>;
inline constexpr const char* avx2_name = vnni_build ? "AVX-VNNI" : "AVX2";

/// The same for a number of columns.
[[nodiscard]] constexpr prepare_options for_columns(std::size_t columns, prepare_options g = {}) {
    g.batch = columns;
    return g;
}

/// "shift3·uint8", "shift3·uint8 of 6 bits"
template <weight_format F, activation X>
[[nodiscard]] std::string operands(int activation_bits = 8) {
    const char* x = activation_name<X>;
    return activation_bits == 8 ? text("%s·%s", F::name, x)
                                : text("%s·%s of %d bits", F::name, x, activation_bits);
}

/// "dot shift3·uint8"
template <weight_format F, activation X>
[[nodiscard]] std::string kernel_text(const char* kernel, int activation_bits = 8) {
    return text("%s %s", kernel, operands<F, X>(activation_bits).c_str());
}

/// y[N][M] = x[N][K]·w[M][K]ᵀ, raw sums, the weights cycled through copies.
template <weight_format F, activation X, class Executor = inline_executor>
class product {
public:
    using Y = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;

    product(std::size_t m, std::size_t k, std::size_t n, const prepare_options& g,
            cache where = cache::warm, Executor ex = Executor());
    void operator()();
    /// The kernel that would serve, found without the memory for it.
    [[nodiscard]] static const char* kernel_for(std::size_t m, const prepare_options& g);
    [[nodiscard]] std::span<const std::byte> weights() const { return weights_->span(); }
    [[nodiscard]] const char* kernel_name() const { return ring_[0].kernel_name(); }
    [[nodiscard]] std::string name() const { return kernel_text<F, X>(kernel_name(), bits_); }

    /// Without rivals.
    [[nodiscard]] static subject as_subject(std::string regime, const std::shared_ptr<product>& p) {
        const double weights = static_cast<double>(p->m_ * p->k_);
        return {.regime = std::move(regime),
                .shape = product_shape(p->m_, p->k_, p->n_),
                .kernel = p->name(),
                .gmacs = weights * static_cast<double>(p->n_) * 1e-9,
                .gbytes = weights * F::bits / 8 * 1e-9,
                .run = [p] { (*p)(); },
                .integer = std::integral<X>,
                .weight_bits = F::bits};
    }

private:
    std::size_t m_, k_, n_;
    int bits_;
    memory x_, y_;
    Executor ex_;
    std::unique_ptr<memory> weights_, scratch_;
    std::vector<prepared_matrix<F, X, arch::native, family::any>> ring_;
    std::size_t next_ = 0;
};

/// "64->128 3x3/2 56x56": channels, filter, stride, image; "depthwise" where it is.
[[nodiscard]] inline std::string conv_text(const conv_problem& p) {
    const auto& f = p.filter;
    return text("%zu->%zu %zux%zu/%zu %zux%zu%s", p.channels(), f.out_channels, f.height, f.width,
                std::max(p.options.stride.height, p.options.stride.width), p.height, p.width,
                p.options.groups > 1 ? " depthwise" : "");
}

/// A convolution; bytes → bytes through scale and ReLU, or float → float through the same.
template <weight_format F, activation X, class Executor = inline_executor>
class convolution {
public:
    convolution(const conv_problem& p, const prepare_options& g, Executor ex = Executor());
    void operator()();
    [[nodiscard]] const char* kernel_name() const { return filter_->kernel_name(); }
    [[nodiscard]] std::string name() const { return kernel_text<F, X>(kernel_name(), bits_); }

    /// Without rivals.
    [[nodiscard]] static subject as_subject(std::string regime,
                                            const std::shared_ptr<convolution>& c) {
        const conv_problem& p = c->problem_;
        const std::size_t rows = p.filter.out_channels, columns = p.filter.columns();
        return {.regime = std::move(regime),
                .shape = conv_text(p) + " " + product_shape(rows, columns, p.pixels()),
                .kernel = c->name(),
                .gmacs = p.macs() * 1e-9,
                .gbytes = static_cast<double>(rows * columns) * F::bits / 8 * 1e-9,
                .run = [c] { (*c)(); },
                .integer = std::integral<X>,
                .weight_bits = F::bits};
    }

private:
    conv_problem problem_;
    extent out_;
    int bits_;
    memory x_, y_;
    Executor ex_;
    float scale_ = 0.001f;
    std::unique_ptr<prepared_filter<F, X, arch::native, family::any>> filter_;
    std::unique_ptr<memory> scratch_;
};

// Outside of the classes, so that a file that uses an instance does not compile it again.

template <weight_format F, activation X, class Executor>
product<F, X, Executor>::product(std::size_t m, std::size_t k, std::size_t n,
                                 const prepare_options& g, cache where, Executor ex)
    : m_(m), k_(k), n_(n), bits_(g.activation_bits), x_(random_activations<X>(n * k, bits_)),
      y_(n * m * sizeof(Y)), ex_(ex) {
    const auto packed = random_weights<F>(m, k);
    const std::size_t bytes = whole_lines(require(prepared_bytes<X, family::any>(packed, g)));
    const std::size_t count = copies(where, bytes);
    weights_ = std::make_unique<memory>(count * bytes);
    for (std::size_t i = 0; i < count; ++i)
        ring_.push_back(require(
            prepare_into<X, family::any>(packed, g, weights_->span().subspan(i * bytes, bytes))));
    scratch_ = std::make_unique<memory>(scratch_bytes(ring_[0], n, ex_.concurrency()));
}
template <weight_format F, activation X, class Executor>
void product<F, X, Executor>::operator()() {
    succeed(matmul(ring_[next_], matrix_view<const X>(x_.template as<const X>(), n_, k_),
                   matrix_view<Y>(y_.template as<Y>(), n_, m_), {}, scratch_->span(), ex_));
    next_ = (next_ + 1) % ring_.size();
}
template <weight_format F, activation X, class Executor>
const char* product<F, X, Executor>::kernel_for(std::size_t m, const prepare_options& g) {
    return require(prepare<X, family::any>(random_weights<F>(m, 1), g)).kernel_name();
}

template <weight_format F, activation X, class Executor>
convolution<F, X, Executor>::convolution(const conv_problem& p, const prepare_options& g,
                                         Executor ex)
    : problem_(p), out_(p.output()), bits_(g.activation_bits),
      x_(random_activations<X>(p.height * p.width * p.channels(), bits_)),
      y_(p.pixels() * p.filter.out_channels * sizeof(X)), ex_(ex) {
    auto packed = random_weights<F>(p.filter.out_channels, p.filter.columns());
    filter_ = std::make_unique<prepared_filter<F, X, arch::native, family::any>>(require(
        prepare<X, family::any>(packed_filter<F>{std::move(packed), p.filter}, p.options, g)));
    scratch_ = std::make_unique<memory>(scratch_bytes(*filter_, 1, out_, ex_.concurrency()));
}
template <weight_format F, activation X, class Executor>
void convolution<F, X, Executor>::operator()() {
    epilogue_for<X> e;
    e.scale = {&scale_, 1};
    e.activation = relu;
    succeed(conv2d(*filter_,
                   image_view<const X>{x_.template as<const X>(), 1, problem_.height,
                                       problem_.width, problem_.channels()},
                   image_view<X>{y_.template as<X>(), 1, out_.height, out_.width,
                                 problem_.filter.out_channels},
                   e, scratch_->span(), ex_));
}

/// A square image and filter, padded so that stride 1 keeps the size.
[[nodiscard]] inline conv_problem square(std::size_t in, std::size_t out, std::size_t size,
                                         std::size_t kernel, std::size_t stride = 1) {
    return {{out, kernel, kernel, in}, size, size, {.stride = stride, .padding = kernel / 2}};
}

extern template class product<shift2, std::int8_t>;
extern template class product<shift2, std::uint8_t>;
extern template class product<shift3, std::int8_t>;
extern template class product<shift3, std::uint8_t>;
extern template class product<shift4, std::int8_t>;
extern template class product<shift4, std::uint8_t>;
extern template class product<shift2, float>;
extern template class product<shift3, float>;
extern template class convolution<shift3, std::uint8_t>;
extern template class convolution<shift2, float>;
extern template class convolution<shift3, float>;

} // namespace s3::bench
