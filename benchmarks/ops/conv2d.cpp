// Convolutions, batch 1: the layers of ResNet-18 and ResNet-50 at 224×224.

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

conv_problem square(std::size_t in, std::size_t out, std::size_t size, std::size_t kernel,
                    std::size_t stride) {
    return {{out, kernel, kernel, in}, size, size, {.stride = stride, .padding = kernel / 2}};
}

const conv_problem resnet_layers[] = {
    square(3, 64, 224, 7, 2),   square(64, 64, 56, 3, 1),    square(64, 128, 56, 3, 2),
    square(128, 128, 28, 3, 1), square(128, 256, 28, 3, 2),  square(256, 256, 14, 3, 1),
    square(256, 512, 14, 3, 2), square(512, 512, 7, 3, 1),   square(64, 256, 56, 1, 1),
    square(256, 64, 56, 1, 1),  square(512, 1024, 28, 1, 2), square(1024, 256, 14, 1, 1),
};

template <weight_format F, activation X>
void row(const char* id, const char* regime, const conv_problem& p, const geometry& g,
         double onednn) {
    add(text("conv2d/%s/%s/%s/%s", id, F::name, activation_name<X>, conv_text(p).c_str()), [=] {
        constexpr bool integer = std::integral<X>;
        auto c = std::make_shared<convolution<F, X>>(p, g);
        subject s = subject_of<F>(regime, c, p);
        s.against(integer ? "oneDNN int8" : "oneDNN fp32", onednn, onednn_conv2d(p, integer));
        return s;
    });
}

const int registered = [] {
    for (const auto& p : resnet_layers)
        row<shift3, std::uint8_t>("resnet", "conv2d fused", p, {}, 0.93);
    return 0;
}();

} // namespace
