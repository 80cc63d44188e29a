#pragma once
// The random cases of a differential test: what they are drawn from, which of them run, and what
// became of them.
//
// In the environment:
//   S3_TEST_ROUNDS  how often all shapes are drawn, 4 by default
//   S3_TEST_SEED    is added to what the draws start from; a failure names it, and the case
//   S3_TEST_CASE    the one case that is run
//   S3_TEST_KERNEL  what the names of the kernels that run contain, for example "avx2 shift_add"
//   S3_TEST_CUBE    if set, products have all numbers of rows, depths and batches from 0 to 65
//   S3_TEST_FIGURE  "KEY PART" under which the number of cases and mismatches are printed, for
//                   tests/trust/trust.py

#include "random.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace s3::test {

/// A number of the environment.
[[nodiscard]] inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class cases {
public:
    /// Suites of different seeds draw different cases.
    explicit cases(std::uint64_t seed) noexcept : seed_(seed + setting("S3_TEST_SEED", 0)) {}

    /// Numbers for what all cases share, as the list of shapes.
    [[nodiscard]] random shared() const noexcept { return random(seed_); }
    /// Begins the next case, with numbers of its own. False if that case is not to be run.
    [[nodiscard]] bool next(random& r) noexcept {
        r = random(seed_ + ++number_ * 0x100000001u);
        return one_ == all || number_ == one_;
    }
    [[nodiscard]] bool runs_all() const noexcept { return one_ == all; }

    void count() noexcept { ++count_; }
    void mismatch(const std::string& what) {
        if (mismatches_++ == 0)
            first_ = "S3_TEST_SEED=" + std::to_string(setting("S3_TEST_SEED", 0)) +
                     " S3_TEST_CASE=" + std::to_string(number_) + ": " + what;
    }
    void report() {
        INFO(count_, " cases; first mismatch: ", first_);
        CHECK(mismatches_ == 0);
        if (runs_all())
            CHECK(count_ > 0);
        if (const char* name = std::getenv("S3_TEST_FIGURE"))
            std::printf("figure %s %llu %llu\n", name, static_cast<unsigned long long>(count_),
                        static_cast<unsigned long long>(mismatches_));
        count_ = mismatches_ = 0;
    }

private:
    static constexpr std::uint64_t all = 0;
    std::uint64_t seed_;
    std::uint64_t one_ = setting("S3_TEST_CASE", all);
    std::uint64_t number_ = 0; ///< of the case, from 1
    std::uint64_t count_ = 0;  ///< runs of kernels that were compared
    std::uint64_t mismatches_ = 0;
    std::string first_;
};

} // namespace s3::test
