// A safetensors file that is read can be written, and then holds the same.

#include "memory.hpp"

#include <s3/io/safetensors.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const s3::fuzz::memory_limit memory(size, 100);
    const auto file = s3::safetensors::read(std::as_bytes(std::span(data, size)));
    if (!file)
        return 0;
    const auto bytes = s3::safetensors::write(*file);
    s3::fuzz::require(bytes.has_value(), "what was read can be written");
    const auto again = s3::safetensors::read(*bytes);
    s3::fuzz::require(again && again->metadata == file->metadata &&
                          again->tensors.size() == file->tensors.size(),
                      "what was written reads as before");
    for (const auto& [name, t] : file->tensors) {
        const auto found = again->tensors.find(name);
        s3::fuzz::require(found != again->tensors.end() && found->second.shape == t.shape &&
                              found->second.type == t.type &&
                              std::equal(t.data.begin(), t.data.end(), found->second.data.begin(),
                                         found->second.data.end()),
                          "tensors are written as they were read");
    }
    return 0;
}
