#include <s3/io/safetensors.hpp>

#include <array>
#include <cstddef>

int main() {
    const std::array<std::byte, 4> no_file{};
    return s3::safetensors::read(no_file).error().code == s3::errc::truncated ? 0 : 1;
}
