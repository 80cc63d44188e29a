#pragma once
// Bytes as a file, for readers that take a path.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <unistd.h>

namespace s3::fuzz {

/// The path of a file of these bytes. It is removed when the program ends.
[[nodiscard]] inline const std::string& file_of(const std::uint8_t* data, std::size_t size) {
    static const struct name {
        std::string path =
            (std::filesystem::exists("/dev/shm") ? std::filesystem::path("/dev/shm")
                                                 : std::filesystem::temp_directory_path()) /
            // MNIST's format is known by its name, too.
            ("s3-idx-" + std::to_string(::getpid()));
        ~name() { std::remove(path.c_str()); }
    } file;
    std::FILE* to = std::fopen(file.path.c_str(), "wb");
    if (to == nullptr || std::fwrite(data, 1, size, to) != size || std::fclose(to) != 0)
        std::abort();
    return file.path;
}

} // namespace s3::fuzz
