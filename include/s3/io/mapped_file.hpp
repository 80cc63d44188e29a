#pragma once
// A whole file as bytes: mapped into memory where the system can do that (POSIX), else read into
// memory. The bytes stay in place when the object is moved. If another process shortens a mapped
// file, its pages vanish, so replace files by renaming, as `safetensors::save` does.

#include <s3/core/error.hpp>

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#define S3_HAS_MMAP 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define S3_HAS_MMAP 0
#endif

namespace s3 {

class mapped_file {
public:
    mapped_file() = default;
    mapped_file(mapped_file&& other) noexcept { swap(other); }
    mapped_file& operator=(mapped_file&& other) noexcept {
        swap(other);
        return *this;
    }
    mapped_file(const mapped_file&) = delete;
    mapped_file& operator=(const mapped_file&) = delete;
    ~mapped_file() {
#if S3_HAS_MMAP
        if (!bytes_.empty())
            munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
#endif
    }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return bytes_;
    }

    /// Errors: io if the file cannot be opened or read, or is not a regular file.
    static result<mapped_file> open(const std::string& path) {
        mapped_file file;
#if S3_HAS_MMAP
        // Opening a pipe without a writer would block otherwise. Regular files ignore O_NONBLOCK.
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (descriptor < 0)
            return error(errc::io, "path (cannot be opened)");
        struct stat about {};
        const bool plain = ::fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode) &&
                           std::in_range<std::size_t>(about.st_size);
        const auto size = plain ? static_cast<std::size_t>(about.st_size) : 0;
        void* memory =
            size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        ::close(descriptor);
        if (!plain || memory == MAP_FAILED)
            return error(errc::io, plain ? "path (cannot be read)" : "path (not a regular file)");
        file.bytes_ = {static_cast<const std::byte*>(memory), size};
#else
        std::FILE* from = std::fopen(path.c_str(), "rb");
        if (from == nullptr)
            return error(errc::io, "path (cannot be opened)");
        std::byte block[4096];
        std::size_t got = 0;
        while ((got = std::fread(block, 1, sizeof block, from)) > 0)
            file.memory_.insert(file.memory_.end(), block, block + got);
        const bool failed = std::ferror(from) != 0;
        std::fclose(from);
        if (failed)
            return error(errc::io, "path (cannot be read)");
        file.bytes_ = file.memory_;
#endif
        return file;
    }

private:
    void swap(mapped_file& other) noexcept {
        std::swap(bytes_, other.bytes_);
#if !S3_HAS_MMAP
        std::swap(memory_, other.memory_);
#endif
    }

    std::span<const std::byte> bytes_;
#if !S3_HAS_MMAP
    std::vector<std::byte> memory_;
#endif
};

} // namespace s3
