#pragma once
// A bar on the terminal with the time left; nothing where the output is not one. It is drawn ten
// times a second at most, so that what takes microseconds is not slowed down by it.

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

namespace s3_program {

class progress {
public:
    explicit progress(std::string what) : what_(std::move(what)) {}

    void operator()(std::size_t done, std::size_t all) {
        const auto now = clock::now();
        if (isatty(STDERR_FILENO) == 0 || (done != all && now - drawn_ < pause))
            return;
        drawn_ = now;
        constexpr std::size_t width = 30;
        std::string bar;
        for (std::size_t i = 0; i < width; ++i)
            bar += i < done * width / all ? "━" : "┄";
        // Nothing is known of the time left before a part is done, nor of interest in two seconds.
        const double spent = std::chrono::duration<double>(now - start_).count();
        const double left = spent / static_cast<double>(done) * static_cast<double>(all - done);
        char time[32] = "";
        if (done != 0 && spent + left > 2)
            std::snprintf(time, sizeof time, "  %.0f s left", left);
        std::fprintf(stderr, "\r\033[K%s %s %zu/%zu%s%s", what_.c_str(), bar.c_str(), done, all,
                     time, done == all ? "\n" : "");
    }

private:
    using clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds pause{100};
    std::string what_;
    clock::time_point start_ = clock::now();
    clock::time_point drawn_ = clock::now() - pause;
};

} // namespace s3_program
