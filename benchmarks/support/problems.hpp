#pragma once
// The products and convolutions that are measured, each with its regime and its targets: one list,
// for the benchmarks of the kernels and for that of the choice between them. Targets are ratios; 0
// leaves a rival out. A visitor gets the types as `operand_types<F, X>` and a row.

#include "operations.hpp"

namespace s3::bench {

template <weight_format F, activation X>
struct operand_types {};

inline constexpr operand_types<shift2, std::int8_t> ternary_int8;
inline constexpr operand_types<shift2, std::uint8_t> ternary_uint8;
inline constexpr operand_types<shift2, float> ternary_fp32;
inline constexpr operand_types<shift3, std::int8_t> shift3_int8;
inline constexpr operand_types<shift3, std::uint8_t> shift3_uint8;
inline constexpr operand_types<shift3, float> shift3_fp32;
inline constexpr operand_types<shift4, std::int8_t> shift4_int8;
inline constexpr operand_types<shift4, std::uint8_t> shift4_uint8;

struct targets {
    double stream = 0;
    double peak = 0;
    double onednn = 0;
    double openblas = 0;
};

struct product_row {
    std::string regime;
    std::size_t m, k, n;
    prepare_options wanted;
    cache where;
    targets against;
};

struct convolution_row {
    std::string regime;
    conv_problem problem;
    prepare_options wanted;
    double onednn;
};

inline constexpr prepare_options automatic{}, dot{.kernels = family::dot},
    shift_add{.kernels = family::shift_add},
    narrow_shift_add{.kernels = family::shift_add, .activation_bits = 4};

/// One or few columns with the weights out of cache, or in it: bound by memory.
template <class Row>
void few_columns(const Row& row) {
    for (const std::size_t m : {4096u, 14336u}) {
        const auto cold = [&](auto types, const char* regime, const prepare_options& g,
                              const targets& t) {
            row(types, product_row{regime, m, 4096, 1, g, cache::cold, t});
        };
        const char* regime = "N = 1 out of cache";
        const targets two{.stream = 0.93, .onednn = 3.7}, three{.stream = 0.92, .onednn = 2.4},
            four{.stream = 0.90};
        cold(shift3_int8, regime, automatic, three);
        cold(shift3_uint8, regime, automatic, three);
        cold(ternary_int8, regime, automatic, two);
        cold(ternary_uint8, regime, automatic, two);
        cold(shift4_int8, regime, automatic, four);
        cold(shift4_uint8, regime, automatic, four);
        cold(shift3_int8, "N = 1 out of cache, 3-bit shift_add", shift_add, {.onednn = 1.15});
        cold(shift3_fp32, "N = 1 out of cache, fp32", automatic, {.onednn = 6.5, .openblas = 6.5});
    }
    const auto warm = [&](std::size_t m, double onednn) {
        row(shift3_int8, product_row{"N = 1 in cache", m, m, 1, automatic, cache::warm,
                                     targets{.onednn = onednn}});
    };
    warm(4096, 2.0);
    warm(1024, 1.2);
    warm(512, 1.2);
    const auto few = [&](std::size_t n, const targets& t) {
        row(shift3_int8,
            product_row{"N = 2, 4, 8 out of cache", 4096, 4096, n, automatic, cache::cold, t});
    };
    few(2, {.stream = 0.90});
    few(4, {.stream = 0.82});
    few(8, {.stream = 0.48, .onednn = 1.35});
}

/// Bound by the multipliers or adders.
template <class Row>
void many_columns(const Row& row) {
    const auto gemm = [&](auto types, const char* regime, std::size_t m, std::size_t n,
                          const prepare_options& g, const targets& t) {
        row(types, product_row{regime, m, m, n, g, cache::warm, t});
    };
    for (const std::size_t n : {64u, 512u})
        for (const std::size_t m : {512u, 1024u, 2048u, 4096u})
            gemm(shift3_int8, "GEMM, 3-bit dot", m, n, dot, {.peak = 0.92, .onednn = 0.93});
    gemm(shift3_int8, "GEMM, 3-bit shift_add", 4096, 512, shift_add, {.peak = 0.43});
    gemm(ternary_int8, "GEMM, ternary shift_add", 1024, 512, shift_add, {.peak = 0.76});
    gemm(ternary_int8, "GEMM, ternary shift_add", 4096, 512, shift_add, {.peak = 0.84});
    const auto narrow = [&](std::size_t m, std::size_t k, double peak) {
        row(ternary_uint8, product_row{"GEMM, ternary shift_add, activations of 4 bits", m, k, 512,
                                       narrow_shift_add, cache::warm, targets{.peak = peak}});
    };
    narrow(128, 1024, 1.2);
    narrow(1024, 1024, 1.5);
    narrow(4096, 4096, 1.5);
}

template <class Row>
void many_columns_avx2(const Row& row) {
    const auto gemm = [&](auto types, const char* kind, std::size_t m, std::size_t n,
                          const prepare_options& g, const targets& t) {
        row(types, product_row{text("%s GEMM, %s", avx2_name, kind), m, m, n, g, cache::warm, t});
    };
    if constexpr (vnni_build) {
        for (const std::size_t n : {64u, 512u})
            for (const std::size_t m : {512u, 1024u, 2048u, 4096u})
                gemm(shift3_int8, "3-bit", m, n, automatic, {.peak = 0.85});
        return;
    }
    for (const std::size_t m : {512u, 1024u, 2048u, 4096u})
        gemm(shift3_int8, "3-bit", m, 512, automatic, {.onednn = 1.4});
    gemm(shift3_int8, "3-bit shift_add", 4096, 512, shift_add, {.onednn = 1.2});
    for (const std::size_t m : {512u, 1024u, 4096u})
        gemm(ternary_int8, "ternary shift_add", m, 512, shift_add, {.onednn = 2.1});
    for (const std::size_t m : {1024u, 4096u})
        gemm(ternary_uint8, "ternary shift_add, activations of 4 bits", m, 512, narrow_shift_add,
             {.onednn = 4});
}

template <class Row>
void many_columns_float(const Row& row) {
    const double two = avx2_build ? 2.2 : 1.5, three = avx2_build ? 1.1 : 0.93;
    const auto gemm = [&](auto types, const char* weights, std::size_t m, double target) {
        row(types, product_row{text("%s%sGEMM, fp32, %s", avx2_build ? avx2_name : "",
                                    avx2_build ? " " : "", weights),
                               m, m, 512, automatic, cache::warm,
                               targets{.onednn = target, .openblas = target}});
    };
    for (const std::size_t m : {1024u, 4096u}) {
        gemm(ternary_fp32, "ternary", m, two);
        gemm(shift3_fp32, "3-bit", m, three);
    }
}

/// Calls row(operand_types, product_row) for every product of this build.
template <class Row>
void products(const Row& row) {
    if constexpr (avx2_build) {
        many_columns_avx2(row);
    } else {
        few_columns(row);
        many_columns(row);
    }
    if constexpr (!vnni_build) // the same as for AVX2
        many_columns_float(row);
}

/// The distinct layers of ResNet-18 and ResNet-50 at 224×224.
[[nodiscard]] inline std::vector<conv_problem> resnet_layers() {
    return {square(3, 64, 224, 7, 2),
            // ResNet-18
            square(64, 64, 56, 3), square(64, 128, 56, 3, 2), square(64, 128, 56, 1, 2),
            square(128, 128, 28, 3), square(128, 256, 28, 3, 2), square(128, 256, 28, 1, 2),
            square(256, 256, 14, 3), square(256, 512, 14, 3, 2), square(256, 512, 14, 1, 2),
            square(512, 512, 7, 3),
            // ResNet-50
            square(64, 64, 56, 1), square(64, 256, 56, 1), square(256, 64, 56, 1),
            square(256, 128, 56, 1), square(128, 128, 56, 3, 2), square(256, 512, 56, 1, 2),
            square(128, 512, 28, 1), square(512, 128, 28, 1), square(512, 256, 28, 1),
            square(256, 256, 28, 3, 2), square(512, 1024, 28, 1, 2), square(256, 1024, 14, 1),
            square(1024, 256, 14, 1), square(1024, 512, 14, 1), square(512, 512, 14, 3, 2),
            square(1024, 2048, 14, 1, 2), square(512, 2048, 7, 1), square(2048, 512, 7, 1)};
}

/// Calls row(operand_types, convolution_row) for every convolution.
template <class Row>
void convolutions(const Row& row) {
    const auto bytes = [&](const char* regime, const conv_problem& p, double onednn,
                           const prepare_options& g = {}) {
        row(shift3_uint8, convolution_row{regime, p, g, onednn});
    };
    for (const conv_problem& p : resnet_layers())
        bytes("conv2d, fused, 3-bit", p, 0.93);

    for (const auto& p :
         {square(128, 128, 28, 3), square(256, 256, 14, 3), square(512, 512, 7, 3)}) {
        row(ternary_fp32, convolution_row{"conv2d, fp32, ternary", p, {}, 1.2});
        row(shift3_fp32, convolution_row{"conv2d, fp32, 3-bit", p, {}, 0.9});
    }

    // Integer Winograd where `automatic` takes it; the last has no target, its ratio is reported.
    const auto narrow = [&](const conv_problem& p, double onednn) {
        bytes("conv2d 3x3, activations of 6 bits, 3-bit", p, onednn, {.activation_bits = 6});
    };
    narrow(square(64, 64, 56, 3), 1.3);
    narrow(square(128, 128, 28, 3), 1.5);
    narrow(square(256, 256, 14, 3), 1.6);
    narrow(square(512, 512, 7, 3), 0);

    for (const auto& [channels, size, stride] :
         {std::array<std::size_t, 3>{32, 112, 1}, {96, 112, 2}, {144, 56, 1}, {512, 14, 1}})
        bytes(
            "conv2d, depthwise 3x3, 3-bit",
            {{channels, 3, 3, 1}, size, size, {.stride = stride, .padding = 1, .groups = channels}},
            1);
    for (const std::size_t channels : {32u, 128u})
        bytes("conv2d, one dimension, 3-bit",
              {{channels, 1, 9, channels}, 1, 1024, {.padding = extent(0, 4)}}, 1);
    for (const std::size_t channels : {8u, 16u, 32u})
        bytes("conv2d, small layers, 3-bit", square(channels, channels, 56, 3), 1);
}

} // namespace s3::bench
