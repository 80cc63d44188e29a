#pragma once
// An executor on the oneTBB arena of the caller: s3::matmul(w, x, y, {}, scratch,
// s3::tbb_executor{}). This header is opt-in. A host that wants fewer threads calls from a
// tbb::task_arena of its own.

#include <s3/exec/executor.hpp>

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace s3 {

/// Workers are numbered by their slots in the arena; a running thread has its slot for itself.
struct tbb_executor {
    [[nodiscard]] static std::size_t concurrency() noexcept {
        return static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
    }
    template <class Function>
    static void run(std::size_t tasks, Function&& f) {
        if (tasks <= 1 || concurrency() == 1)
            return inline_executor::run(tasks, f);
        using range = tbb::blocked_range<std::size_t>;
        tbb::parallel_for(
            range(0, tasks),
            [&](const range& r) {
                const int worker = tbb::this_task_arena::current_thread_index();
                for (std::size_t t = r.begin(); t != r.end(); ++t)
                    f(t, static_cast<std::size_t>(worker));
            },
            tbb::simple_partitioner());
    }
};

} // namespace s3
