#pragma once
// Reads and writes safetensors files: named tensors of bytes, with metadata as text. This header is
// opt-in: it needs nlohmann-json, whose exceptions it does not use.
//
//   8 bytes  length N of the header, little-endian
//   N bytes  JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …,
//            "__metadata__": {"key": "text", …}}, padded with spaces to a multiple of 8
// the rest the data, to which the offsets refer; tensors fill it without gaps or overlaps
//
// `read` copies nothing: its tensors are views of the caller's bytes. It is safe on hostile input:
// nothing outside the bytes is touched, and allocation is bounded by their number. Errors name a
// field; their index is the number of the tensor when tensors are ordered by name. Values in the
// file are little-endian; `to_bytes`, `from_bytes` and `floats` convert them. Records of packed
// weights (pack/record.hpp) are stored as tensors of type U8.

#include <s3/core/bit_cast.hpp>
#include <s3/core/error.hpp>
#include <s3/core/little_endian.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/core/view.hpp>
#include <s3/io/json_tree.hpp>
#include <s3/io/mapped_file.hpp>
#include <s3/io/stored_floats.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace s3::safetensors {

enum class dtype : unsigned char {
    boolean,
    u8,
    i8,
    u16,
    i16,
    f16,
    bf16,
    u32,
    i32,
    f32,
    u64,
    i64,
    f64
};

struct dtype_info {
    const char* name;
    std::size_t bytes;
};
inline constexpr std::array<dtype_info, 13> dtypes{{{"BOOL", 1},
                                                    {"U8", 1},
                                                    {"I8", 1},
                                                    {"U16", 2},
                                                    {"I16", 2},
                                                    {"F16", 2},
                                                    {"BF16", 2},
                                                    {"U32", 4},
                                                    {"I32", 4},
                                                    {"F32", 4},
                                                    {"U64", 8},
                                                    {"I64", 8},
                                                    {"F64", 8}}};
[[nodiscard]] constexpr const dtype_info& info(dtype type) noexcept {
    return dtypes[static_cast<std::size_t>(type)];
}

struct tensor {
    dtype type = dtype::u8;
    std::vector<std::size_t> shape;
    std::span<const std::byte> data;

    /// The number of elements times their size, or SIZE_MAX if that does not fit.
    [[nodiscard]] std::size_t bytes() const noexcept {
        std::size_t size = info(type).bytes;
        // A zero anywhere makes the product zero, however large the other sizes are.
        if (std::find(shape.begin(), shape.end(), std::size_t{0}) != shape.end())
            return 0;
        for (const std::size_t extent : shape)
            size = saturating_mul(size, extent);
        return size;
    }
};

struct contents {
    std::map<std::string, tensor> tensors;
    std::map<std::string, std::string> metadata;
};

/// The limit of the header's size, which is that of the format's own implementation.
inline constexpr std::size_t max_header_bytes = 100'000'000;

