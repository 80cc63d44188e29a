#pragma once
// Images and arrays from files, as bytes in NHWC:
//
//   .npy         uint8, [N][H][W][C], [N][H][W], [H][W][C] or [H][W] (NumPy's versions 1 to 3)
//   .png, .jpg   grey or colour, where stb_image was there when this was compiled
//   .pgm, .ppm   binary (P5, P6), 255 levels
//   idx          uint8 images (MNIST's format), plain or gzip
//   .raw         bytes of exactly the images' size
//
// Everything that can be wrong is thrown as std::runtime_error, with the file's name.

#include "../support/idx.hpp"

#include <s3/core/saturating.hpp>

#if __has_include(<stb/stb_image.h>)
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 8192
#include <stb/stb_image.h>
#endif

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace s3_program {

using support::fail, support::max_bytes, support::read_bytes;

struct images {
    std::size_t count = 0, height = 0, width = 0, channels = 0;
    std::vector<std::uint8_t> bytes;

    [[nodiscard]] std::size_t size() const { return height * width * channels; }
    void keep(std::size_t most) {
        count = std::min(count, most);
        bytes.resize(count * size());
    }
};

/// An array of one NumPy type ("|u1", "<i4", …) and its shape.
struct npy_array {
    std::string type;
    std::vector<std::size_t> shape;
    std::vector<std::uint8_t> bytes;
};
/// What stands between `open` and `close` behind a key of a NumPy header, if the key is there. No
/// std::regex: it recurses for every character, and a file may bring millions.
[[nodiscard]] inline std::optional<std::string>
npy_field(const std::string& header, const std::string& key, char open, char close) {
    std::size_t begin = header.find("'" + key + "':");
    if (begin == std::string::npos)
        return {};
    begin = header.find_first_not_of(' ', begin + key.size() + 3);
    if (begin == std::string::npos || header[begin] != open)
        return {};
    const std::size_t end = header.find(close, begin + 1);
    if (end == std::string::npos)
        return {};
    return header.substr(begin + 1, end - begin - 1);
}
[[nodiscard]] inline npy_array read_npy(const std::string& path, std::vector<std::uint8_t> file) {
    if (file.size() < 12 || std::string(file.begin(), file.begin() + 6) != "\x93NUMPY")
        fail(path, "not a NumPy array");
    const std::size_t width = file[6] == 1 ? 2 : 4;
    std::size_t length = 0;
    for (std::size_t i = width; i-- > 0;)
        length = length << 8 | file[8 + i];
    if (length > file.size() - 8 - width)
        fail(path, "the file ends early");
    const auto data = file.begin() + static_cast<std::ptrdiff_t>(8 + width + length);
    const std::string header(file.begin() + static_cast<std::ptrdiff_t>(8 + width), data);
    npy_array a;
    const auto type = npy_field(header, "descr", '\'', '\'');
    if (!type || type->empty() || type->size() > 16)
        fail(path, "has no descr of one number");
    a.type = *type;
    if (header.find("'fortran_order': False") == std::string::npos)
        fail(path, "is in Fortran's order");
    const auto shape = npy_field(header, "shape", '(', ')');
    if (!shape || shape->find_first_not_of("0123456789, ") != std::string::npos)
        fail(path, "has no shape");
    std::size_t count = 1;
    constexpr const char* digits = "0123456789";
    for (std::size_t at = 0; (at = shape->find_first_of(digits, at)) != std::string::npos;) {
        const std::size_t end = std::min(shape->find_first_not_of(digits, at), shape->size());
        if (end - at > 9)
            fail(path, "is too large");
        a.shape.push_back(std::stoul(shape->substr(at, end - at)));
        count = s3::saturating_mul(count, a.shape.back());
        if (count > std::size_t{1} << 40)
            fail(path, "is too large");
        at = end;
    }
    a.bytes.assign(data, file.end());
    const std::size_t each = static_cast<std::size_t>(a.type.back() - '0');
    if (a.bytes.size() != count * each)
        fail(path, "the data do not fit the shape");
    return a;
}
inline void write_npy(const std::string& path, const char* type, const std::string& shape,
                      const void* data, std::size_t size) {
    std::string header = "{'descr': '" + std::string(type) +
                         "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.resize((header.size() + 10 + 1 + 63) / 64 * 64 - 10 - 1, ' ');
    header += '\n';
    std::ofstream file(path, std::ios::binary);
    file << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(header.size() & 255)
         << static_cast<char>(header.size() >> 8) << header;
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    if (!file.flush())
        fail(path, "cannot be written");
}

namespace detail {

[[nodiscard]] inline images from_npy(const std::string& path, std::vector<std::uint8_t> file) {
    auto a = read_npy(path, std::move(file));
    if (a.type != "|u1")
        fail(path, "holds '" + a.type + "', images must be uint8");
    auto& s = a.shape;
    if (s.size() == 2)
        s.push_back(1);
    if (s.size() == 3 && (s[2] == 1 || s[2] == 3))
        s.insert(s.begin(), 1);
    if (s.size() == 3)
        s.push_back(1);
    if (s.size() != 4)
        fail(path, "images have 2 to 4 dimensions");
    return {s[0], s[1], s[2], s[3], std::move(a.bytes)};
}
[[nodiscard]] inline images from_pnm(const std::string& path,
                                     const std::vector<std::uint8_t>& file) {
    std::size_t at = 2;
    const auto number = [&] {
        std::size_t value = 0, digits = 0;
        for (;;) {
            if (at >= file.size())
                fail(path, "the file ends early");
            if (file[at] == '#')
                while (at < file.size() && file[at] != '\n')
                    ++at;
            else if (std::isspace(file[at]) != 0)
                ++at;
            else
                break;
        }
        for (; at < file.size() && std::isdigit(file[at]) != 0 && digits < 6; ++at, ++digits)
            value = value * 10 + static_cast<std::size_t>(file[at] - '0');
        if (digits == 0)
            fail(path, "not a PGM or PPM header");
        return value;
    };
    images i;
    i.count = 1;
    i.channels = file[1] == '6' ? 3 : 1;
    i.width = number();
    i.height = number();
    if (number() != 255)
        fail(path, "only 255 levels are supported");
    ++at;
    if (at > file.size() || file.size() - at < i.size())
        fail(path, "the file ends early");
    const auto first = file.begin() + static_cast<std::ptrdiff_t>(at);
    i.bytes.assign(first, first + static_cast<std::ptrdiff_t>(i.size()));
    return i;
}
[[nodiscard]] inline images from_idx(const std::string& path, std::vector<std::uint8_t> file) {
    auto a = support::parse_idx(path, std::move(file), 3, 4);
    const auto& s = a.shape;
    images i{s[0], s[1], s[2], s.size() == 4 ? s[3] : 1, std::move(a.bytes)};
    if (i.size() == 0 || i.size() > 1u << 30)
        fail(path, "holds images of " + std::to_string(i.size()) + " bytes");
    return i;
}

/// A PNG or JPEG image of grey or colour; an alpha channel is dropped.
[[nodiscard]] inline images from_picture(const std::string& path,
                                         const std::vector<std::uint8_t>& file,
                                         [[maybe_unused]] std::size_t most) {
    if (file.size() > std::size_t{1} << 30)
        fail(path, "is larger than 1 GiB");
#if defined(STBI_VERSION)
    int width = 0, height = 0, channels = 0;
    const int size = static_cast<int>(file.size());
    if (stbi_info_from_memory(file.data(), size, &width, &height, &channels) == 0)
        fail(path, stbi_failure_reason());
    const int wanted = channels < 3 ? 1 : 3;
    if (std::size_t{8} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height) > most)
        fail(path, "is larger than " + std::to_string(most) + " bytes when it is decoded");
    const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
        stbi_load_from_memory(file.data(), size, &width, &height, &channels, wanted),
        stbi_image_free);
    if (!pixels)
        fail(path, stbi_failure_reason());
    images i{1,
             static_cast<std::size_t>(height),
             static_cast<std::size_t>(width),
             static_cast<std::size_t>(wanted),
             {}};
    i.bytes.assign(pixels.get(), pixels.get() + i.size());
    return i;
#else
    fail(path, "this program was built without stb (Debian: libstb-dev)");
#endif
}

} // namespace detail

