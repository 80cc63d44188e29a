// How far `automatic` is from the best available kernel: a row for each family that it could have
// taken and did not. Its choice should be within 5% of each.

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

constexpr double close_enough = 0.95;

/// Measures the automatic choice beside the families that give another kernel. `make(geometry)`
/// returns a shared contender.
template <class Contender, class Make>
subject choice(geometry g, Make make) {
    const auto chosen = make(g);
    subject s = Contender::as_subject("automatic", chosen);
    for (const auto kernels : {family::dot, family::shift_add}) {
        g.kernels = kernels;
        const auto other = make(g);
        if (std::string_view(other->kernel_name()) != chosen->kernel_name())
            s.against(other->kernel_name(), close_enough, [other] { (*other)(); });
    }
    return s;
}

template <weight_format F, activation X>
void row(std::size_t m, std::size_t k, std::size_t n, int bits = 8) {
    add(text("automatic/%s/%zux%zux%zu", operands<F, X>(bits).c_str(), m, k, n), [=] {
        using contender = product<F, X>;
        return choice<contender>({.activation_bits = bits}, [=](const geometry& g) {
            return std::make_shared<contender>(m, k, n, g);
        });
    });
}

template <weight_format F, activation X>
void row(const conv_problem& p, int bits = 8) {
    add(text("automatic/%s/%s", operands<F, X>(bits).c_str(), conv_text(p).c_str()), [=] {
        using contender = convolution<F, X>;
        return choice<contender>({.activation_bits = bits}, [=](const geometry& g) {
            return std::make_shared<contender>(p, g);
        });
    });
}

const int registered = [] {
    for (const std::size_t n : {1u, 8u}) {
        row<shift2, std::int8_t>(4096, 4096, n);
        row<shift3, std::int8_t>(4096, 4096, n);
        row<shift3, float>(4096, 4096, n);
    }
    for (const std::size_t m : {128u, 512u, 1024u, 4096u}) {
        if (quick() && m != 1024)
            continue;
        const std::size_t k = std::max<std::size_t>(m, 1024);
        row<shift2, std::int8_t>(m, k, 512);
        row<shift2, std::uint8_t>(m, k, 512, 4);
        row<shift3, std::int8_t>(m, k, 512);
        row<shift2, float>(m, k, 512);
        row<shift3, float>(m, k, 512);
    }
    for (const auto& p : {square(64, 64, 56, 3), square(128, 128, 28, 3), square(256, 256, 14, 3),
                          square(512, 512, 7, 3)}) {
        row<shift3, std::uint8_t>(p);
        row<shift3, std::uint8_t>(p, 6);
        row<shift2, float>(p);
        row<shift3, float>(p);
    }
    return 0;
}();

} // namespace
