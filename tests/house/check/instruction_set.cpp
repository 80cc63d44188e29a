// AVX-VNNI is found by its name, comes between AVX2 and AVX-512, and multiplies right. Compiled
// with its flags; exit status 2 where this processor does not have it.

#include "product.hpp"

#include <s3/simd/isa.hpp>

static_assert(std::is_same_v<s3::arch::native, s3::arch::avx_vnni>);
static_assert(s3::simd::has_quad_dot<s3::arch::native>);

int main() {
    using sets = s3::isa_list<s3::isa::baseline, s3::isa::avx2, s3::isa::avx_vnni>;
    if (!s3::supports(s3::isa::avx_vnni))
        return sets::best() == s3::isa::avx_vnni ? 1 : 2;
    const bool right = s3::test::multiplies<s3::shift3>(
        [](const auto& packed) { return s3::prepare<std::uint8_t>(packed); });
    return right && sets::best() == s3::isa::avx_vnni &&
                   sets::named("avx_vnni") == s3::isa::avx_vnni
               ? 0
               : 1;
}