namespace detail {

inline constexpr std::size_t prefix_bytes = 8;
inline constexpr const char* metadata_key = "__metadata__";

[[nodiscard]] inline bool read_sizes(const nlohmann::json& list, std::vector<std::size_t>& sizes) {
    if (!list.is_array())
        return false;
    for (const auto& number : list) {
        if (!number.is_number_unsigned())
            return false;
        const auto value = number.get<std::uint64_t>();
        if (value > std::numeric_limits<std::size_t>::max())
            return false;
        sizes.push_back(static_cast<std::size_t>(value));
    }
    return true;
}

/// Reads one entry of the header. Its offsets must lie within `data`, and fit its shape.
inline result<tensor> read_entry(const nlohmann::json& entry, std::size_t number,
                                 std::span<const std::byte> data) {
    if (!entry.is_object() || entry.size() != 3)
        return error(errc::foreign, "safetensors.tensor").at(number);
    const auto type = entry.find("dtype");
    const auto shape = entry.find("shape");
    const auto offsets = entry.find("data_offsets");
    if (type == entry.end() || !type->is_string())
        return error(errc::foreign, "safetensors.dtype").at(number);
    tensor t;
    const auto& name = type->get_ref<const std::string&>();
    const auto known = std::find_if(dtypes.begin(), dtypes.end(),
                                    [&](const dtype_info& d) { return name == d.name; });
    if (known == dtypes.end())
        return error(errc::unsupported, "safetensors.dtype").at(number);
    t.type = static_cast<dtype>(known - dtypes.begin());
    if (shape == entry.end() || !read_sizes(*shape, t.shape))
        return error(errc::foreign, "safetensors.shape").at(number);
    std::vector<std::size_t> range;
    if (offsets == entry.end() || !read_sizes(*offsets, range) || range.size() != 2 ||
        range[0] > range[1])
        return error(errc::foreign, "safetensors.data_offsets").at(number);
    if (range[1] > data.size())
        return error(errc::truncated, "safetensors.data_offsets")
            .at(number)
            .got(range[1])
            .limit(data.size());
    t.data = data.subspan(range[0], range[1] - range[0]);
    if (t.bytes() != t.data.size())
        return error(errc::shape_mismatch, "safetensors.shape")
            .at(number)
            .got(t.bytes())
            .needs(t.data.size());
    return t;
}

/// Checks that the tensors fill the data exactly: no byte is unused, and none is used twice.
inline status check_cover(const contents& file, std::span<const std::byte> data) {
    struct range {
        std::size_t begin, size, number;
    };
    std::vector<range> ranges;
    for (const auto& [name, t] : file.tensors)
        ranges.push_back(
            {static_cast<std::size_t>(t.data.data() - data.data()), t.data.size(), ranges.size()});
    std::sort(ranges.begin(), ranges.end(), [](const range& a, const range& b) {
        return std::pair(a.begin, a.size) < std::pair(b.begin, b.size);
    });
    std::size_t end = 0;
    for (const range& r : ranges) {
        if (r.begin != end)
            return error(errc::foreign, "safetensors.data_offsets")
                .at(r.number)
                .got(r.begin)
                .needs(end);
        end += r.size;
    }
    if (end != data.size())
        return error(errc::foreign, "safetensors.data").got(data.size()).needs(end);
    return {};
}

/// The unsigned integer that has as many bits as T.
template <class T>
using bits_of = std::conditional_t<
    sizeof(T) == 8, std::uint64_t,
    std::conditional_t<sizeof(T) == 4, std::uint32_t,
                       std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint8_t>>>;

inline result<contents> read(std::span<const std::byte> bytes, std::size_t max_header) {
    if (bytes.size() < prefix_bytes)
        return error(errc::truncated, "safetensors.length").got(bytes.size()).needs(prefix_bytes);
    const auto length = little_endian::load(bytes.data(), prefix_bytes);
    if (length > max_header)
        return error(errc::foreign, "safetensors.length").got(length).limit(max_header);
    const auto rest = bytes.subspan(prefix_bytes);
    if (length > rest.size())
        return error(errc::truncated, "safetensors.header").got(rest.size()).needs(length);
    const auto text = rest.first(static_cast<std::size_t>(length));
    const auto data = rest.subspan(text.size());
    bool twice = false;
    const auto header = s3::detail::parse_json_object(text, twice, 3);
    if (!header)
        return error(errc::foreign, "safetensors.header");
    if (twice)
        return error(errc::foreign, "safetensors.header (a name given twice)");

    contents file;
    for (const auto& [name, entry] : (*header)->items()) {
        if (name != metadata_key) {
            auto t = read_entry(entry, file.tensors.size(), data);
            if (!t)
                return t.error();
            file.tensors.emplace(name, *std::move(t));
            continue;
        }
        if (!entry.is_object())
            return error(errc::foreign, "safetensors.metadata");
        for (const auto& [key, value] : entry.items()) {
            if (!value.is_string())
                return error(errc::foreign, "safetensors.metadata").at(file.metadata.size());
            file.metadata.emplace(key, value.get_ref<const std::string&>());
        }
    }
    if (const status covered = check_cover(file, data); !covered)
        return covered.error();
    return file;
}

inline result<std::vector<std::byte>> write(const contents& file) {
    s3::detail::json_tree header;
    if (!file.metadata.empty()) {
        auto& metadata = (*header)[metadata_key] = nlohmann::json::object();
        for (const auto& [key, value] : file.metadata)
            metadata[key] = value;
    }
    std::size_t end = 0, number = 0;
    for (const auto& [name, t] : file.tensors) {
        if (name == metadata_key)
            return error(errc::bad_option, "safetensors.name").at(number);
        if (t.bytes() != t.data.size())
            return error(errc::shape_mismatch, "safetensors.shape")
                .at(number)
                .got(t.bytes())
                .needs(t.data.size());
        auto& entry = (*header)[name] = nlohmann::json::object();
        entry["dtype"] = info(t.type).name;
        s3::detail::set_list(entry["shape"], t.shape);
        s3::detail::set_list(entry["data_offsets"], std::array{end, end + t.data.size()});
        end += t.data.size();
        ++number;
    }
    auto text = s3::detail::json_text(*header);
    if (!text)
        return error(errc::bad_option, "safetensors.name (not UTF-8)");
    text->resize((text->size() + 7) / 8 * 8, ' ');
    if (text->size() > max_header_bytes)
        return error(errc::bad_option, "safetensors.header")
            .got(text->size())
            .limit(max_header_bytes);

    std::vector<std::byte> bytes(prefix_bytes);
    bytes.reserve(prefix_bytes + text->size() + end);
    little_endian::store(bytes.data(), text->size(), bytes.size());
    for (const char c : *text)
        bytes.push_back(static_cast<std::byte>(c));
    for (const auto& [name, t] : file.tensors)
        bytes.insert(bytes.end(), t.data.begin(), t.data.end());
    return bytes;
}

} // namespace detail

