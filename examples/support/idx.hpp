#pragma once
// Files of the data sets that examples use: IDX, MNIST's format, which has sizes in big-endian
// order behind a magic number, then bytes. Everything that can be wrong with a file is thrown as
// std::runtime_error, with the file's name.

#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace support {

[[noreturn]] inline void fail(const std::string& where, const std::string& why) {
    throw std::runtime_error(where + ": " + why);
}

/// The limit of a file's bytes. A compressed one may hold a thousand times as many as its size.
inline constexpr std::size_t max_bytes = std::size_t{1} << (sizeof(std::size_t) == 8 ? 34 : 30);

/// The whole file, of at most `most` bytes; decompressed, and gzip's checksum verified, if it is
/// gzip's.
[[nodiscard]] inline std::vector<std::uint8_t> read_bytes(const std::string& path,
                                                          std::size_t most = max_bytes) {
    struct close {
        void operator()(gzFile file) const { gzclose_r(file); }
    };
    errno = 0;
    const std::unique_ptr<gzFile_s, close> file(gzopen(path.c_str(), "rb"));
    if (!file)
        fail(path, std::string("cannot be opened: ") + std::strerror(errno == 0 ? ENOMEM : errno));
    std::vector<std::uint8_t> bytes;
    std::array<std::uint8_t, 65536> block;
    int got = 0;
    while ((got = gzread(file.get(), block.data(), block.size())) > 0) {
        if (static_cast<std::size_t>(got) > most - bytes.size())
            fail(path, "holds more than " + std::to_string(most) + " bytes");
        bytes.insert(bytes.end(), block.begin(), block.begin() + got);
    }
    int code = Z_OK;
    const char* const why = gzerror(file.get(), &code);
    if (code == Z_BUF_ERROR)
        fail(path, "the file ends early");
    if (got < 0)
        fail(path,
             std::string("cannot be read: ") + (code == Z_ERRNO ? std::strerror(errno) : why));
    return bytes;
}

/// Bytes and the sizes of their dimensions, the outermost first.
struct byte_array {
    std::vector<std::size_t> shape;
    std::vector<std::uint8_t> bytes;
};

/// Whether the bytes of a file begin as those of IDX do.
[[nodiscard]] inline bool is_idx(const std::vector<std::uint8_t>& file) {
    return file.size() >= 8 && file[0] == 0 && file[1] == 0 && file[2] == 8;
}

/// The array in a file's bytes, of `least` to `most` dimensions.
[[nodiscard]] inline byte_array parse_idx(const std::string& path, std::vector<std::uint8_t> file,
                                          std::size_t least, std::size_t most) {
    if (!is_idx(file))
        fail(path, "has not the magic number of IDX files of bytes");
    const std::size_t rank = file[3];
    if (rank < least || rank > most)
        fail(path, "the magic number announces " + std::to_string(rank) +
                       " dimensions; here they have " + std::to_string(least) +
                       (most == least ? "" : " to " + std::to_string(most)));
    if (file.size() < 4 + 4 * rank)
        fail(path, "the file ends early");
    byte_array a;
    std::size_t size = 1;
    for (std::size_t d = 0; d < rank; ++d) {
        std::size_t n = 0;
        for (std::size_t b = 0; b < 4; ++b)
            n = n << 8 | file[4 + 4 * d + b];
        // A file of this many bytes cannot hold more than so many items of at least one.
        if (n > file.size() || (n != 0 && size > file.size() / n))
            fail(path, "the data do not fit the sizes: the file ends early");
        size *= n;
        a.shape.push_back(n);
    }
    if (file.size() - 4 - 4 * rank != size)
        fail(path, "the data do not fit the sizes");
    file.erase(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(4 + 4 * rank));
    a.bytes = std::move(file);
    return a;
}

/// The array in a file.
[[nodiscard]] inline byte_array read_idx(const std::string& path, std::size_t dimensions) {
    return parse_idx(path, read_bytes(path), dimensions, dimensions);
}

} // namespace support
