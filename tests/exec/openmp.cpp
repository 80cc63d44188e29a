// OpenMP threads give the bits of one thread.

#include "check.hpp"

#include <s3/exec/openmp.hpp>

static_assert(s3::executor<s3::openmp_executor>);

TEST_CASE("any number of OpenMP threads gives the bits of one") {
    for (const int threads : {1, 2, 3, 5})
        s3::test::check_all(s3::openmp_executor{threads});
    CHECK(s3::openmp_executor{0}.concurrency() == 1);
}
