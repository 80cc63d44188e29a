#pragma once
// Times of several contenders, measured side by side: rounds of slices of about 2 ms, one contender
// after the other, with a probe of the core's peak between slices. A call that is not counted comes
// first, so that a slice finds the caches as the contender itself left them. A slice is clean if
// both probes around it saw the whole core and nothing interrupted it. A contender's time is the
// median of its clean slices; so neither a slow clock nor a neighbour favours one side. Where a
// contender has no clean slice, the least processor time of any slice stands in, and the result
// says so.

#include "limits.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <limits>
#include <vector>

namespace s3::bench {

/// Fewer rounds and fewer shapes: S3_BENCHMARK_QUICK is set.
[[nodiscard]] inline bool quick() {
    static const bool set = std::getenv("S3_BENCHMARK_QUICK") != nullptr;
    return set;
}

[[nodiscard]] inline double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}
template <class Function>
[[nodiscard]] double seconds(Function&& f) {
    const double start = now();
    f();
    return now() - start;
}

[[nodiscard]] inline double median(std::vector<double> v) {
    const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
    std::nth_element(v.begin(), middle, v.end());
    return *middle;
}

/// A peak's rate on this core, and whether the core is ours.
class probe {
public:
    explicit probe(const peak& p) : peak_(p) {
        std::vector<double> rates(400);
        for (double& r : rates)
            r = rate();
        std::sort(rates.begin(), rates.end());
        best_ = rates[rates.size() * 9 / 10];
    }
    [[nodiscard]] static const probe& of_bytes() {
        static const probe p(integer_peak());
        return p;
    }
    [[nodiscard]] static const probe& of_floats() {
        static const probe p(float_peak());
        return p;
    }

    /// MAC per second.
    [[nodiscard]] double peak_rate() const { return best_; }
    /// Whether one of a few short loops reached the peak.
    [[nodiscard]] bool clean() const {
        for (int i = 0; i < 3; ++i)
            if (rate() > 0.9 * best_)
                return true;
        return false;
    }

private:
    [[nodiscard]] double rate() const { return peak_.macs / seconds(peak_.run); }

    peak peak_;
    double best_ = 0;
};

/// Wall clock, this thread's processor time, and whether they agree: nothing interrupted it.
struct slice_time {
    double wall;
    double processor;

    [[nodiscard]] bool undisturbed() const { return processor > 0.98 * wall - 5e-6; }

    template <class Function>
    [[nodiscard]] static slice_time of(Function&& f) {
        const double processor = thread_seconds();
        const double wall = bench::seconds(f);
        return {wall, thread_seconds() - processor};
    }

private:
    [[nodiscard]] static double thread_seconds() {
        timespec t{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    }
};

struct timing {
    std::vector<double> seconds; ///< per call of each contender
    bool clean = true;           ///< all from clean slices
};

[[nodiscard]] inline timing compare(const std::vector<std::function<void()>>& contenders) {
    constexpr double slice = 2e-3;
    const std::size_t wanted = quick() ? 5 : 15;
    const double patience = quick() ? 1.0 : 6.0;

    struct lane {
        int calls = 1;
        std::vector<double> good;
        double least = std::numeric_limits<double>::infinity();
    };
    std::vector<lane> lanes(contenders.size());
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        const auto& run = contenders[i];
        run();
        const double each = std::min(seconds(run), seconds(run));
        lanes[i].calls = std::max(1, static_cast<int>(slice / std::max(each, 1e-9)));
    }
    const auto finished = [&](std::size_t count) {
        return std::all_of(lanes.begin(), lanes.end(),
                           [&](const lane& l) { return l.good.size() >= count; });
    };
    const probe& core = probe::of_bytes();
    const double start = now();
    bool before = core.clean();
    for (int round = 0; round < 3 || !finished(wanted); ++round) {
        const double spent = now() - start;
        if (round >= 3 && (spent > 3 * patience || (spent > patience && finished(1))))
            break;
        for (std::size_t i = 0; i < lanes.size(); ++i) {
            lane& l = lanes[i];
            contenders[i]();
            const auto t = slice_time::of([&] {
                for (int c = 0; c < l.calls; ++c)
                    contenders[i]();
            });
            const bool after = core.clean();
            l.least = std::min(l.least, t.processor / l.calls);
            if (before && after && t.undisturbed())
                l.good.push_back(t.wall / l.calls);
            before = after;
        }
    }
    timing t;
    for (lane& l : lanes) {
        t.clean = t.clean && !l.good.empty();
        t.seconds.push_back(l.good.empty() ? l.least : median(std::move(l.good)));
    }
    return t;
}

} // namespace s3::bench
