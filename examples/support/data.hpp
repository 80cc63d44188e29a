#pragma once
// The Fashion-MNIST images and labels, read from the data set's own files: IDX, compressed with
// gzip.
//
//   images  uint8 [count][1][28][28], 0 = background
//   labels  int64 [count], 0 … 9
//
// Everything that can be wrong with a file is thrown as std::runtime_error, with the file's name.

#include "architecture.hpp"

#include <torch/torch.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

namespace fashion {

inline constexpr const char* debian_folder = "/usr/share/datasets/fashion-mnist";

template <class T>
[[nodiscard]] std::span<const T> span_of(const torch::Tensor& t) {
    return {t.data_ptr<T>(), static_cast<std::size_t>(t.numel())};
}

struct labelled_images {
    torch::Tensor images;
    torch::Tensor labels;

    [[nodiscard]] std::int64_t size() const { return labels.size(0); }
    /// The first `count` of them.
    [[nodiscard]] labelled_images first(std::int64_t count) const {
        count = std::min(count, size());
        return {images.slice(0, 0, count), labels.slice(0, 0, count)};
    }
};

struct dataset {
    labelled_images train;
    labelled_images test;
};

/// One IDX file: a big-endian header (magic, sizes), then bytes. gzip's own checksum is verified.
class idx_file {
public:
    explicit idx_file(const std::filesystem::path& path) : path_(path) {
        errno = 0;
        file_.reset(gzopen(path.c_str(), "rb"));
        if (!file_)
            fail(std::strerror(errno == 0 ? ENOMEM : errno));
    }
    [[nodiscard]] std::int64_t read_size() {
        std::array<unsigned char, 4> bytes{};
        read(bytes.data(), bytes.size());
        return std::int64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    }
    void expect(std::int64_t wanted, const char* what) {
        if (const auto got = read_size(); got != wanted)
            fail(std::string(what) + " is " + std::to_string(got) + ", expected " +
                 std::to_string(wanted));
    }
    /// The number of items that the header announces.
    [[nodiscard]] std::int64_t read_count() {
        const auto count = read_size();
        if (count < 1 || count > 1'000'000)
            fail("unlikely number of items: " + std::to_string(count));
        return count;
    }
    void read(void* to, std::size_t size) {
        const int got = gzread(file_.get(), to, static_cast<unsigned>(size));
        if (got < 0 || static_cast<std::size_t>(got) != size) {
            int code = Z_OK;
            const char* why = gzerror(file_.get(), &code);
            fail(code == Z_OK || code == Z_BUF_ERROR ? "the file ends early" : why);
        }
    }
    [[noreturn]] void fail(const std::string& why) const {
        throw std::runtime_error(path_.string() + ": " + why);
    }

private:
    struct close {
        void operator()(gzFile file) const { gzclose_r(file); }
    };
    std::filesystem::path path_;
    std::unique_ptr<gzFile_s, close> file_;
};

inline labelled_images read_part(const std::filesystem::path& folder, const std::string& part) {
    constexpr auto size = static_cast<std::int64_t>(image_size);
    idx_file images(folder / (part + "-images-idx3-ubyte.gz"));
    images.expect(0x803, "the magic number of an image file");
    const auto count = images.read_count();
    images.expect(size, "the height");
    images.expect(size, "the width");
    labelled_images data;
    data.images = torch::empty({count, 1, size, size}, torch::kUInt8);
    images.read(data.images.data_ptr(), data.images.nbytes());

    idx_file labels(folder / (part + "-labels-idx1-ubyte.gz"));
    labels.expect(0x801, "the magic number of a label file");
    labels.expect(count, "the number of labels");
    auto bytes = torch::empty({count}, torch::kUInt8);
    labels.read(bytes.data_ptr(), bytes.nbytes());
    if (const auto largest = bytes.max().item<int>(); largest >= static_cast<int>(classes))
        labels.fail("a label is " + std::to_string(largest) + ", the largest should be 9");
    data.labels = bytes.to(torch::kInt64);
    return data;
}

inline dataset read_dataset(const std::filesystem::path& folder) {
    if (!std::filesystem::is_directory(folder))
        throw std::runtime_error("no data set in " + folder.string() +
                                 ": install Debian's package dataset-fashion-mnist, or name a "
                                 "folder that holds its four .gz files with --data");
    return {read_part(folder, "train"), read_part(folder, "t10k")};
}

} // namespace fashion
