// realize, backward and the fused step against a copy loop with as many read and written streams,
// one thread. Each iteration times one after the other, so that both see the same machine;
// `of_copy` is copy time / kernel time (medians), 1.0 being the speed of memory.
//
//   bench_train_reparam --benchmark_filter=realize

#include <s3/core/buffer.hpp>
#include <s3/train/init.hpp>
#include <s3/train/optimizer.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

namespace {

using clock_type = std::chrono::steady_clock;

/// Streams of floats, each in its own buffer, aligned as tensors are, with small random numbers.
struct streams {
    std::vector<s3::buffer<float>> owned;
    std::vector<std::span<float>> data;

    streams(std::size_t count, std::size_t size) {
        std::mt19937 generator(1);
        for (std::size_t k = 0; k < count; ++k) {
            owned.push_back(s3::buffer<float>::make(size).value());
            data.push_back(owned.back().span());
            s3::fill_normal(data.back(), 0.1, generator);
        }
    }
    template <s3::shift_weight_format F>
    s3::latents<F> latents(std::size_t first = 0) {
        std::array<std::span<float>, s3::latents_per_weight<F>> spans;
        for (std::size_t k = 0; k < spans.size(); ++k)
            spans[k] = data[first + k];
        return s3::from_fields<F, float>(spans);
    }
};

/// Reads R streams and writes W: each written one is a read one, or the sum of several where R > W.
template <std::size_t R, std::size_t W>
void copy(const streams& from, streams& to) {
    std::array<const float*, R> in;
    std::array<float*, W> out;
    for (std::size_t k = 0; k < R; ++k)
        in[k] = from.data[k].data();
    for (std::size_t k = 0; k < W; ++k)
        out[k] = to.data[k].data();
    namespace lanes = s3::detail::lanes;
    lanes::for_each<s3::arch::native>(from.data[0].size(), [&]<class V>(V, std::size_t i) {
        std::array<V, W> sum{};
        lanes::unroll<R>([&](auto k) {
            const V v = lanes::load<V>(in[k] + i);
            sum[k % W] = k < W ? v : sum[k % W] + v;
        });
        lanes::unroll<W>([&](auto k) { lanes::store(out[k] + i, sum[k]); });
    });
}

double median(std::vector<double>& v) {
    std::nth_element(v.begin(), v.begin() + std::ptrdiff_t(v.size() / 2), v.end());
    return v[v.size() / 2];
}

template <class Copy, class Kernel>
void compare(benchmark::State& state, const Copy& copy_once, const Kernel& kernel,
             std::size_t size) {
    std::vector<double> copies, kernels;
    const auto seconds = [](auto from, auto to) {
        return std::chrono::duration<double>(to - from).count();
    };
    for (auto _ : state) {
        const auto start = clock_type::now();
        copy_once();
        benchmark::ClobberMemory();
        const auto middle = clock_type::now();
        if (!kernel())
            state.SkipWithError("the kernel refused its arguments");
        benchmark::ClobberMemory();
        const auto end = clock_type::now();
        copies.push_back(seconds(start, middle));
        kernels.push_back(seconds(middle, end));
        state.SetIterationTime(kernels.back());
    }
    state.counters["of_copy"] = median(copies) / median(kernels);
    state.counters["ns_per_weight"] = median(kernels) * 1e9 / double(size);
}

template <class F>
void realize(benchmark::State& state) {
    const auto size = std::size_t(state.range(0));
    streams in(s3::latents_per_weight<F>, size), out(1, size);
    compare(
        state, [&] { copy<s3::latents_per_weight<F>, 1>(in, out); },
        [&] { return bool(s3::realize(in.latents<F>(), out.data[0])); }, size);
}

template <class F>
void backward(benchmark::State& state) {
    constexpr std::size_t n = s3::latents_per_weight<F>;
    const auto size = std::size_t(state.range(0));
    streams in(n + 1, size), out(n, size);
    compare(
        state, [&] { copy<n + 1, n>(in, out); },
        [&] { return bool(s3::backward(in.latents<F>(), in.data[n], out.latents<F>())); }, size);
}

/// In place, as the fused step is: every stream is read and written.
template <std::size_t N>
void copy_in_place(streams& s) {
    namespace lanes = s3::detail::lanes;
    std::array<float*, N> at;
    for (std::size_t k = 0; k < N; ++k)
        at[k] = s.data[k].data();
    lanes::for_each<s3::arch::native>(s.data[0].size(), [&]<class V>(V, std::size_t i) {
        lanes::unroll<N>(
            [&](auto k) { lanes::store(at[k] + i, lanes::load<V>(at[k] + i) * V(0.999f)); });
    });
}

template <class F, class Optimizer>
void step(benchmark::State& state) {
    constexpr std::size_t n = s3::latents_per_weight<F>, m = Optimizer::moments;
    const auto size = std::size_t(state.range(0));
    streams all(n * (1 + m) + 1, size);
    for (std::size_t k = n; k < n * (1 + m); ++k)
        std::fill(all.data[k].begin(), all.data[k].end(), 0.0f);
    std::array<s3::latents<F>, m> moments;
    for (std::size_t j = 0; j < m; ++j)
        moments[j] = all.latents<F>(n * (1 + j));
    const auto g = all.data[n * (1 + m)];
    const Optimizer optimizer{.learning_rate = 1e-3f};
    streams other(n * (1 + m) + 1, size);
    compare(
        state, [&] { copy_in_place<n*(1 + m) + 1>(other); },
        [&] { return bool(s3::step(optimizer, all.latents<F>(), moments, g, g)); }, size);
}

/// What `step` replaces, as separate passes over stored gradients.
template <class F>
void unfused_sgd(benchmark::State& state) {
    constexpr std::size_t n = s3::latents_per_weight<F>;
    const auto size = std::size_t(state.range(0));
    streams p(n, size), moments(n, size), grads(n, size), w(1, size), g(1, size);
    const auto update = s3::sgd{.learning_rate = 1e-3f}.ready();
    for (auto _ : state) {
        bool ok = bool(s3::realize(p.latents<F>(), w.data[0]));
        ok = ok && s3::backward(p.latents<F>(), g.data[0], grads.latents<F>());
        ok = ok && s3::add_dense_gradient(p.data[1], grads.data[1], 1e-5f);
        for (std::size_t k = 0; k < n; ++k) {
            namespace lanes = s3::detail::lanes;
            float* x = p.data[k].data();
            float* m = moments.data[k].data();
            const float* d = grads.data[k].data();
            lanes::for_each<s3::arch::native>(size, [&]<class V>(V, std::size_t i) {
                std::array<V, 1> moment{lanes::load<V>(m + i)};
                const V next = update(lanes::load<V>(x + i), lanes::load<V>(d + i), moment);
                lanes::store(m + i, moment[0]);
                lanes::store(x + i, next);
            });
        }
        if (!ok)
            state.SkipWithError("a pass refused its arguments");
    }
    state.counters["ns_per_weight"] =
        benchmark::Counter(double(size) * 1e-9, benchmark::Counter::kIsIterationInvariantRate |
                                                    benchmark::Counter::kInvert);
}

// 64·64·3·3 and 512·512·3·3 weights: ResNet-18's first and last shift layers.
void sizes(benchmark::internal::Benchmark* b) {
    b->Arg(36864)->Arg(2359296)->UseManualTime()->Unit(benchmark::kMicrosecond);
}
void plain_sizes(benchmark::internal::Benchmark* b) {
    b->Arg(36864)->Arg(2359296)->Unit(benchmark::kMicrosecond);
}

BENCHMARK_TEMPLATE(realize, s3::shift2)->Apply(sizes);
BENCHMARK_TEMPLATE(realize, s3::shift3)->Apply(sizes);
BENCHMARK_TEMPLATE(realize, s3::shift4)->Apply(sizes);
BENCHMARK_TEMPLATE(realize, s3::dense3)->Apply(sizes);
BENCHMARK_TEMPLATE(realize, s3::dense4)->Apply(sizes);
BENCHMARK_TEMPLATE(backward, s3::shift2)->Apply(sizes);
BENCHMARK_TEMPLATE(backward, s3::shift3)->Apply(sizes);
BENCHMARK_TEMPLATE(backward, s3::shift4)->Apply(sizes);
BENCHMARK_TEMPLATE(backward, s3::dense3)->Apply(sizes);
BENCHMARK_TEMPLATE(backward, s3::dense4)->Apply(sizes);
BENCHMARK_TEMPLATE(step, s3::shift3, s3::sgd)->Apply(sizes);
BENCHMARK_TEMPLATE(step, s3::shift4, s3::sgd)->Apply(sizes);
BENCHMARK_TEMPLATE(step, s3::shift3, s3::adam)->Apply(sizes);
BENCHMARK_TEMPLATE(unfused_sgd, s3::shift3)->Apply(plain_sizes);
BENCHMARK_TEMPLATE(unfused_sgd, s3::shift4)->Apply(plain_sizes);

} // namespace
