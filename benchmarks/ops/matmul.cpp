// Matrix products in every regime, beside the machine's limits and other libraries.

#include "../support/problems.hpp"

namespace {

using namespace s3;
using namespace s3::bench;

const char* text_of(family kernels) {
    return kernels == family::dot         ? "dot"
           : kernels == family::shift_add ? "shift_add"
                                          : "automatic";
}

const int registered = [] {
    products([]<weight_format F, activation X>(operand_types<F, X>, const product_row& r) {
        const char* where = r.where == cache::cold ? "cold" : "warm";
        const auto name = text("matmul/%s/%s/%s/%zux%zux%zu", where,
                               operands<F, X>(r.wanted.activation_bits).c_str(),
                               text_of(r.wanted.kernels), r.m, r.k, r.n);
        add(name, [=] {
            constexpr bool integer = std::integral<X>;
            const targets& t = r.against;
            const auto c =
                std::make_shared<product<F, X>>(r.m, r.k, r.n, for_columns(r.n, r.wanted), r.where);
            subject s = product<F, X>::as_subject(r.regime, c);
            if (t.stream > 0)
                s.against_stream(c->weights(), t.stream);
            if (t.peak > 0)
                s.against(integer ? integer_peak() : float_peak(), t.peak);
            if (t.onednn > 0)
                s.against(integer ? "oneDNN int8" : "oneDNN fp32", t.onednn,
                          onednn_matmul(r.m, r.k, r.n, integer, r.where));
            if (t.openblas > 0)
                s.against("OpenBLAS fp32", t.openblas, openblas_matmul(r.m, r.k, r.n, r.where));
            return s;
        });
    });
    return 0;
}();

} // namespace
