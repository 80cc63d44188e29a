#pragma once
// The instruction sets that s3::runtime is built for and this machine supports.

#include <s3/runtime/options.hpp>

#include <vector>

namespace s3::test {

[[nodiscard]] inline std::vector<isa> supported_sets() {
    std::vector<isa> sets;
    for (const isa set : runtime::instruction_sets())
        if (supports(set))
            sets.push_back(set);
    return sets;
}

} // namespace s3::test
