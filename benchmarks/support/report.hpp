#pragma once
// From measurements to rows: one per kernel and rival. A row goes to Google Benchmark's console as
// counters, and to the file named by S3_BENCHMARK_REPORT as one line of JSON.

#include "memory.hpp"
#include "timing.hpp"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

namespace s3::bench {

/// What a kernel is measured against. Work is in units of 10^9 per call: MACs, or bytes.
struct rival {
    std::string name;
    double target; ///< the ratio wanted
    const char* unit;
    double own_work;           ///< of one call of the kernel
    double work;               ///< of one call of the rival
    std::function<void()> run; ///< empty: `work` is the rate to reach, not a measured one
};

/// One kernel on one shape.
struct subject {
    std::string regime;
    std::string shape;
    std::string kernel; ///< family, format and activation type
    double gmacs;       ///< 10^9 MACs of one call
    double gbytes;      ///< 10^9 bytes of packed weights of one call
    std::function<void()> run;
    bool integer = true; ///< which peak bounds it
    int weight_bits = 8;
    std::vector<rival> rivals = {};

    /// Adds a rival that computes the same, compared in GMAC/s. Nothing to run: left out.
    subject& against(std::string name, double target, std::function<void()> f) {
        if (f)
            rivals.push_back({std::move(name), target, "GMAC/s", gmacs, gmacs, std::move(f)});
        return *this;
    }
    /// Adds the peak as a rival.
    subject& against(const peak& p, double target) {
        constexpr int calls = 20; // a slice, not a glimpse
        rivals.push_back({p.name, target, "GMAC/s", gmacs, calls * p.macs * 1e-9, [p] {
                              for (int i = 0; i < calls; ++i)
                                  p.run();
                          }});
        return *this;
    }
    /// Adds a fixed rate, in bytes of packed weights.
    subject& against_rate(std::string name, double gbytes_per_second) {
        rivals.push_back({std::move(name), 1, "GB/s", gbytes, gbytes_per_second, {}});
        return *this;
    }
    /// Adds the sequential read of `memory` as a rival, compared in bytes of packed weights.
    subject& against_stream(std::span<const std::byte> memory, double target) {
        constexpr std::size_t piece = std::size_t{4} << 20;
        auto read = [memory, next = memory.size() / 2 / piece]() mutable {
            next = (next + 1) % (memory.size() / piece);
            stream_read(memory.data() + next * piece, piece);
        };
        rivals.push_back({"streaming read", target, "GB/s", gbytes, piece * 1e-9, std::move(read)});
        return *this;
    }
};

/// printf into a string.
template <class... Arguments>
[[nodiscard]] std::string text(const char* format, const Arguments&... arguments) {
    char line[256];
    std::snprintf(line, sizeof line, format, arguments...);
    return line;
}

[[nodiscard]] inline std::string product_shape(std::size_t m, std::size_t k, std::size_t n) {
    return text("M=%zu K=%zu N=%zu", m, k, n);
}

[[nodiscard]] inline std::string compiler() {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return text("g++ %d.%d", __GNUC__, __GNUC_MINOR__);
#else
    return "unknown compiler";
#endif
}

/// Appends a line to the report, if one is wanted. No string in it needs escaping.
inline void write_line(const std::string& line) {
    static std::FILE* const file = [] {
        const char* path = std::getenv("S3_BENCHMARK_REPORT");
        return path == nullptr ? nullptr : std::fopen(path, "a");
    }();
    if (file != nullptr) {
        std::fprintf(file, "%s\n", line.c_str());
        std::fflush(file);
    }
}

/// The limits of this build on this machine.
inline void write_machine() {
    const memory all(std::size_t{256} << 20);
    const auto read = [&] { stream_read(all.span().data(), all.span().size()); };
    double best = seconds(read);
    for (int i = 0; i < 9; ++i)
        best = std::min(best, seconds(read));
    write_line(text("{\"machine\": \"%s\", \"compiler\": \"%s\", \"arch\": \"%s\", "
                    "\"integer_peak_name\": \"%s\", \"integer_peak\": %.1f, ",
                    arch::native::name, compiler().c_str(), S3_BENCHMARK_ARCH, integer_peak().name,
                    probe::of_bytes().peak_rate() * 1e-9) +
               text("\"tile_peak_name\": \"%s\", \"tile_peak\": %.1f, ", tile_peak().name,
                    tile_peak().run == nullptr ? 0 : probe(tile_peak()).peak_rate() * 1e-9) +
               text("\"float_peak_name\": \"%s\", \"float_peak\": %.1f, \"stream\": %.2f}",
                    float_peak().name, probe::of_floats().peak_rate() * 1e-9,
                    static_cast<double>(all.span().size()) / best * 1e-9));
}

inline void write_row(const subject& s, const rival& r, const timing& t, double value,
                      double baseline, double ratio) {
    write_line(text("{\"regime\": \"%s, vs %s\", \"shape\": \"%s\", ", s.regime.c_str(),
                    r.name.c_str(), s.shape.c_str()) +
               text("\"kernel\": \"%s (%s)\", \"isa\": \"%s\", ", s.kernel.c_str(),
                    compiler().c_str(), arch::native::name) +
               text("\"value\": %.4g, \"baseline\": %.4g, \"unit\": \"%s\", \"ratio\": %.4f, "
                    "\"target\": %g, \"met\": %s, ",
                    value, baseline, r.unit, ratio, r.target,
                    ratio >= r.target ? "true" : "false") +
               text("\"clean\": %s, \"gmacs\": %.6g, \"gbytes\": %.6g, \"weight_bits\": %d, "
                    "\"seconds\": %.6g}",
                    t.clean ? "true" : "false", s.gmacs, s.gbytes, s.weight_bits, t.seconds[0]));
}

/// Measures a kernel beside its rivals and reports a row for each.
inline void measure(benchmark::State& state, const subject& s) {
    [[maybe_unused]] static const bool introduced = (write_machine(), true);
    std::vector<std::function<void()>> contenders{s.run};
    for (const rival& r : s.rivals)
        if (r.run)
            contenders.push_back(r.run);
    timing t;
    for (auto _ : state) {
        t = compare(contenders);
        state.SetIterationTime(t.seconds[0]);
    }
    const double gmacs = s.gmacs / t.seconds[0];
    state.counters["GMAC/s"] = gmacs;
    state.counters["GB/s"] = s.gbytes / t.seconds[0];
    const probe& limit = s.integer ? probe::of_bytes() : probe::of_floats();
    state.counters["of peak"] = gmacs / (limit.peak_rate() * 1e-9);
    std::string label = s.kernel;
    std::size_t measured = 1;
    for (const rival& r : s.rivals) {
        const double value = r.own_work / t.seconds[0];
        const double baseline = r.run ? r.work / t.seconds[measured++] : r.work;
        const double ratio = value / baseline;
        write_row(s, r, t, value, baseline, ratio);
        label += text("; %.2f of %s %s %g", ratio, r.name.c_str(), ratio >= r.target ? ">=" : "<",
                      r.target);
    }
    state.SetLabel(label + (t.clean ? "" : " (noisy)"));
}

/// Registers a benchmark; `make` builds its subject when it is run.
inline void add(const std::string& name, std::function<subject()> make) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [make = std::move(make)](benchmark::State& state) {
                                     const subject s = make();
                                     measure(state, s);
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMicrosecond);
}

} // namespace s3::bench
