// Sums looked up by permutation are exactly Σ w·x, for every format of two or three bits and every
// shape, where the machine has such permutations.

#include "check.hpp"

#include <s3/kernel/shift_add_int16_permute.hpp>

using namespace s3;

template <weight_format F, class Arch>
static void one_format() {
    if constexpr (kernel::has_pair<Arch>)
        test::check_shapes<kernel::pair<F, Arch>, F>();
}

TEST_CASE_TEMPLATE("sums looked up by permutation are exact", F, shift2, shift3, dense2, dense3) {
    one_format<F, arch::native>();
}

TEST_CASE_TEMPLATE("more rows than are kept at a time", F, shift2, dense3) {
    if constexpr (kernel::has_pair<arch::native>) {
        using kernel = kernel::pair<F, arch::native>;
        std::mt19937 rng(13);
        test::check<kernel, F>(kernel::row_block + 77, 70, 3, test::data::random, rng);
    }
}
