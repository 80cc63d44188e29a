#pragma once
// An executor on OpenMP threads: s3::matmul(w, x, y, {}, scratch, s3::openmp_executor{4}). This
// header is opt-in: a host that includes it compiles with OpenMP (-fopenmp) and owns the threads.

#include <s3/exec/executor.hpp>

#if !defined(_OPENMP)
#error "s3/exec/openmp.hpp: compile with OpenMP (-fopenmp)"
#endif

#include <algorithm>
#include <omp.h>

namespace s3 {

class openmp_executor {
public:
    /// Uses `threads` threads; by default as many as OpenMP would give a parallel region at this
    /// place (OMP_NUM_THREADS).
    explicit openmp_executor(int threads = omp_get_max_threads()) noexcept
        : threads_(std::max(threads, 1)) {}

    [[nodiscard]] std::size_t concurrency() const noexcept {
        return static_cast<std::size_t>(threads_);
    }
    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
#pragma omp parallel num_threads(threads_) if (tasks > 1)
        {
            const auto worker = static_cast<std::size_t>(omp_get_thread_num());
#pragma omp for schedule(dynamic, 1)
            for (std::size_t t = 0; t < tasks; ++t)
                f(t, worker);
        }
    }

private:
    int threads_;
};

} // namespace s3
