// Two threads beside one. Where the weights are out of cache, beside a read by two threads.

#include "../support/operations.hpp"

#if defined(_OPENMP)

#include <s3/exec/openmp.hpp>

namespace {

using namespace s3;
using namespace s3::bench;

constexpr int threads = 2;

/// Both threads read pieces of their own.
call threaded_read(std::span<const std::byte> all, std::size_t piece) {
    return [=, next = std::size_t{0}]() mutable {
        const std::size_t pieces = all.size() / piece / threads * threads;
        openmp_executor(threads).run(threads, [&](std::size_t t, std::size_t) {
            stream_read(all.data() + (next + t) % pieces * piece, piece);
        });
        next = (next + threads) % pieces;
    };
}

template <class Two, class One, class... Arguments>
subject scaling(const char* regime, Arguments... arguments) {
    const auto one = std::make_shared<One>(arguments...);
    const auto two = std::make_shared<Two>(arguments..., openmp_executor(threads));
    subject s = Two::as_subject(regime, two);
    s.against("one thread", 1.8, [one] { (*one)(); });
    return s;
}

const int registered = [] {
    using matrix = product<shift3, std::uint8_t, openmp_executor>;
    using filter = convolution<shift3, std::uint8_t, openmp_executor>;
    for (const std::size_t m : {1024u, 4096u})
        add(text("threads/matmul/%zux%zux512", m, m), [=] {
            return scaling<matrix, product<shift3, std::uint8_t>>("two threads, GEMM", m, m, 512,
                                                                  for_columns(512), cache::warm);
        });
    for (const auto& p : {square(64, 64, 56, 3), square(256, 256, 14, 3)})
        add("threads/conv2d/" + conv_text(p), [=] {
            return scaling<filter, convolution<shift3, std::uint8_t>>("two threads, conv2d", p,
                                                                      for_columns(p.pixels()));
        });
    add("threads/matmul/cold/4096x4096x1", [] {
        const auto p = std::make_shared<matrix>(4096, 4096, 1, for_columns(1), cache::cold,
                                                openmp_executor(threads));
        subject s = matrix::as_subject("two threads, N = 1 out of cache", p);
        constexpr std::size_t piece = std::size_t{2} << 20;
        s.rivals.push_back({"streaming read by two threads", 0.9, "GB/s", s.gbytes,
                            threads * piece * 1e-9, threaded_read(p->weights(), piece)});
        return s;
    });
    return 0;
}();

} // namespace

#endif