/// The tensors and metadata of a whole file. The tensors are views of `bytes`, which must outlive
/// them. Memory is taken for the header, up to a hundred times its size; `max_header` may lower
/// what is accepted.
inline result<contents> read(std::span<const std::byte> bytes,
                             std::size_t max_header = max_header_bytes) {
    return s3::detail::or_out_of_memory([&] { return detail::read(bytes, max_header); });
}

/// The bytes of a file that `read` turns into `file` again. Errors: a shape that does not fit its
/// data; a name that is reserved or not UTF-8.
inline result<std::vector<std::byte>> write(const contents& file) {
    return s3::detail::or_out_of_memory([&] { return detail::write(file); });
}

/// Values in the form that they have in a file.
template <class T>
requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
    [[nodiscard]] std::vector<std::byte> to_bytes(std::span<const T> values) {
    std::vector<std::byte> bytes(values.size_bytes());
    for (std::size_t i = 0; i < values.size(); ++i)
        little_endian::store(bytes.data() + i * sizeof(T), bit_cast<detail::bits_of<T>>(values[i]),
                             sizeof(T));
    return bytes;
}

/// The values of a tensor. Errors: foreign if its type is not that of T.
template <class T>
requires(std::is_arithmetic_v<T> &&
         !std::is_same_v<T, bool>) result<std::vector<T>> from_bytes(const tensor& t) {
    constexpr dtype wanted = [] {
        constexpr dtype floats[] = {dtype::f32, dtype::f64};
        constexpr dtype integers[][2] = {{dtype::u8, dtype::i8},
                                         {dtype::u16, dtype::i16},
                                         {dtype::u32, dtype::i32},
                                         {dtype::u64, dtype::i64}};
        if constexpr (std::is_floating_point_v<T>)
            return floats[sizeof(T) == 8];
        else
            return integers[std::countr_zero(sizeof(T))][std::is_signed_v<T>];
    }();
    if (t.type != wanted)
        return error(errc::foreign, "safetensors.dtype");
    return s3::detail::or_out_of_memory([&]() -> result<std::vector<T>> {
        std::vector<T> values(t.data.size() / sizeof(T));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = bit_cast<T>(static_cast<detail::bits_of<T>>(
                little_endian::load(t.data.data() + i * sizeof(T), sizeof(T))));
        return values;
    });
}

/// The values of a tensor of F32, F16 or BF16. Errors: foreign if it has another type; no memory.
inline result<std::vector<float>> floats(const tensor& t) {
    using layout::scale_type;
    if (t.type != dtype::f32 && t.type != dtype::f16 && t.type != dtype::bf16)
        return error(errc::foreign, "safetensors.dtype");
    return s3::detail::stored_floats(t.data, t.type == dtype::f32   ? scale_type::binary32
                                             : t.type == dtype::f16 ? scale_type::binary16
                                                                    : scale_type::bfloat16);
}

/// A copy of the bytes of a file on disk. Errors: those of `mapped_file::open`; no memory.
inline result<std::vector<std::byte>> load(const std::string& path) {
    const auto file = mapped_file::open(path);
    if (!file)
        return file.error();
    return s3::detail::or_out_of_memory([&]() -> result<std::vector<std::byte>> {
        return std::vector<std::byte>(file->bytes().begin(), file->bytes().end());
    });
}

namespace detail {

/// The file that a path leads to, by way of symbolic links, whether or not it is there yet. What is
/// there and is no regular file is an error, and so are links in a circle.
inline result<std::string> place_of(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    const fs::file_type type = fs::status(path, ignored).type(); // of what links lead to
    if (type == fs::file_type::none) // a folder that may not be read, or links in a circle
        return error(errc::io, "path (cannot be reached)");
    if (type != fs::file_type::regular && type != fs::file_type::not_found)
        return error(errc::io, "path (not a regular file)");
    fs::path place = path;
    while (fs::is_symlink(fs::symlink_status(place, ignored)))
        place = place.parent_path() / fs::read_symlink(place, ignored);
    return place.string();
}

} // namespace detail

/// Writes a file whole or not at all: under another name beside its place, which no other writer
/// has, and which it is then moved to. A symbolic link stays, and what it leads to is written.
/// Errors: io, also for what is there and is no regular file.
inline status save(const std::string& path, std::span<const std::byte> bytes) {
    return s3::detail::or_out_of_memory([&]() -> status {
        const auto place = detail::place_of(path);
        if (!place)
            return place.error();
        std::string draft = *place + ".part";
        std::FILE* file = std::fopen(draft.c_str(), "wbx");
        for (int i = 2; file == nullptr && errno == EEXIST && i < 100; ++i) {
            draft = *place + ".part" + std::to_string(i);
            file = std::fopen(draft.c_str(), "wbx");
        }
        if (file == nullptr)
            return error(errc::io, "path (cannot be created)");
        const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
        if (std::fclose(file) != 0 || !written || std::rename(draft.c_str(), place->c_str()) != 0) {
            std::remove(draft.c_str());
            return error(errc::io, "path (cannot be written)");
        }
        return {};
    });
}

} // namespace s3::safetensors
