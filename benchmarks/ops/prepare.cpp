// From the format on disk to a kernel's layout, in bytes of packed weights per second.

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

template <weight_format F, activation X>
void row(std::size_t m, std::size_t k, const geometry& g) {
    const bool shifts = g.kernels == family::shift_add;
    add(text("prepare/%s/%s/%zux%zu", operands<F, X>().c_str(), shifts ? "shift_add" : "dot", m, k),
        [=] {
            const auto packed = std::make_shared<packed_matrix<F>>(random_weights<F>(m, k));
            const auto into = std::make_shared<memory>(require(prepared_bytes<X>(*packed, g)));
            const auto run = [=] { (void)require(prepare_into<X>(*packed, g, into->span())); };
            const auto prepared = require(prepare_into<X>(*packed, g, into->span()));
            subject s{.regime = "prepare",
                      .shape = text("M=%zu K=%zu", m, k),
                      .kernel = kernel_text<F, X>(prepared.kernel_name()),
                      .gmacs = 0,
                      .gbytes = static_cast<double>(packed->stream().size()) * 1e-9,
                      .run = run};
            s.against_rate("1 GB/s", 1);
            return s;
        });
}

const int registered = [] {
    row<shift3, std::int8_t>(4096, 4096, {.columns = 1});
    row<shift3, std::int8_t>(512, 512, {.columns = 1});
    row<shift2, std::int8_t>(4096, 4096, {.columns = 1});
    row<shift3, float>(4096, 4096, {.columns = 1});
    row<shift2, std::int8_t>(4096, 4096, {.columns = 512, .kernels = family::shift_add});
    return 0;
}();

} // namespace