/// The images of a file that states their shape; none where it does not, as raw bytes do not.
[[nodiscard]] inline std::optional<images> read_shaped_images(const std::string& path,
                                                              std::vector<std::uint8_t>& file,
                                                              std::size_t most = max_bytes) {
    const auto begins = [&](const std::string& with) {
        return file.size() >= std::max<std::size_t>(with.size(), 6) &&
               std::equal(with.begin(), with.end(), file.begin(),
                          [](char c, std::uint8_t b) { return static_cast<std::uint8_t>(c) == b; });
    };
    if (begins("\x93NUMPY"))
        return detail::from_npy(path, std::move(file));
    if (begins("P5") || begins("P6"))
        return detail::from_pnm(path, file);
    if (begins("\x89PNG") || begins("\xff\xd8\xff"))
        return detail::from_picture(path, file, most);
    if (support::is_idx(file) && path.find("idx") != std::string::npos)
        return detail::from_idx(path, std::move(file));
    return {};
}

/// All images of a file, which must have this shape. The file holds at most `most` bytes.
[[nodiscard]] inline images read_images(const std::string& path, std::size_t height,
                                        std::size_t width, std::size_t channels,
                                        std::size_t most = max_bytes) {
    auto file = read_bytes(path, most);
    images i;
    if (auto shaped = read_shaped_images(path, file, most))
        i = *std::move(shaped);
    else {
        i = {0, height, width, channels, std::move(file)};
        if (i.bytes.empty() || i.bytes.size() % i.size() != 0)
            fail(path, "not images of a known kind, nor raw ones of " + std::to_string(i.size()) +
                           " bytes each");
        i.count = i.bytes.size() / i.size();
    }
    // A sequence in an array has no height: [N][L][C] or [L][C].
    if (height == 1 && i.height == width && i.width == channels && i.channels == 1)
        i = {i.count, 1, width, channels, std::move(i.bytes)};
    else if (height == 1 && i.count == 1 && i.width == width && i.channels == channels)
        i = {i.height, 1, width, channels, std::move(i.bytes)};
    if (i.height != height || i.width != width || i.channels != channels)
        fail(path, "the images are " + std::to_string(i.height) + "x" + std::to_string(i.width) +
                       "x" + std::to_string(i.channels) + ", the network takes " +
                       std::to_string(height) + "x" + std::to_string(width) + "x" +
                       std::to_string(channels));
    if (i.count == 0)
        fail(path, "there are no images");
    return i;
}

