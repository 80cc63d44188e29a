#pragma once
// A bar on the terminal; nothing where the output is not one. It is drawn ten times a second at
// most, so that what takes microseconds is not slowed down by it.

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
        std::fprintf(stderr, "\r%s %s %zu/%zu%s", what_.c_str(), bar.c_str(), done, all,
                     done == all ? "\n" : "");
    }

private:
    using clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds pause{100};
    std::string what_;
    clock::time_point drawn_ = clock::now() - pause;
};

} // namespace s3_program
