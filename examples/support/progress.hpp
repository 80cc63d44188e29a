#pragma once
// Progress on the terminal: a bar for each task that runs, on the last line, with the time left for
// all of them, until all are done; drawn ten times a second at most, so that what takes
// microseconds is not slowed down by it. Where standard error is not a terminal there is no bar.

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace support {

class stopwatch {
public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(clock::now() - start_).count();
    }

private:
    using clock = std::chrono::steady_clock;
    clock::time_point start_ = clock::now();
};

class progress {
public:
    /// Bars for tasks of `all` parts each, which run side by side.
    progress(const std::vector<std::string>& names, double all) {
        for (const auto& name : names)
            tasks_.push_back({name, 0, all});
    }
    /// A bar for one task.
    explicit progress(std::string name) { tasks_.push_back({std::move(name), 0, 1}); }

    /// Of the only task, `done` of `all` parts are done.
    void operator()(std::size_t done, std::size_t all) {
        tasks_[0].all = static_cast<double>(all);
        step(0, static_cast<double>(done));
    }
    /// Of a task, `done` parts are done, the last of them perhaps in part.
    void step(std::size_t task, double done) {
        const std::lock_guard lock(mutex_);
        tasks_[task].done = done;
        if (terminal_ && left() <= 0)
            std::fprintf(stderr, "\r\033[K");
        else if (terminal_ && (!drawn_ || since_drawn_.seconds() > 0.1))
            draw();
    }
    /// Prints a line of the task above the bars: NAME TEXT, and the time left.
    void say(std::size_t task, const std::string& text) {
        const std::lock_guard lock(mutex_);
        if (terminal_)
            std::fprintf(stderr, "\r\033[K");
        std::printf("%s  %s  %s left\n", tasks_[task].name.c_str(), text.c_str(),
                    time_left().c_str());
        std::fflush(stdout);
        if (terminal_ && left() > 0)
            draw();
    }

private:
    struct bar {
        std::string name;
        double done, all;
    };

    void draw() {
        const int width = tasks_.size() == 1 ? 30 : 16;
        std::string line = "\r\033[K";
        for (const auto& t : tasks_) {
            line += t.name + " ";
            for (int k = 0; k < width; ++k)
                line += k < t.done / t.all * width ? "━" : "┄";
            char parts[48];
            const bool whole = std::floor(t.done) == t.done;
            std::snprintf(parts, sizeof parts, " %.*f/%.0f   ", whole ? 0 : 1, t.done, t.all);
            line += parts;
        }
        // Nothing is known of the time left before a part is done, nor of interest in two seconds.
        if (seconds_left() + since_start_.seconds() > 2)
            line += time_left() + " left";
        std::fprintf(stderr, "%s", line.c_str());
        drawn_ = true;
        since_drawn_ = {};
    }
    [[nodiscard]] double done() const {
        double sum = 0;
        for (const auto& t : tasks_)
            sum += t.done;
        return sum;
    }
    [[nodiscard]] double left() const {
        double sum = 0;
        for (const auto& t : tasks_)
            sum += t.all - t.done;
        return sum;
    }
    /// For all tasks, at their pace so far; 0 if it is not known.
    [[nodiscard]] double seconds_left() const {
        return done() > 0 ? since_start_.seconds() / done() * left() : 0;
    }
    [[nodiscard]] std::string time_left() const {
        if (done() <= 0)
            return "?:??";
        const auto seconds = static_cast<long long>(seconds_left() + 0.5);
        char text[32];
        std::snprintf(text, sizeof text, "%lld:%02lld", seconds / 60, seconds % 60);
        return text;
    }

    std::vector<bar> tasks_;
    bool terminal_ = isatty(STDERR_FILENO) != 0;
    bool drawn_ = false;
    std::mutex mutex_;
    stopwatch since_start_;
    stopwatch since_drawn_;
};

} // namespace support
