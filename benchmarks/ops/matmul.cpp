// Matrix products in every regime: one or few columns with the weights out of cache (bound by
// memory) or in it, and many columns (bound by the multipliers or adders). Targets are ratios; 0
// leaves a rival out.

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

struct targets {
    double stream = 0;
    double peak = 0;
    double onednn = 0;
    double openblas = 0;
};

struct shape {
    std::size_t m, k, n;
};

template <weight_format F, activation X>
void row(const std::string& regime, const shape& p, const geometry& g, cache where,
         const targets& t) {
    const char* kernels = g.kernels == family::dot         ? "dot"
                          : g.kernels == family::shift_add ? "shift_add"
                                                           : "automatic";
    const auto name =
        text("matmul/%s/%s/%s%d/%s/%zux%zux%zu", where == cache::cold ? "cold" : "warm", F::name,
             activation_name<X>, g.activation_bits, kernels, p.m, p.k, p.n);
    add(name, [=] {
        constexpr bool integer = std::integral<X>;
        const auto c = std::make_shared<product<F, X>>(p.m, p.k, p.n, g, where);
        subject s = product<F, X>::as_subject(regime, c);
        if (t.stream > 0)
            s.against_stream(c->weights(), t.stream);
        if (t.peak > 0)
            s.against(integer ? integer_peak() : float_peak(), t.peak);
        if (t.onednn > 0)
            s.against(integer ? "oneDNN int8" : "oneDNN fp32", t.onednn,
                      onednn_matmul(p.m, p.k, p.n, integer, where));
        if (t.openblas > 0)
            s.against("OpenBLAS fp32", t.openblas, openblas_matmul(p.m, p.k, p.n, where));
        return s;
    });
}

/// All shapes, or with --quick the first few.
std::vector<std::size_t> sizes(std::initializer_list<std::size_t> all, std::size_t some = 1) {
    std::vector<std::size_t> v(all);
    if (quick())
        v.resize(some);
    return v;
}

constexpr geometry automatic{}, dot{.kernels = family::dot},
    shift_add{.kernels = family::shift_add},
    narrow_shift_add{.kernels = family::shift_add, .activation_bits = 4};

void one_column() {
    const char* regime = "N = 1 out of cache";
    const targets two{.stream = 0.93, .onednn = 3.7}, three{.stream = 0.92, .onednn = 2.4},
        four{.stream = 0.90};
    for (const std::size_t m : sizes({4096, 14336})) {
        const shape p{m, 4096, 1};
        row<shift3, std::int8_t>(regime, p, automatic, cache::cold, three);
        row<shift3, std::uint8_t>(regime, p, automatic, cache::cold, three);
        row<shift2, std::int8_t>(regime, p, automatic, cache::cold, two);
        row<shift2, std::uint8_t>(regime, p, automatic, cache::cold, two);
        row<shift4, std::int8_t>(regime, p, automatic, cache::cold, four);
        row<shift3, std::int8_t>("N = 1 out of cache, 3-bit shift_add", p, shift_add, cache::cold,
                                 {.onednn = 1.15});
        row<shift3, float>("N = 1 out of cache, fp32", p, automatic, cache::cold,
                           {.onednn = 6.5, .openblas = 6.5});
    }
    regime = "N = 1 in cache";
    row<shift3, std::int8_t>(regime, {4096, 4096, 1}, automatic, cache::warm, {.onednn = 2.0});
    for (const std::size_t m : {512u, 1024u})
        row<shift3, std::int8_t>(regime, {m, m, 1}, automatic, cache::warm, {.onednn = 1.2});
}

void few_columns() {
    const char* regime = "N = 2, 4, 8 out of cache";
    const auto few = [&](std::size_t n, const targets& t) {
        row<shift3, std::int8_t>(regime, {4096, 4096, n}, automatic, cache::cold, t);
    };
    few(2, {.stream = 0.90});
    few(4, {.stream = 0.82});
    few(8, {.stream = 0.48, .onednn = 1.35});
}

void many_columns() {
    for (const std::size_t n : sizes({512, 64}))
        for (const std::size_t m : {512u, 1024u, 2048u, 4096u})
            row<shift3, std::int8_t>("GEMM, 3-bit dot", {m, m, n}, dot, cache::warm,
                                     {.peak = 0.92, .onednn = 0.93});
    row<shift3, std::int8_t>("GEMM, 3-bit shift_add", {4096, 4096, 512}, shift_add, cache::warm,
                             {.peak = 0.43});
    const auto ternary = [](std::size_t m, double peak) {
        row<shift2, std::int8_t>("GEMM, ternary shift_add", {m, m, 512}, shift_add, cache::warm,
                                 {.peak = peak});
    };
    ternary(1024, 0.76);
    ternary(4096, 0.84);
    const auto narrow = [](std::size_t m, double peak) {
        row<shift2, std::uint8_t>("GEMM, ternary shift_add, activations of 4 bits",
                                  {m, std::max<std::size_t>(m, 1024), 512}, narrow_shift_add,
                                  cache::warm, {.peak = peak});
    };
    narrow(128, 1.2);
    narrow(1024, 1.5);
    narrow(4096, 1.5);
}

void many_columns_avx2() {
    for (const std::size_t m : sizes({1024, 512, 2048, 4096}))
        row<shift3, std::int8_t>("AVX2 GEMM, 3-bit", {m, m, 512}, automatic, cache::warm,
                                 {.onednn = 1.4});
    row<shift3, std::int8_t>("AVX2 GEMM, 3-bit shift_add", {4096, 4096, 512}, shift_add,
                             cache::warm, {.onednn = 1.2});
    for (const std::size_t m : sizes({1024, 512, 4096}))
        row<shift2, std::int8_t>("AVX2 GEMM, ternary shift_add", {m, m, 512}, shift_add,
                                 cache::warm, {.onednn = 2.1});
    for (const std::size_t m : sizes({1024, 4096}))
        row<shift2, std::uint8_t>("AVX2 GEMM, ternary shift_add, activations of 4 bits",
                                  {m, m, 512}, narrow_shift_add, cache::warm, {.onednn = 4});
}

void floats() {
    const char* prefix = avx2_build ? "AVX2 " : "";
    for (const std::size_t m : sizes({1024, 4096})) {
        const double two = avx2_build ? 2.2 : 1.5, three = avx2_build ? 1.1 : 0.93;
        row<shift2, float>(text("%sGEMM, fp32, ternary", prefix), {m, m, 512}, automatic,
                           cache::warm, {.onednn = two, .openblas = two});
        row<shift3, float>(text("%sGEMM, fp32, 3-bit", prefix), {m, m, 512}, automatic, cache::warm,
                           {.onednn = three, .openblas = three});
    }
}

const int registered = [] {
    if constexpr (avx2_build) {
        many_columns_avx2();
    } else {
        one_column();
        few_columns();
        many_columns();
    }
    floats();
    return 0;
}();

} // namespace
