// oneTBB threads give the bits of one thread, in the default arena and in the host's own.

#include "check.hpp"

#include <s3/exec/tbb.hpp>

static_assert(s3::executor<s3::tbb_executor>);

TEST_CASE("any number of oneTBB threads gives the bits of one") {
    s3::test::check_all(s3::tbb_executor{});
    for (const int threads : {1, 2, 3, 5})
        tbb::task_arena(threads).execute([] { s3::test::check_all(s3::tbb_executor{}); });
}