/// At most `count` samples of a file that states their shape, the number of them first; 0 stands
/// for all. A NumPy array keeps its dimensions, images have [N][H][W][C].
[[nodiscard]] inline support::byte_array read_array(const std::string& path, std::size_t count) {
    auto file = read_bytes(path);
    support::byte_array a;
    if (file.size() > 6 &&
        std::equal(file.begin(), file.begin() + 6, "\x93NUMPY",
                   [](std::uint8_t b, char c) { return b == static_cast<std::uint8_t>(c); })) {
        auto array = read_npy(path, std::move(file));
        if (array.type != "|u1")
            fail(path, "holds '" + array.type + "', samples must be uint8");
        a = {std::move(array.shape), std::move(array.bytes)};
    } else if (auto i = read_shaped_images(path, file)) {
        a = {{i->count, i->height, i->width, i->channels}, std::move(i->bytes)};
    } else {
        fail(path, "not images of a kind that states their shape");
    }
    if (a.shape.empty() || a.bytes.empty())
        fail(path, "there are no samples");
    if (count != 0 && count < a.shape[0]) {
        a.bytes.resize(a.bytes.size() / a.shape[0] * count);
        a.shape[0] = count;
    }
    return a;
}

/// Labels: idx (plain or gzip) or an npy array of uint8, int32 or int64. The file holds at most
/// `most` bytes.
[[nodiscard]] inline std::vector<std::int64_t> read_labels(const std::string& path,
                                                           std::size_t most = max_bytes) {
    auto file = read_bytes(path, most);
    std::vector<std::int64_t> labels;
    if (support::is_idx(file) && file[3] == 1) {
        const auto bytes = support::parse_idx(path, std::move(file), 1, 1).bytes;
        labels.assign(bytes.begin(), bytes.end());
        return labels;
    }
    const auto a = read_npy(path, std::move(file));
    if (a.shape.size() != 1 || (a.type != "|u1" && a.type != "<i4" && a.type != "<i8"))
        fail(path, "labels are one list of uint8, int32 or int64");
    const std::size_t each = static_cast<std::size_t>(a.type.back() - '0');
    for (std::size_t i = 0; i < a.bytes.size(); i += each) {
        std::uint64_t v = 0;
        for (std::size_t b = each; b-- > 0;)
            v = v << 8 | a.bytes[i + b];
        labels.push_back(static_cast<std::int64_t>(v));
    }
    return labels;
}

} // namespace s3_program
