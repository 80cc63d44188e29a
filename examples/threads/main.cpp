// A product on the host's threads. The library starts none: it hands tasks to an executor, two
// functions that any thread pool has. Results are the same bits for every number of threads.

#include <s3/shift.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

/// The smallest executor: threads for one call. Yours would wake those of a pool.
class threads {
public:
    explicit threads(std::size_t count) : count_(count) {}

    [[nodiscard]] std::size_t concurrency() const { return count_; }

    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        std::atomic<std::size_t> next{0};
        const auto work = [&](std::size_t worker) {
            for (std::size_t t = next++; t < tasks; t = next++)
                f(t, worker); // no two calls at a time have the same `worker`
        };
        std::vector<std::thread> others;
        for (std::size_t w = 1; w < count_; ++w)
            others.emplace_back(work, w);
        work(0);
        for (auto& t : others)
            t.join();
    }

private:
    std::size_t count_;
};

int run() {
    constexpr std::size_t m = 256, k = 512, n = 64;
    std::vector<int> weights(m * k);
    for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = std::array{0, 1, -1, 2, -2, 4, -4}[i * i % 7];
    std::vector<std::uint8_t> x(n * k);
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<std::uint8_t>(i * 29);

    const auto packed = s3::pack<s3::shift3>(weights, m, k);
    if (!packed)
        return 1;
    const auto w = s3::prepare(*packed, {.batch = n}); // shared by all threads, read only
    if (!w)
        return 1;
    std::vector<std::int32_t> alone(n * m);
    if (!s3::matmul(*w, x, alone))
        return 1;
    int wrong = 0;
    for (std::size_t count = 1; count <= 3; ++count) {
        const threads pool(count);
        std::vector<std::byte> scratch(s3::scratch_bytes(*w, n, pool.concurrency()));
        std::vector<std::int32_t> y(n * m);
        const s3::matrix_view<const std::uint8_t> in(x, n, k);
        if (!s3::matmul(*w, in, s3::matrix_view(y, n, m), {}, scratch, pool))
            return 1;
        std::printf("%zu threads: %s\n", count, y == alone ? "the same sums" : "WRONG");
        wrong += y != alone;
    }
    return wrong;
}

} // namespace

int main() {
    return run();
}
