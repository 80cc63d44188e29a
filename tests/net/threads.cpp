// What threads may share: prepared weights and programs, which no run changes. Outputs have one
// hash for any number of workers, and for many threads that run the same program at once.

#include "../support/threads.hpp"
#include "../support/network.hpp"

#include <s3/ops/matmul.hpp>
#include <s3/runtime/program.hpp>

using namespace s3;

namespace {

using formats = format_list<shift3, int8_weights>;

#if defined(__wasm__) // has no threads
constexpr std::size_t threads = 1;
#else
constexpr std::size_t threads = 8;
#endif

/// Calls f(t) in a thread of its own for each t below `threads`.
template <class Function>
void at_once(const Function& f) {
    test::thread_executor{threads}.run(threads, [&](std::size_t task, std::size_t) { f(task); });
}

/// A program and what it says about a batch of images.
struct subject {
    net::model model;
    runtime::program program;
    std::vector<std::uint8_t> images;
    std::size_t batch;

    explicit subject(test::random& r)
        : model(test::network_maker<formats>(r).make(1 + r.below(7))),
          program(*runtime::prepare(model)), batch(1 + r.below(5)) {
        const auto& in = model.values.front();
        images.resize(batch * in.size());
        for (auto& v : images)
            v = static_cast<std::uint8_t>(r.between(0, in.top()));
    }
    /// The hash of the outputs, from `workers` workers.
    [[nodiscard]] std::uint64_t hash(std::size_t workers) const {
        const auto& out = model.output();
        if (out.element == net::element_type::uint8)
            return hash_of<std::uint8_t>(workers);
        return out.element == net::element_type::int32 ? hash_of<std::int32_t>(workers)
                                                       : hash_of<float>(workers);
    }

private:
    template <class Y>
    [[nodiscard]] std::uint64_t hash_of(std::size_t workers) const {
        const auto& in = model.values.front();
        const image_view<const std::uint8_t> x{images, batch, in.height, in.width, in.channels};
        std::vector<Y> y(batch * model.output().size());
        std::vector<std::byte> arena(program.arena_bytes(batch, workers));
        const status done = program.run(x, std::span(y), arena, test::thread_executor{workers});
        test::digest d;
        d.add(y);
        return done ? d.value() : 0;
    }
};

} // namespace

TEST_CASE("networks have one hash for 1, 2, 3 and 8 workers, and in threads that share a program") {
    test::random r(7);
    for (int network = 0; network < 12; ++network) {
        const subject s(r);
        const std::uint64_t expected = s.hash(1);
        CAPTURE(network);
        CHECK(expected != 0);
        for (const std::size_t workers : {2u, 3u, 8u})
            CHECK(s.hash(workers) == expected);
        std::vector<std::uint64_t> hashes(threads);
        at_once([&](std::size_t t) { hashes[t] = s.hash(1 + t % 3); });
        CHECK(hashes == std::vector<std::uint64_t>(threads, expected));
    }
}

TEST_CASE("threads share prepared matrices") {
    test::random r(8);
    for (const family kernels : {family::dot, family::shift_add}) {
        constexpr std::size_t m = 70, k = 90, n = 13;
        const auto weights = test::random_weights<shift3>(r, m * k);
        const auto w = *prepare<std::uint8_t, family::any>(*pack<shift3>(weights, m, k),
                                                           {.batch = n, .kernels = kernels});
        std::vector<std::uint8_t> x(n * k);
        for (auto& v : x)
            v = static_cast<std::uint8_t>(r());
        std::vector<std::int32_t> expected(n * m);
        REQUIRE(matmul(w, x, expected));
        std::vector<std::vector<std::int32_t>> y(threads, std::vector<std::int32_t>(n * m));
        at_once([&](std::size_t t) {
            const matrix_view<const std::uint8_t> in(x, n, k);
            static_cast<void>(matmul(w, in, matrix_view<std::int32_t>(y[t], n, m), {},
                                     test::thread_executor{1 + t % 3}));
        });
        CHECK(y == std::vector<std::vector<std::int32_t>>(threads, expected));
    }
}
