// The two halves of a shift weight's life in as few lines as they take: inference from packed
// weights, and training on the host's own buffers. The README at the top shows these very lines.

#include <s3/shift.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <random>

namespace {

int inference() {
    const std::array<float, 8> weights{0, 1, -2, 4, /* second row */ -1, 0, 2, 2};
    const std::array<std::int8_t, 4> x{10, 20, 30, 40};
    std::array<std::int32_t, 2> y{};

    const auto packed = s3::pack<s3::shift3>(weights, 2, 4); // 3 bits a weight
    if (!packed) { // e.g. "weights[7]: value is not in the weight format (got 3, limit 4)"
        std::puts(packed.error().message().c_str());
        return 1;
    }
    const auto kernel = s3::prepare<std::int8_t, s3::family::shift_add>(*packed);
    if (!kernel || !s3::matmul(*kernel, x, y)) // exact, without a multiplication
        return 1;
    std::printf("y = %d %d from %zu bytes\n", y[0], y[1], packed->stream().size());
    return 0;
}

int training() {
    const std::array<float, 6> wanted{0, 1, -2, 4, -4, 2};
    std::array<float, 6> p[4], d[4], w, grad; // the host's memory: latents, their gradients, …
    const s3::latents<s3::shift3> latents{p[0], p[1], {p[2], p[3]}};
    const s3::latents<s3::shift3> gradients{d[0], d[1], {d[2], d[3]}};
    std::mt19937 random(1);
    s3::initialize(latents, 0.1, random);
    p[1].fill(0.5f); // no zeros to begin with

    for (int step = 0; step < 200; ++step) {
        if (!s3::realize(latents, w)) // discrete weights for the forward pass
            return 1;
        for (std::size_t i = 0; i < w.size(); ++i)
            grad[i] = w[i] - wanted[i]; // the host's own loss, here ½·Σ(w − wanted)²
        if (!s3::backward(latents, grad, gradients)) // straight through to the latents
            return 1;
        for (std::size_t k = 0; k < 4; ++k) // the host's own optimizer
            for (std::size_t i = 0; i < w.size(); ++i)
                p[k][i] -= 0.01f * d[k][i];
    }
    std::printf("w = %g %g %g %g %g %g\n", w[0], w[1], w[2], w[3], w[4], w[5]);
    return w == wanted ? 0 : 1;
}

} // namespace

int main() {
    return inference() + training();
}
