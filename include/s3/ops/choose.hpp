#pragma once
// The choice of a kernel for a matrix, from the options of `prepare`.

#include <s3/core/error.hpp>
#include <s3/kernel/registry.hpp>
#include <s3/ops/prepare_options.hpp>

namespace s3::detail {

template <weight_format F, activation X, architecture Arch, kernel_choice Choice>
using product_candidates = kernel::candidates<Choice, kernel::products<F, X, Arch>>;

/// The errors in the options, given a format and the choice that was made at compile time.
template <weight_format F, kernel_choice Choice>
status check(const prepare_options& o) noexcept {
    if (o.activation_bits < 1 || o.activation_bits > 8)
        return error(errc::bad_option, "options.activation_bits").outside(o.activation_bits, 1, 8);
    const bool open = Choice.among == family::any && Choice.name == 0;
    if (o.kernels != family::automatic && o.kernels != Choice.among && !open)
        return error(errc::bad_option, "options.kernels");
    return {};
}

/// The number, among the candidates, of the kernel for a matrix with `rows` rows, or the option
/// that cannot be served. Where the options name a kernel that is not among the candidates, it may
/// be one that needs no product: see ops/prepare_filter.hpp.
template <weight_format F, activation X, architecture Arch, kernel_choice Choice>
result<std::size_t> choose(std::size_t rows, const prepare_options& o) {
    using candidates = product_candidates<F, X, Arch, Choice>;
    if (auto s = check<F, Choice>(o); !s)
        return s.error();
    const kernel::product_request request{rows, o.batch, o.activation_bits};
    if (o.kernel != kernel_id{}) {
        const std::size_t named = candidates::find(request, o.kernel);
        if (named == candidates::size)
            return error(errc::unsupported, "options.kernel");
        return named;
    }
    const std::size_t best = candidates::best(request, o.kernels);
    if (best == candidates::size)
        return error(errc::unsupported, "options.kernels");
    return best;
}

} // namespace s3::detail
