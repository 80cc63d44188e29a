// Matrix products in every regime: one or few columns with the weights out of cache (bound by
// memory) or in it, and many columns (bound by the multipliers or adders).

#include "../support/operations.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

/// What a row is wanted to reach; 0 leaves the rival out.
struct targets {
    double stream = 0;
    double peak = 0;
    double onednn = 0;
    double openblas = 0;
};

template <weight_format F, activation X>
void row(const char* id, const char* regime, std::size_t m, std::size_t k, std::size_t n,
         geometry g, cache where, targets t) {
    add(text("matmul/%s/%s/%s/%zux%zux%zu", id, F::name, activation_name<X>, m, k, n), [=] {
        constexpr bool integer = std::integral<X>;
        auto p = std::make_shared<product<F, X>>(m, k, n, g, where);
        subject s = subject_of<F>(regime, p, m, k, n);
        if (t.stream > 0)
            s.against_stream(p->weights(), t.stream);
        if (t.peak > 0)
            s.against(integer ? integer_peak() : float_peak(), t.peak);
        if (t.onednn > 0)
            s.against(integer ? "oneDNN int8" : "oneDNN fp32", t.onednn,
                      onednn_matmul(m, k, n, integer, where));
        if (t.openblas > 0)
            s.against("OpenBLAS fp32", t.openblas, openblas_matmul(m, k, n, where));
        return s;
    });
}

const int registered = [] {
    const geometry automatic{};
    const char* regime = "N = 1 out of cache";
    for (const std::size_t m : {4096u, 14336u}) {
        row<shift3, std::int8_t>("cold", regime, m, 4096, 1, automatic, cache::cold,
                                 {.stream = 0.92, .onednn = 2.4});
        row<shift3, std::uint8_t>("cold", regime, m, 4096, 1, automatic, cache::cold,
                                  {.stream = 0.92, .onednn = 2.4});
        row<shift2, std::int8_t>("cold", regime, m, 4096, 1, automatic, cache::cold,
                                 {.stream = 0.93, .onednn = 3.7});
        row<shift4, std::int8_t>("cold", regime, m, 4096, 1, automatic, cache::cold,
                                 {.stream = 0.90});
    }
    regime = "GEMM";
    for (const std::size_t m : {512u, 1024u, 4096u})
        row<shift3, std::int8_t>("gemm", regime, m, m, 512, automatic, cache::warm,
                                 {.peak = 0.92, .onednn = 0.93});
    return 0;
}();

} // namespace
