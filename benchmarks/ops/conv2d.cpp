// Convolutions, batch 1, beside oneDNN; and what the gather costs.

#include "../support/problems.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

/// A convolution beside the product of the same size, without multiplications.
void beside_gemm(const conv_problem& p) {
    add("conv2d/shift_add/" + conv_text(p), [=] {
        using conv = convolution<shift3, std::uint8_t>;
        const prepare_options g = for_columns(p.pixels(), shift_add);
        const auto gemm = std::make_shared<product<shift3, std::uint8_t>>(
            p.filter.out_channels, p.filter.columns(), p.pixels(), g);
        subject s = conv::as_subject("conv2d, 3-bit shift_add", std::make_shared<conv>(p, g));
        s.against("its GEMM", 0.9, [gemm] { (*gemm)(); });
        return s;
    });
}

const int registered = [] {
    convolutions([]<weight_format F, activation X>(operand_types<F, X>, const convolution_row& r) {
        const auto name = text("conv2d/%s/%s", operands<F, X>(r.wanted.activation_bits).c_str(),
                               conv_text(r.problem).c_str());
        add(name, [=] {
            constexpr bool integer = std::integral<X>;
            const auto c = std::make_shared<convolution<F, X>>(
                r.problem, for_columns(r.problem.pixels(), r.wanted));
            subject s = convolution<F, X>::as_subject(r.regime, c);
            s.against(integer ? "oneDNN int8" : "oneDNN fp32", r.onednn,
                      onednn_conv2d(r.problem, integer));
            return s;
        });
    });
    beside_gemm(square(128, 128, 28, 3));
    beside_gemm(square(256, 256, 14, 3));
    return 0;
}();

} // namespace
