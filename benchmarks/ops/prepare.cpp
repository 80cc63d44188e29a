// From the format on disk to a kernel's layout, in bytes of packed weights per second.

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

template <weight_format F, activation X>
void row(std::size_t m, std::size_t k, const prepare_options& g) {
    const char* kernel = product<F, X>::kernel_for(m, g);
    add(text("prepare/%s/%s/%zux%zu", operands<F, X>(g.activation_bits).c_str(), kernel, m, k),
        [=] {
            const auto packed = std::make_shared<packed_matrix<F>>(random_weights<F>(m, k));
            const auto into =
                std::make_shared<memory>(require(prepared_bytes<X, family::any>(*packed, g)));
            const auto run = [=] {
                (void)require(prepare_into<X, family::any>(*packed, g, into->span()));
            };
            subject s{.regime = "prepare",
                      .shape = text("M=%zu K=%zu", m, k),
                      .kernel = kernel_text<F, X>(kernel, g.activation_bits),
                      .gmacs = 0,
                      .gbytes = static_cast<double>(packed->stream().size()) * 1e-9,
                      .run = run};
            s.against_rate("1 GB/s", 1);
            return s;
        });
}

const int registered = [] {
    constexpr prepare_options one{.batch = 1}, many{.batch = 512},
        one_shift_add{.batch = 1, .kernels = family::shift_add},
        many_shift_add{.batch = 512, .kernels = family::shift_add},
        narrow{.batch = 512, .kernels = family::shift_add, .activation_bits = 4};
    row<shift3, std::int8_t>(4096, 4096, one);
    row<shift3, std::int8_t>(512, 512, one);
    row<shift2, std::int8_t>(4096, 4096, one);
    row<shift4, std::int8_t>(4096, 4096, one);
    row<shift3, std::int8_t>(4096, 4096, one_shift_add);
    row<shift2, std::int8_t>(4096, 4096, many_shift_add);
    row<shift2, std::uint8_t>(4096, 4096, narrow);
    row<shift3, float>(4096, 4096, one);
    row<shift2, float>(4096, 4096, many);
    row<shift3, float>(4096, 4096, many);
    return 0;
}();

} // namespace
