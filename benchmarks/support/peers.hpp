#pragma once
// The libraries that s3 is measured against, where they are installed: oneDNN (int8: uint8
// activations × int8 weights; fp32) and OpenBLAS. Each function returns one call of the peer on
// random data, with the weights already in the layout that the peer likes best; empty without it.
//
// A build for AVX2 holds oneDNN to AVX2 (see main.cpp).

#include "data.hpp"

#include <functional>

#if defined(S3_HAS_ONEDNN)
#include <oneapi/dnnl/dnnl.hpp>
#endif
#if defined(S3_HAS_OPENBLAS)
#include <cblas.h>
#endif

namespace s3::bench {

using call = std::function<void()>;

/// A convolution as the peers need it: the filter per group, the image, and the options.
struct conv_problem {
    filter_shape filter;
    std::size_t height = 0;
    std::size_t width = 0;
    conv_options options = {};

    [[nodiscard]] extent output() const {
        return require(output_extent(height, width, filter, options));
    }
    [[nodiscard]] std::size_t pixels() const { return output().height * output().width; }
    [[nodiscard]] std::size_t channels() const { return filter.in_channels * options.groups; }
    [[nodiscard]] double macs() const {
        return static_cast<double>(filter.out_channels * filter.columns() * pixels());
    }
};

#if defined(S3_HAS_ONEDNN)

namespace detail {

using dnnl_memory = dnnl::memory;
using dims = dnnl::memory::dims;
using type = dnnl::memory::data_type;
using tag = dnnl::memory::format_tag;

inline constexpr type activation_type[] = {type::f32, type::u8};
inline constexpr type weight_type[] = {type::f32, type::s8};

[[nodiscard]] inline std::int64_t dim(std::size_t n) {
    return static_cast<std::int64_t>(n);
}

/// One primitive with its operands; as many copies of the weights as asked for.
struct onednn_call {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    dnnl::primitive primitive;
    std::vector<memory> storage;
    std::vector<std::unordered_map<int, dnnl_memory>> arguments;
    std::size_t next = 0;

    void operator()() {
        primitive.execute(stream, arguments[next]);
        stream.wait();
        next = (next + 1) % arguments.size();
    }

    [[nodiscard]] dnnl_memory allocate(const dnnl_memory::desc& d) {
        const memory& m = storage.emplace_back(d.get_size());
        return dnnl_memory(d, engine, m.span().data());
    }

