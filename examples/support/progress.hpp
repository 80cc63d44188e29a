#pragma once
// Progress on the terminal for trainings that run side by side: one bar each on the last line, with
// the time left for all, and a line above it for every finished epoch. Where the output is not a
// terminal, only those lines appear.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <string>
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
    progress(std::vector<std::string> names, int epochs)
        : names_(std::move(names)), done_(names_.size(), 0.0), epochs_(epochs) {}

    /// `epochs_done` counts whole epochs and the part of the current one.
    void step(std::size_t training, double epochs_done) {
        const std::lock_guard lock(mutex_);
        done_[training] = epochs_done;
        if (terminal_ && since_drawn_.seconds() > 0.1)
            draw();
    }
    void finish_epoch(std::size_t training, int epoch, const std::string& outcome) {
        const std::lock_guard lock(mutex_);
        done_[training] = epoch;
        std::printf("%s%s  epoch %2d/%d  %s  %s left\n", terminal_ ? "\r\033[K" : "",
                    names_[training].c_str(), epoch, epochs_, outcome.c_str(), time_left().c_str());
        if (terminal_ && *std::min_element(done_.begin(), done_.end()) < epochs_)
            draw();
        std::fflush(stdout);
    }

private:
    void draw() {
        constexpr int width = 16;
        std::printf("\r\033[K");
        for (std::size_t i = 0; i < names_.size(); ++i) {
            const int filled = static_cast<int>(done_[i] / epochs_ * width);
            std::string bar;
            for (int k = 0; k < width; ++k)
                bar += k < filled ? "━" : "┄";
            std::printf("%s %s %4.1f/%d   ", names_[i].c_str(), bar.c_str(), done_[i], epochs_);
        }
        std::printf("%s left", time_left().c_str());
        std::fflush(stdout);
        since_drawn_ = {};
    }
    /// For all trainings, at their pace so far.
    [[nodiscard]] std::string time_left() const {
        const double done = std::accumulate(done_.begin(), done_.end(), 0.0);
        if (done <= 0)
            return "?:??";
        const double all = static_cast<double>(done_.size()) * epochs_;
        const double left = since_start_.seconds() / done * (all - done);
        const int whole = static_cast<int>(left + 0.5);
        char text[32];
        std::snprintf(text, sizeof text, "%d:%02d", whole / 60, whole % 60);
        return text;
    }

    std::vector<std::string> names_;
    std::vector<double> done_;
    int epochs_;
    bool terminal_ = isatty(STDOUT_FILENO) != 0;
    std::mutex mutex_;
    stopwatch since_start_;
    stopwatch since_drawn_;
};

} // namespace support
