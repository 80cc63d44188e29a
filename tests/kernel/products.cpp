// Every matrix-product kernel of the registry for one format and some activation types, which the
// build names: integers are exact, floats are exact on small integers and else within K·ε·Σ|w·x|.

#include "../support/foreign.hpp"
#include "../support/matmul.hpp"

using namespace s3;

namespace {

using F = S3_TEST_FORMAT;
using activations = test::type_list<S3_TEST_ACTIVATIONS>;

/// One of our formats and one of a user's own are held to all architectures; the others are, where
/// S3_TEST_FULL makes all of them main.
template <activation X>
constexpr bool everywhere = std::integral<X>&& format_list<shift3, test::foreign_int5>::has<F>;
template <activation X>
using archs = std::conditional_t<everywhere<X>, test::all_archs, test::main_archs>;

} // namespace

TEST_CASE("every kernel equals the scalar reference") {
    permit_tiles(); // those that may not run are left out
    std::uint64_t seed = kernel_choice::hash(F::name);
    activations::each([&]<class X>() { test::matmul_suite<F, X, archs<X>>(++seed).run(); });
}

TEST_CASE("the greatest depth that fits, where integer sums reach both ends of int32") {
    std::uint64_t seed = kernel_choice::hash(F::name);
    activations::each([&]<class X>() {
        if constexpr (std::integral<X>)
            if constexpr (max_depth<F, X>() <= 1 << 20)
                test::run_at_depth<F, X, archs<X>>(++seed);
    });
}
