#pragma once
// How a host lends its threads. An executor's run(tasks, f) makes `tasks` independent calls f(task,
// worker) and returns when all are done. `worker` is less than concurrency(), which is at least 1
// and does not change while a function of the library runs, and no two calls that run at the same
// time have the same one, so each worker may own a part of the scratch memory. The library never
// starts a thread itself.

#include <concepts>
#include <cstddef>

namespace s3 {

template <class E>
concept executor = requires(E& e, std::size_t tasks, void (*f)(std::size_t, std::size_t)) {
    { e.concurrency() } -> std::convertible_to<std::size_t>;
    e.run(tasks, f);
};

/// An executor that runs all tasks in the calling thread.
struct inline_executor {
    [[nodiscard]] static constexpr std::size_t concurrency() noexcept { return 1; }
    template <class Function>
    static void run(std::size_t tasks, Function&& f) {
        for (std::size_t t = 0; t < tasks; ++t)
            f(t, std::size_t{0});
    }
};

namespace detail {
/// Where task t begins, if `tasks` share `units` of work about evenly; at t = `tasks`, the end.
[[nodiscard]] constexpr std::size_t piece_begin(std::size_t units, std::size_t tasks,
                                                std::size_t t) noexcept {
    return units / tasks * t + (t < units % tasks ? t : units % tasks); // units · t may overflow
}
} // namespace detail

} // namespace s3