    /// Random operands for a primitive of source, weights and destination.
    template <class Descriptor>
    void fill(const Descriptor& d, cache where) {
        primitive = dnnl::primitive(d);
        const auto source = allocate(d.src_desc()), destination = allocate(d.dst_desc());
        randomize(storage[0], d.src_desc().data_type());
        const dnnl_memory::desc w = d.weights_desc();
        const std::size_t count = copies(where, w.get_size());
        const memory& ring = storage.emplace_back(count * w.get_size());
        randomize(ring, w.data_type());
        for (std::size_t i = 0; i < count; ++i)
            arguments.push_back(
                {{DNNL_ARG_SRC, source},
                 {DNNL_ARG_WEIGHTS, dnnl_memory(w, engine, ring.span().data() + i * w.get_size())},
                 {DNNL_ARG_DST, destination}});
    }

private:
    static void randomize(const memory& m, type t) {
        random_bits next;
        if (t == type::f32)
            for (float& x : m.as<float>())
                x = static_cast<float>(static_cast<std::int8_t>(next())) / 128.0f;
        else
            for (auto& x : m.as<std::uint64_t>())
                x = next();
    }
};

} // namespace detail

/// y[N][M] = x[N][K]·w; int32 sums of bytes, or float.
[[nodiscard]] inline call onednn_matmul(std::size_t m, std::size_t k, std::size_t n, bool integer,
                                        cache where = cache::warm) {
    using namespace detail;
    auto c = std::make_shared<onednn_call>();
    const dnnl_memory::desc x({dim(n), dim(k)}, activation_type[integer], tag::ab);
    const dnnl_memory::desc w({dim(k), dim(m)}, weight_type[integer], tag::any);
    const dnnl_memory::desc y({dim(n), dim(m)}, integer ? type::s32 : type::f32, tag::ab);
#if DNNL_VERSION_MAJOR >= 3
    c->fill(dnnl::matmul::primitive_desc(c->engine, x, w, y), where);
#else
    c->fill(dnnl::matmul::primitive_desc(dnnl::matmul::desc(x, w, y), c->engine), where);
#endif
    return [c] { (*c)(); };
}

/// Bytes → bytes, scaled per channel and rectified; or float → float, in blocked layouts.
[[nodiscard]] inline call onednn_conv2d(const conv_problem& p, bool integer) {
    using namespace detail;
    auto c = std::make_shared<onednn_call>();
    const auto out = p.output();
    const auto& o = p.options;
    const auto& f = p.filter;
    const tag images = integer ? tag::nhwc : tag::any;
    const dnnl_memory::desc x({1, dim(p.channels()), dim(p.height), dim(p.width)},
                              activation_type[integer], images);
    const dims taps{dim(f.height), dim(f.width)};
    const std::int64_t g = dim(o.groups), rows = dim(f.out_channels) / g;
    const dims shape = g == 1 ? dims{rows, dim(f.in_channels), taps[0], taps[1]}
                              : dims{g, rows, dim(f.in_channels), taps[0], taps[1]};
    const dnnl_memory::desc w(shape, weight_type[integer], tag::any);
    const dnnl_memory::desc y({1, dim(f.out_channels), dim(out.height), dim(out.width)},
                              activation_type[integer], images);
    const dims strides{dim(o.stride.height), dim(o.stride.width)};
    const dims before{dim(o.padding.height), dim(o.padding.width)};
    const auto after = [&](std::size_t in, std::size_t taken, std::size_t size, std::size_t stride,
                           std::size_t padding) {
        return dim((taken - 1) * stride + size) - dim(in) - dim(padding);
    };
    const dims behind{after(p.height, out.height, f.height, o.stride.height, o.padding.height),
                      after(p.width, out.width, f.width, o.stride.width, o.padding.width)};
    dnnl::primitive_attr attributes;
    constexpr auto forward = dnnl::prop_kind::forward_inference;
    constexpr auto direct = dnnl::algorithm::convolution_direct;
    dnnl::post_ops after_sum;
#if DNNL_VERSION_MAJOR >= 3
    after_sum.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(after_sum);
    c->fill(dnnl::convolution_forward::primitive_desc(c->engine, forward, direct, x, w, y, strides,
                                                      before, behind, attributes),
            cache::warm);
#else
    after_sum.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(after_sum);
    if (integer)
        attributes.set_output_scales(1 << 1, std::vector<float>(f.out_channels, 0.001f));
    c->fill(dnnl::convolution_forward::primitive_desc(
                dnnl::convolution_forward::desc(forward, direct, x, w, y, strides, before, behind),
                attributes, c->engine),
            cache::warm);
#endif
    return [c] { (*c)(); };
}

#else

inline call onednn_matmul(std::size_t, std::size_t, std::size_t, bool, cache = cache::warm) {
    return {};
}
inline call onednn_conv2d(const conv_problem&, bool) {
    return {};
}

#endif

#if defined(S3_HAS_OPENBLAS)

/// y[N][M] = x[N][K]·w[M][K]ᵀ by sgemm.
[[nodiscard]] inline call openblas_matmul(std::size_t m, std::size_t k, std::size_t n,
                                          cache where = cache::warm) {
    const std::size_t count = copies(where, m * k * sizeof(float));
    auto w = std::make_shared<memory>(random_activations<float>(count * m * k));
    auto x = std::make_shared<memory>(random_activations<float>(n * k));
    auto y = std::make_shared<memory>(n * m * sizeof(float));
    return [=, next = std::size_t{0}]() mutable {
        const auto size = [](std::size_t v) { return static_cast<int>(v); };
        const float* weights = w->as<float>().data() + next * m * k;
        next = (next + 1) % count;
        if (n == 1)
            cblas_sgemv(CblasRowMajor, CblasNoTrans, size(m), size(k), 1.0f, weights, size(k),
                        x->as<float>().data(), 1, 0.0f, y->as<float>().data(), 1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(n), size(m), size(k), 1.0f,
                        x->as<float>().data(), size(k), weights, size(k), 0.0f,
                        y->as<float>().data(), size(m));
    };
}

#else

inline call openblas_matmul(std::size_t, std::size_t, std::size_t, cache = cache::warm) {
    return {};
}

#endif

} // namespace s3::bench
