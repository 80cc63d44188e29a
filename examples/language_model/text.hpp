#pragma once
// The text: a file whose last twentieth is held out. Errors are thrown as std::runtime_error.

#include "results.hpp"

#include <s3/io/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lm {

struct text {
    std::vector<std::byte> bytes;

    [[nodiscard]] std::span<const std::byte> training() const {
        return std::span(bytes).first(bytes.size() - bytes.size() / 20);
    }
    [[nodiscard]] std::span<const std::byte> held_out() const {
        return std::span(bytes).last(bytes.size() / 20);
    }
};

[[nodiscard]] inline text read_text(const std::string& path) {
    return {support::checked(s3::safetensors::load(path), path)};
}

} // namespace lm
