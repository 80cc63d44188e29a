#pragma once
// What every executor owes: each task once, workers apart, and the bits of the inline executor.

#include <s3/exec/executor.hpp>
#include <s3/exec/executor_ref.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace s3::test {

/// Each task runs once; no two tasks that run at the same time have the same worker.
template <executor E>
void check_tasks(E ex) {
    const std::size_t workers = ex.concurrency();
    REQUIRE(workers >= 1);
    for (std::size_t tasks = 0; tasks <= 3 * workers + 1; ++tasks) {
        std::vector<std::atomic<int>> runs(tasks), busy(workers);
        std::atomic<int> violations{0};
        ex.run(tasks, [&](std::size_t task, std::size_t worker) {
            if (worker >= workers || busy[worker].fetch_add(1) != 0) {
                ++violations;
                return;
            }
            for (int spin = 0; spin < 1000; ++spin) // long enough to overlap
                runs[task].load();
            ++runs[task];
            --busy[worker];
        });
        CAPTURE(tasks);
        CHECK(violations == 0);
        CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& r) { return r == 1; }));
    }
}

/// matmul and conv2d give the same bits as inline, for shift3 with int8 and with float activations.
void check_same_bits(executor_ref ex);

template <executor E>
void check_all(E ex) {
    check_tasks(ex);
    check_same_bits(ex);
}

} // namespace s3::test
