// Convolutions, batch 1: the layers of ResNet-18 and ResNet-50 at 224×224, float and narrow
// activations, depthwise, 1-D and small layers. Targets are ratios.

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

template <weight_format F, activation X>
void row(const char* regime, const conv_problem& p, const geometry& g, double onednn) {
    const auto name =
        text("conv2d/%s/%s", operands<F, X>(g.activation_bits).c_str(), conv_text(p).c_str());
    add(name, [=] {
        constexpr bool integer = std::integral<X>;
        const auto c = std::make_shared<convolution<F, X>>(p, g);
        subject s = convolution<F, X>::as_subject(regime, c);
        s.against(integer ? "oneDNN int8" : "oneDNN fp32", onednn, onednn_conv2d(p, integer));
        return s;
    });
}

void resnet() {
    std::vector<conv_problem> layers{
        square(3, 64, 224, 7, 2),   square(64, 64, 56, 3),   square(64, 128, 56, 3, 2),
        square(64, 128, 56, 1, 2),  square(128, 128, 28, 3), square(128, 256, 28, 3, 2),
        square(128, 256, 28, 1, 2), square(256, 256, 14, 3), square(256, 512, 14, 3, 2),
        square(256, 512, 14, 1, 2), square(512, 512, 7, 3),
    };
    if (!quick())
        layers.insert(
            layers.end(),
            {square(64, 64, 56, 1), square(64, 256, 56, 1), square(256, 64, 56, 1),
             square(256, 128, 56, 1), square(128, 128, 56, 3, 2), square(256, 512, 56, 1, 2),
             square(128, 512, 28, 1), square(512, 128, 28, 1), square(512, 256, 28, 1),
             square(256, 256, 28, 3, 2), square(512, 1024, 28, 1, 2), square(256, 1024, 14, 1),
             square(1024, 256, 14, 1), square(1024, 512, 14, 1), square(512, 512, 14, 3, 2),
             square(1024, 2048, 14, 1, 2), square(512, 2048, 7, 1), square(2048, 512, 7, 1)});
    for (const auto& p : layers)
        row<shift3, std::uint8_t>("conv2d, fused, 3-bit", p, {}, 0.93);
}

void floats() {
    for (const auto& p :
         {square(128, 128, 28, 3), square(256, 256, 14, 3), square(512, 512, 7, 3)}) {
        row<shift2, float>("conv2d, fp32, ternary", p, {}, 1.2);
        row<shift3, float>("conv2d, fp32, 3-bit", p, {}, 0.9);
    }
}

/// Integer Winograd where `automatic` takes it.
void narrow() {
    const char* regime = "conv2d 3x3, activations of 6 bits, 3-bit";
    constexpr geometry g{.activation_bits = 6};
    row<shift3, std::uint8_t>(regime, square(64, 64, 56, 3), g, 1.3);
    row<shift3, std::uint8_t>(regime, square(128, 128, 28, 3), g, 1.5);
    row<shift3, std::uint8_t>(regime, square(256, 256, 14, 3), g, 1.6);
    row<shift3, std::uint8_t>(regime, square(512, 512, 7, 3), g, 0);
}

void small() {
    for (const auto& [channels, size, stride] :
         {std::array<std::size_t, 3>{32, 112, 1}, {96, 112, 2}, {144, 56, 1}, {512, 14, 1}})
        row<shift3, std::uint8_t>(
            "conv2d, depthwise 3x3, 3-bit",
            {{channels, 3, 3, 1}, size, size, {.stride = stride, .padding = 1, .groups = channels}},
            {}, 1);
    for (const std::size_t channels : {32u, 128u})
        row<shift3, std::uint8_t>("conv2d, one dimension, 3-bit",
                                  {{channels, 1, 9, channels}, 1, 1024, {.padding = extent(0, 4)}},
                                  {}, 1);
    for (const std::size_t channels : {8u, 16u, 32u})
        row<shift3, std::uint8_t>("conv2d, small layers, 3-bit", square(channels, channels, 56, 3),
                                  {}, 1);
}

/// What the gather costs: a convolution beside the product of the same size, without
/// multiplications.
void beside_gemm() {
    for (const auto& p : {square(128, 128, 28, 3), square(256, 256, 14, 3)})
        add("conv2d/shift_add/" + conv_text(p), [=] {
            constexpr geometry g{.kernels = family::shift_add};
            using conv = convolution<shift3, std::uint8_t>;
            const auto gemm = std::make_shared<product<shift3, std::uint8_t>>(
                p.filter.out_channels, p.filter.columns(), p.pixels(), g);
            subject s = conv::as_subject("conv2d, 3-bit shift_add", std::make_shared<conv>(p, g));
            s.against("its GEMM", 0.9, [gemm] { (*gemm)(); });
            return s;
        });
}

const int registered = [] {
    resnet();
    floats();
    narrow();
    small();
    beside_gemm();
    return 0;
}();

} // namespace
