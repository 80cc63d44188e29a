#pragma once
// The library's operations as contenders: weights prepared and scratch allocated beforehand, the
// public functions called.

#include "data.hpp"
#include "peers.hpp"
#include "report.hpp"

namespace s3::bench {

template <activation X>
inline constexpr const char* activation_name = std::is_same_v<X, float>         ? "fp32"
                                               : std::is_same_v<X, std::int8_t> ? "int8"
                                                                                : "uint8";

/// "dot shift3·int8"
template <weight_format F, activation X>
[[nodiscard]] std::string operands(const char* kernel, int activation_bits) {
    const char* x = activation_name<X>;
    if (activation_bits == 8)
        return text("%s %s·%s", kernel, F::name, x);
    return text("%s %s·%s of %d bits", kernel, F::name, x, activation_bits);
}

/// y[N][M] = x[N][K]·w[M][K]ᵀ, raw sums, the weights cycled through copies.
template <weight_format F, activation X, class Executor = inline_executor>
class product {
public:
    using Y = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;

    product(std::size_t m, std::size_t k, std::size_t n, geometry g = {}, cache where = cache::warm,
            Executor ex = {})
        : m_(m), k_(k), n_(n), bits_(g.activation_bits), x_(random_activations<X>(n * k, bits_)),
          y_(n * m * sizeof(Y)), ex_(ex) {
        g.columns = n;
        const auto packed = random_weights<F>(m, k);
        const std::size_t bytes = (require(prepared_bytes<X>(packed, g)) + 63) / 64 * 64;
        const std::size_t count = copies(where, bytes);
        weights_ = std::make_unique<memory>(count * bytes);
        for (std::size_t i = 0; i < count; ++i)
            ring_.push_back(
                require(prepare_into<X>(packed, g, weights_->span().subspan(i * bytes, bytes))));
        scratch_ = std::make_unique<memory>(scratch_bytes(ring_[0], n, ex_.concurrency()));
    }

    void operator()() {
        succeed(matmul(ring_[next_], matrix_view<const X>(x_.as<const X>(), n_, k_),
                       matrix_view<Y>(y_.as<Y>(), n_, m_), {}, scratch_->span(), ex_));
        next_ = (next_ + 1) % ring_.size();
    }
    [[nodiscard]] std::span<const std::byte> weights() const { return weights_->span(); }
    [[nodiscard]] const char* kernel_name() const { return ring_[0].kernel_name(); }
    [[nodiscard]] std::string name() const { return operands<F, X>(kernel_name(), bits_); }

private:
    std::size_t m_, k_, n_;
    int bits_;
    memory x_, y_;
    Executor ex_;
    std::unique_ptr<memory> weights_, scratch_;
    std::vector<prepared_matrix<F, X>> ring_;
    std::size_t next_ = 0;
};

/// The product as a subject without rivals.
template <weight_format F, class Product>
[[nodiscard]] subject subject_of(std::string regime, const std::shared_ptr<Product>& p,
                                 std::size_t m, std::size_t k, std::size_t n) {
    const double weights = static_cast<double>(m * k);
    return {.regime = std::move(regime),
            .shape = product_shape(m, k, n),
            .kernel = p->name(),
            .gmacs = weights * static_cast<double>(n) * 1e-9,
            .gbytes = weights * F::bits / 8 * 1e-9,
            .run = [p] { (*p)(); }};
}

/// A convolution; bytes → bytes through scale and ReLU, or float → float through ReLU.
template <weight_format F, activation X, class Executor = inline_executor>
class convolution {
public:
    convolution(const conv_problem& p, const geometry& g = {}, Executor ex = {})
        : problem_(p), out_(p.output()), bits_(g.activation_bits),
          x_(random_activations<X>(p.height * p.width * p.channels(), bits_)),
          y_(p.pixels() * p.filter.out_channels * sizeof(X)), ex_(ex) {
        geometry with_columns = g;
        with_columns.columns = p.pixels();
        auto packed = random_weights<F>(p.filter.out_channels, p.filter.columns());
        filter_ = std::make_unique<prepared_filter<F, X>>(require(
            prepare<X>(packed_filter<F>{std::move(packed), p.filter}, p.options, with_columns)));
        scratch_ = std::make_unique<memory>(scratch_bytes(*filter_, 1, out_, ex_.concurrency()));
    }

    void operator()() {
        epilogue_for<X> e;
        e.scale = {&scale_, 1};
        e.activation = relu;
        succeed(conv2d(
            *filter_,
            image_view<const X>{x_.as<const X>(), 1, problem_.height, problem_.width,
                                problem_.channels()},
            image_view<X>{y_.as<X>(), 1, out_.height, out_.width, problem_.filter.out_channels}, e,
            scratch_->span(), ex_));
    }
    [[nodiscard]] const char* kernel_name() const { return filter_->kernel_name(); }
    [[nodiscard]] std::string name() const { return operands<F, X>(kernel_name(), bits_); }

private:
    conv_problem problem_;
    extent out_;
    int bits_;
    memory x_, y_;
    Executor ex_;
    float scale_ = 0.001f;
    std::unique_ptr<prepared_filter<F, X>> filter_;
    std::unique_ptr<memory> scratch_;
};

/// "64->128 3x3/2 56x56": channels, filter, stride, image.
[[nodiscard]] inline std::string conv_text(const conv_problem& p) {
    const auto& f = p.filter;
    return text("%zu->%zu %zux%zu/%zu %zux%zu", p.channels(), f.out_channels, f.height, f.width,
                std::max(p.options.stride.height, p.options.stride.width), p.height, p.width);
}

template <weight_format F, class Convolution>
[[nodiscard]] subject subject_of(std::string regime, const std::shared_ptr<Convolution>& c,
                                 const conv_problem& p) {
    return {.regime = std::move(regime),
            .shape = conv_text(p) + " " +
                     product_shape(p.filter.out_channels, p.filter.columns(), p.pixels()),
            .kernel = c->name(),
            .gmacs = p.macs() * 1e-9,
            .gbytes = static_cast<double>(p.filter.out_channels * p.filter.columns()) * F::bits /
                      8 * 1e-9,
            .run = [c] { (*c)(); }};
}

} // namespace s3::bench
