// The inline executor, and that any executor gives the same bits however it orders its tasks.

#include "check.hpp"

namespace {

/// Claims several workers and runs the tasks last to first.
struct backward_executor {
    std::size_t workers;
    [[nodiscard]] std::size_t concurrency() const { return workers; }
    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        for (std::size_t t = tasks; t-- > 0;)
            f(t, t % workers);
    }
};

static_assert(s3::executor<s3::inline_executor> && s3::executor<backward_executor>);

} // namespace

TEST_CASE("the inline executor runs each task once") {
    s3::test::check_tasks(s3::inline_executor{});
}

TEST_CASE("results do not depend on the order of tasks or the number of workers") {
    for (const std::size_t workers : {1u, 2u, 3u, 8u})
        s3::test::check_all(backward_executor{workers});
}
