#pragma once
// An executor on threads of its own.

#include <s3/exec/executor.hpp>

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace s3::test {

/// Tasks in any order on as many threads as are asked for.
struct thread_executor {
    std::size_t workers = 1;
    [[nodiscard]] std::size_t concurrency() const noexcept { return workers; }
    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        std::atomic<std::size_t> next{0};
#if defined(__wasm__) // has no threads: the workers take turns
        for (std::size_t t = next++; t < tasks; t = next++)
            f(t, t % workers);
#else
        std::vector<std::thread> threads;
        for (std::size_t worker = 0; worker < workers; ++worker)
            threads.emplace_back([&, worker] {
                for (std::size_t t = next++; t < tasks; t = next++)
                    f(t, worker);
            });
        for (auto& t : threads)
            t.join();
#endif
    }
};
static_assert(executor<thread_executor>);

} // namespace s3::test
