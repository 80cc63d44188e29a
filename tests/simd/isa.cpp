// The table's order is partial: a set is supported where what it includes is, and the best of a
// list is one that no other supported set of the list includes, in whatever order they are listed.

#include <s3/simd/arch.hpp>
#include <s3/simd/isa.hpp>
#include <s3/simd/lanes.hpp>

#include "../support/archs.hpp"

#include <string_view>

#include <doctest/doctest.h>

using namespace s3;

namespace {
constexpr isa every[] = {isa::baseline,
#define S3_SET(name, ...) isa::name,
                         S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET
};
template <isa... Sets>
struct reversed;
template <isa First, isa... Rest>
struct reversed<First, Rest...> {
    template <isa... Done>
    using after = typename reversed<Rest...>::template after<First, Done...>;
};
template <>
struct reversed<> {
    template <isa... Done>
    using after = isa_list<Done...>;
};
} // namespace

TEST_CASE(
    "sets include themselves, the baseline, and what theirs include; rows stand after those") {
    CHECK(includes(isa::avx512_vbmi, isa::sse41));
    CHECK(!includes(isa::avx512_vbmi, isa::avx_vnni));
    CHECK(includes(isa::neon_dot, isa::neon));
    CHECK(!includes(isa::avx2, isa::avx512));
    CHECK(!includes(isa::avx512, isa::neon));
    CHECK(!includes(isa::neon, isa::sse41));
    for (const isa a : every) {
        CHECK(includes(a, a));
        CHECK(includes(a, isa::baseline));
        for (const isa b : every)
            if (a != b && includes(a, b)) {
                CHECK(a > b);
                CHECK(!includes(b, a));
                CHECK((!supports(a) || supports(b)));
            }
    }
}

TEST_CASE("the best of a list is supported and preferred, whatever the order") {
#define S3_SET(name, ...) , isa::name
    const isa best = isa_list<isa::baseline S3_INSTRUCTION_SETS(S3_SET)>::best();
    CHECK(best == reversed<isa::baseline S3_INSTRUCTION_SETS(S3_SET)>::after<>::best());
#undef S3_SET
    CHECK(supports(best));
    for (const isa other : every)
        CHECK((!supports(other) || other == best || !includes(other, best)));
    CHECK(isa_list<isa::baseline>::best() == isa::baseline);
    CHECK(isa_list<isa::baseline, isa::avx2>::named("avx2") == isa::avx2);
    CHECK(!isa_list<isa::baseline, isa::avx2>::named("avx512"));
}

TEST_CASE("every tag that the compiler's flags allow is of a set that this machine supports") {
    const auto check = []<class Tag>(isa set) {
        if constexpr (requires { sizeof(Tag); }) {
            CAPTURE(to_string(set));
            CHECK(supports(set));
        }
    };
#define S3_SET(name, ...) check.template operator()<arch::name>(isa::name);
    S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET
}

TEST_CASE("facts follow from the tag, and no fact from another") {
    static_assert(!simd::has_bytes<arch::scalar> && simd::width32<arch::scalar> == 1);
    test::all_archs::each([]<class Arch>() {
        static_assert(architecture<Arch>);
        static_assert(!simd::fast_permute16<Arch> || simd::has_permute16<Arch>);
        static_assert(!simd::has_quad_dot<Arch> || simd::has_bytes<Arch>);
        static_assert(simd::register_count<Arch> >= 8);
        static_assert(simd::half<Arch>::vector_bytes <= Arch::vector_bytes);
    });
    CHECK(std::string_view(arch::native::name) != "");
}
