// Two layers of real weights and biases, computed in integers: where each scale goes, how a zero
// point leaves the sums, and what the second layer reads. Every number is checked against floats.

#include <s3/shift.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

namespace {

/// What the bytes q of a tensor stand for: real = scale · (q − zero_point).
struct quantization {
    float scale;
    int zero_point;

    std::uint8_t operator()(float real) const {
        const float q = std::nearbyint(real / scale) + static_cast<float>(zero_point);
        return static_cast<std::uint8_t>(std::clamp(q, 0.0f, 255.0f));
    }
    float real(int q) const { return scale * static_cast<float>(q - zero_point); }
};

/// The bias in units of the integer sums, which are s_x · s_w[m], with the zero point taken out:
///   Σ w·(q − z) + b/(s_x·s_w)  =  Σ w·q  +  (round(b/(s_x·s_w)) − z·Σw)
template <class F>
std::vector<std::int32_t> integer_bias(const s3::packed_matrix<F>& w, std::span<const float> b,
                                       const quantization& x) {
    std::vector<std::int32_t> bias;
    for (std::size_t m = 0; m < w.rows(); ++m)
        bias.push_back(static_cast<std::int32_t>(std::lround(b[m] / (x.scale * w.real_scale(m)))) -
                       x.zero_point * static_cast<std::int32_t>(w.sums()[m]));
    return bias;
}

/// The same layer in floats: with the real numbers that the packed weights and the bytes stand for.
template <class F>
std::vector<float> float_layer(const s3::packed_matrix<F>& w, std::span<const float> b,
                               std::span<const float> x) {
    std::vector<float> y(b.begin(), b.end());
    for (std::size_t m = 0; m < w.rows(); ++m)
        for (std::size_t k = 0; k < w.columns(); ++k)
            y[m] += w.real_scale(m) * static_cast<float>(w.value(m, k)) * x[k];
    return y;
}

template <class T>
void print(const char* name, const T& values, const char* format) {
    std::printf("%s", name);
    for (const auto v : values)
        std::printf(format, v);
    std::printf("\n");
}

int run() {
    const std::array<float, 4> x{0.9f, -0.4f, 0.1f, 0.6f};
    const std::array<float, 12> w1{0.8f,  0.1f, -0.7f, 0.9f,  -0.3f, 0.4f,
                                   0.35f, 0.0f, 0.05f, -0.6f, 0.5f,  0.7f};
    const std::array<float, 3> b1{0.1f, -0.2f, 0.05f};
    const std::array<float, 6> w2{0.5f, -1.1f, 0.25f, 0.0f, 0.9f, -0.26f};
    const std::array<float, 2> b2{0.3f, -0.1f};

    // 1. Real weights become ternary ones with a scale per row, and 3-bit ones with one scale.
    const s3::quantize_options per_row{.granularity = s3::scale_per::row,
                                       .scale = s3::scale_kind::real};
    const auto p1 = s3::quantize<s3::ternary>(w1, 3, 4, per_row);
    const auto p2 = s3::quantize<s3::shift3>(w2, 2, 3, {.scale = s3::scale_kind::real});
    if (!p1 || !p2)
        return 1;
    print("scales of w1:", p1->scale(), " %.4f");

    // 2. The ranges of the tensors, from a few samples in a real network: s and z of each.
    const quantization in{0.008f, 100}, hidden{0.01f, 0};
    std::array<std::uint8_t, 4> q{};
    std::transform(x.begin(), x.end(), q.begin(), in);
    print("x as bytes:", q, " %d");

    // 3. The first layer: y = relu(w1·x + b1), as bytes of `hidden`.
    const auto layer1 = s3::prepare(*p1);
    const auto bias1 = integer_bias(*p1, b1, in);
    const float scale1 = in.scale / hidden.scale; // the library multiplies by the weights' scales
    std::array<std::uint8_t, 3> h{};
    if (!layer1 || !s3::matmul(*layer1, q, h,
                               {.scale = std::span(&scale1, 1),
                                .bias = bias1,
                                .activation = s3::relu,
                                .zero_point = hidden.zero_point}))
        return 1;
    print("hidden as bytes:", h, " %d");

    // 4. The second layer reads them as they are; its outputs are real numbers.
    const auto layer2 = s3::prepare(*p2);
    const auto bias2 = integer_bias(*p2, b2, hidden);
    std::array<float, 2> y{};
    if (!layer2 ||
        !s3::matmul(*layer2, h, y, {.scale = std::span(&hidden.scale, 1), .bias = bias2}))
        return 1;
    print("y:", y, " %.4f");

    // 5. What is easily done wrong: int32 outputs have nowhere to put the weights' scales.
    std::array<std::int32_t, 3> sums{};
    std::printf("int32 outputs: %s\n", s3::matmul(*layer1, q, sums).error().message().c_str());
    const auto plain = s3::prepare(*p1, {.integers_only = true}); // sums of 0 and ±1, unscaled
    if (!plain || !s3::matmul(*plain, q, sums))
        return 1;
    print("sums of integers only:", sums, " %d");

    // 6. Floats agree to half a step of the outputs and half a unit of the bias.
    std::vector<float> x_real, h_real;
    for (const int byte : q)
        x_real.push_back(in.real(byte));
    for (const int byte : h)
        h_real.push_back(hidden.real(byte));
    const auto h_float = float_layer(*p1, b1, x_real), y_float = float_layer(*p2, b2, h_real);
    print("y in floats:", y_float, " %.4f");
    bool right = true;
    for (std::size_t m = 0; m < 3; ++m) {
        const float unit = in.scale * p1->real_scale(m);
        right &=
            std::fabs(h_real[m] - std::max(h_float[m], 0.0f)) <= 0.501f * (hidden.scale + unit);
        // The unscaled sums need the weights' scale, the zero point and the bias from the caller.
        const float by_hand = unit * static_cast<float>(sums[m] + bias1[m]);
        right &= std::fabs(by_hand - h_float[m]) <= 0.501f * unit;
    }
    for (std::size_t m = 0; m < 2; ++m)
        right &= std::fabs(y[m] - y_float[m]) <= 0.501f * hidden.scale * p2->real_scale(m);
    std::printf("%s\n", right ? "integers and floats agree" : "WRONG");
    return right ? 0 : 1;
}

} // namespace

int main() {
    return run();
}
