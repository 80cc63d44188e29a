#pragma once
// A record as version 1 of the layout had it: without the identity of its format.

#include <s3/pack/layout.hpp>

#include <cstddef>
#include <vector>

namespace s3::test {

[[nodiscard]] inline std::vector<std::byte> as_version_1(std::vector<std::byte> record) {
    record[3] = std::byte{1};
    record.erase(record.begin() + 40, record.begin() + 64);
    return record;
}

} // namespace s3::test
