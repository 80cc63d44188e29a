#pragma once
// A reference to any executor, for functions that are compiled before the host's executor is known.
// It owns nothing and allocates nothing: the executor must outlive the call that it is passed to.

#include <s3/exec/executor.hpp>

#include <memory>
#include <type_traits>

namespace s3 {

class executor_ref {
public:
    /// Refers to an executor that runs all tasks in the calling thread.
    executor_ref() noexcept : executor_ref(of<inline_executor>(nullptr)) {}

    template <class E>
    requires(!std::is_same_v<std::remove_cvref_t<E>, executor_ref> &&
             executor<std::remove_reference_t<E>>) executor_ref(E&& e)
    noexcept : executor_ref(of<std::remove_reference_t<E>>(std::addressof(e))) {}

    [[nodiscard]] std::size_t concurrency() const { return concurrency_(executor_); }

    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        using callable = std::remove_reference_t<Function>;
        const auto call = [](const void* g, std::size_t t, std::size_t worker) {
            (*static_cast<callable*>(const_cast<void*>(g)))(t, worker);
        };
        run_(executor_, tasks, task{std::addressof(f), call});
    }

private:
    /// The function object that the executor calls instead of the function itself.
    struct task {
        const void* function;
        void (*call)(const void*, std::size_t, std::size_t);
        void operator()(std::size_t t, std::size_t worker) const { call(function, t, worker); }
    };

    using concurrency_function = std::size_t(void*);
    using run_function = void(void*, std::size_t, const task&);

    executor_ref(void* e, concurrency_function* c, run_function* r) noexcept
        : executor_(e), concurrency_(c), run_(r) {}

    /// `e` may be null if E's functions are static.
    template <class E>
    static executor_ref of(E* e) noexcept {
        return {
            const_cast<std::remove_const_t<E>*>(e),
            [](void* p) -> std::size_t { return static_cast<E*>(p)->concurrency(); },
            [](void* p, std::size_t tasks, const task& f) { static_cast<E*>(p)->run(tasks, f); }};
    }

    void* executor_;
    concurrency_function* concurrency_;
    run_function* run_;
};

} // namespace s3
