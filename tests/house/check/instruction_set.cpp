// SSE4.2 is found by its name, comes between SSE4.1 and AVX2, and multiplies right. Compiled with
// its flags; exit status 2 where this processor does not have it.

#include "product.hpp"

#include <s3/simd/isa.hpp>

static_assert(std::is_same_v<s3::arch::native, s3::arch::sse42>);

int main() {
    using sets = s3::isa_list<s3::isa::baseline, s3::isa::sse41, s3::isa::sse42>;
    static_assert(s3::isa::sse42 < s3::isa::avx2);
    if (!s3::supports(s3::isa::sse42))
        return sets::best() == s3::isa::sse42 ? 1 : 2;
    const bool right = s3::test::multiplies<s3::shift3>(
        [](const auto& packed) { return s3::prepare<std::uint8_t>(packed); });
    return right && sets::best() == s3::isa::sse42 && sets::named("sse42") == s3::isa::sse42 ? 0
                                                                                             : 1;
}
