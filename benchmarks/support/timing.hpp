#pragma once
// Times of several contenders, measured side by side: rounds of slices of about 2 ms, one contender
// after the other, with a probe of the core's peak between slices. A slice is clean if both probes
// around it saw the whole core and nothing interrupted it. A contender's time is the median of its
// clean slices; so neither a slow clock nor a neighbour favours one side. Where a contender has no
// clean slice, all count, and the result says so.

#include "limits.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
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

/// The core's peak, in MAC per second, and whether the core is ours.
class probe {
public:
    [[nodiscard]] static double peak_rate() { return once().best_; }

    /// Whether one of a few short loops reached the peak.
    [[nodiscard]] static bool clean() {
        for (int i = 0; i < 3; ++i)
            if (once().rate() > 0.9 * once().best_)
                return true;
        return false;
    }

private:
    [[nodiscard]] static probe& once() {
        static probe p;
        return p;
    }
    probe() {
        std::vector<double> rates(400);
        for (double& r : rates)
            r = rate();
        std::sort(rates.begin(), rates.end());
        best_ = rates[rates.size() * 9 / 10];
    }
    [[nodiscard]] double rate() const { return peak_.macs / seconds(peak_.run); }

    peak peak_ = integer_peak();
    double best_ = 0;
};

/// Wall clock, and whether this thread had the processor all the time.
struct slice_time {
    double seconds;
    bool undisturbed;

    template <class Function>
    [[nodiscard]] static slice_time of(Function&& f) {
        const double processor = thread_seconds();
        const double wall = bench::seconds(f);
        return {wall, thread_seconds() - processor > 0.98 * wall - 5e-6};
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
        bool warm_up = false;
        std::vector<double> all, good;
    };
    std::vector<lane> lanes(contenders.size());
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        const auto& run = contenders[i];
        run();
        const double each = std::min(seconds(run), seconds(run));
        lanes[i].calls = std::max(1, static_cast<int>(slice / std::max(each, 1e-9)));
        lanes[i].warm_up = each < slice / 4;
    }
    const auto finished = [&](std::size_t count) {
        return std::all_of(lanes.begin(), lanes.end(),
                           [&](const lane& l) { return l.good.size() >= count; });
    };
    const double start = now();
    bool before = probe::clean();
    for (int round = 0; round < 3 || !finished(wanted); ++round) {
        const double spent = now() - start;
        if (round >= 3 && (spent > 3 * patience || (spent > patience && finished(1))))
            break;
        for (std::size_t i = 0; i < lanes.size(); ++i) {
            lane& l = lanes[i];
            if (l.warm_up)
                contenders[i]();
            const auto t = slice_time::of([&] {
                for (int c = 0; c < l.calls; ++c)
                    contenders[i]();
            });
            const bool after = probe::clean();
            l.all.push_back(t.seconds / l.calls);
            if (before && after && t.undisturbed)
                l.good.push_back(t.seconds / l.calls);
            before = after;
        }
    }
    timing t;
    for (lane& l : lanes) {
        t.clean = t.clean && !l.good.empty();
        t.seconds.push_back(median(l.good.empty() ? std::move(l.all) : std::move(l.good)));
    }
    return t;
}

} // namespace s3::bench
