#pragma once
// Reads GGUF files (versions 2 and 3, little-endian), the format of ggml and llama.cpp: metadata,
// and named tensors, whose values io/gguf_weights.hpp reads. What the metadata of language models
// say of their shape: import/decoder_gguf.hpp.
//
//   "GGUF", u32 version, u64 number of tensors, u64 number of metadata entries
//   entries  a string (u64 length, bytes) as the key, u32 type, the value
//   tensors  a string as the name, u32 number n ≤ 4 of extents, n × u64 extents, the fastest first,
//            u32 type, u64 offset of the data
//   padding to a multiple of general.alignment (32), then the data, each tensor so padded
//
// `read` copies nothing: names, values and tensors are views of the caller's bytes. It is safe on
// hostile input: nothing outside the bytes is touched, and allocation is bounded by their number.
// As ggml demands, tensors lie one behind the other in the order of their names in the file.
// Errors name the key or the tensor. Tensors of types that are known but not served here are
// listed; to read their values is an error.

#include <s3/core/error.hpp>
#include <s3/core/little_endian.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/core/saturating.hpp>
#include <s3/io/gguf_value.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace s3::gguf {

struct type_info {
    std::uint32_t number; ///< in the file
    const char* name;
    std::size_t block; ///< weights, of one row
    std::size_t bytes; ///< of a block
};
/// The types of tensors whose sizes are known.
inline constexpr std::array types{
    type_info{0, "F32", 1, 4},         type_info{1, "F16", 1, 2},
    type_info{2, "Q4_0", 32, 18},      type_info{3, "Q4_1", 32, 20},
    type_info{6, "Q5_0", 32, 22},      type_info{7, "Q5_1", 32, 24},
    type_info{8, "Q8_0", 32, 34},      type_info{10, "Q2_K", 256, 84},
    type_info{11, "Q3_K", 256, 110},   type_info{12, "Q4_K", 256, 144},
    type_info{13, "Q5_K", 256, 176},   type_info{14, "Q6_K", 256, 210},
    type_info{16, "IQ2_XXS", 256, 66}, type_info{17, "IQ2_XS", 256, 74},
    type_info{18, "IQ3_XXS", 256, 98}, type_info{19, "IQ1_S", 256, 50},
    type_info{20, "IQ4_NL", 32, 18},   type_info{21, "IQ3_S", 256, 110},
    type_info{22, "IQ2_S", 256, 82},   type_info{23, "IQ4_XS", 256, 136},
    type_info{24, "I8", 1, 1},         type_info{25, "I16", 1, 2},
    type_info{26, "I32", 1, 4},        type_info{27, "I64", 1, 8},
    type_info{28, "F64", 1, 8},        type_info{29, "IQ1_M", 256, 56},
    type_info{30, "BF16", 1, 2},       type_info{34, "TQ1_0", 256, 54},
    type_info{35, "TQ2_0", 256, 66},
};

struct tensor {
    const type_info* type = types.data();
    std::size_t dimensions = 0;
    std::array<std::size_t, 4> extents{1, 1, 1, 1}; ///< the fastest first, as in the file
    std::span<const std::byte> data;

    /// As a matrix: the fastest extent is a row.
    [[nodiscard]] std::size_t columns() const noexcept { return extents[0]; }
    [[nodiscard]] std::size_t rows() const noexcept {
        return saturating_mul(saturating_mul(extents[1], extents[2]), extents[3]);
    }
    /// The slowest extent first, as elsewhere.
    [[nodiscard]] std::vector<std::size_t> shape() const {
        const auto end = extents.begin() + static_cast<std::ptrdiff_t>(dimensions);
        return {std::make_reverse_iterator(end), std::make_reverse_iterator(extents.begin())};
    }
};

struct contents {
    std::uint32_t version = 0;
    std::map<std::string_view, value> metadata;
    std::map<std::string_view, tensor> tensors;
};

/// The limit of what comes before the tensors' data.
inline constexpr std::size_t max_header_bytes = 100'000'000;

namespace detail {

/// Reads a header from its begin to its end. What lies beyond the end is read as 0 and sets
/// `ended`.
class header_reader {
public:
    explicit header_reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    std::span<const std::byte> take(std::uint64_t size) noexcept {
        ended_ |= size > bytes_.size() - at_;
        if (ended_)
            return {};
        const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(size));
        at_ += taken.size();
        return taken;
    }
    std::uint64_t integer(std::size_t size) noexcept {
        const auto taken = take(size);
        return ended_ ? 0 : little_endian::load(taken.data(), size);
    }
    std::string_view text() noexcept { return value::text_of(take(integer(8))); }
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] std::size_t at() const noexcept { return at_; }

private:
    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    bool ended_ = false;
};

/// An error about a key or a tensor, whose name a hostile file may have chosen.
[[nodiscard]] inline described_error refuse(errc code, const char* argument, std::string_view name,
                                            const std::string& what) {
    std::string shown;
    for (const char c : name.substr(0, 64))
        shown += c < ' ' || c > '~' ? '?' : c;
    return {error(code, argument), std::string(argument).append(" ").append(shown) + ": " + what};
}

inline described_result<value> read_value(header_reader& in, std::string_view key,
                                          std::span<const std::byte> all) {
    const auto of = [&](std::uint64_t number) {
        return refuse(errc::unsupported, "gguf.metadata", key,
                      "values of type " + std::to_string(number) + " are not supported");
    };
    value v;
    std::uint64_t type = in.integer(4);
    constexpr auto array = static_cast<std::uint64_t>(value_type::array);
    std::uint64_t count = 1;
    v.is_array = type == array;
    if (v.is_array) {
        type = in.integer(4);
        count = in.integer(8);
    }
    if (type >= value_bytes.size() || type == array)
        return of(type);
    v.type = static_cast<value_type>(type);
    const std::size_t begin = in.at(), size = value_bytes[type];
    if (size == 0)
        for (std::uint64_t i = 0; i < count && !in.ended(); ++i)
            in.text();
    else
        in.take(count > all.size() ? std::numeric_limits<std::uint64_t>::max() : count * size);
    if (!in.ended()) {
        v.count = static_cast<std::size_t>(count);
        v.data = all.subspan(begin, in.at() - begin);
    }
    return v;
}

/// Reads a tensor's shape and type, and where its data begin.
inline described_result<tensor> read_tensor(header_reader& in, std::string_view name,
                                            std::uint64_t& offset) {
    tensor t;
    t.dimensions = static_cast<std::size_t>(in.integer(4));
    if (t.dimensions > t.extents.size())
        return refuse(errc::unsupported, "gguf.tensor", name,
                      std::to_string(t.dimensions) + " extents, the limit is 4");
    for (std::size_t i = 0; i < t.dimensions; ++i) {
        const std::uint64_t extent = in.integer(8);
        if (!in.ended() && (extent == 0 || extent > std::numeric_limits<std::size_t>::max() / 2))
            return refuse(errc::shape_mismatch, "gguf.tensor", name,
                          "an extent of " + std::to_string(extent));
        t.extents[i] = static_cast<std::size_t>(extent);
    }
    const std::uint64_t number = in.integer(4);
    offset = in.integer(8);
    const auto known = std::find_if(types.begin(), types.end(),
                                    [&](const type_info& i) { return i.number == number; });
    if (known == types.end())
        return refuse(errc::unsupported, "gguf.tensor", name,
                      "type " + std::to_string(number) + " is not known");
    t.type = &*known;
    if (!in.ended() && t.columns() % t.type->block != 0)
        return refuse(errc::shape_mismatch, "gguf.tensor", name,
                      "rows of " + std::to_string(t.columns()) + " weights are not whole blocks");
    return t;
}

[[nodiscard]] constexpr std::size_t padded(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t more = saturating_add(size, alignment - 1);
    return more == std::numeric_limits<std::size_t>::max() ? more : more / alignment * alignment;
}

inline described_result<contents> read(std::span<const std::byte> bytes, std::size_t max_header) {
    header_reader in(bytes.first(std::min(bytes.size(), max_header)));
    const auto ended = [&]() -> error {
        if (bytes.size() > max_header)
            return error(errc::bad_option, "gguf.header").got(bytes.size()).limit(max_header);
        return error(errc::truncated, "gguf.header").got(bytes.size());
    };
    const bool magic = value::text_of(in.take(4)) == "GGUF";
    contents file;
    file.version = static_cast<std::uint32_t>(in.integer(4));
    const std::uint64_t tensors = in.integer(8), entries = in.integer(8);
    if (in.ended())
        return ended();
    if (!magic)
        return error(errc::foreign, "gguf.magic");
    if (file.version == 0x02000000 || file.version == 0x03000000)
        return error(errc::unsupported, "gguf.version (the file is big-endian)");
    if (file.version != 2 && file.version != 3)
        return error(errc::unsupported, "gguf.version").got(file.version).limit(3);
    for (std::uint64_t i = 0; i < entries; ++i) {
        const std::string_view key = in.text();
        auto v = read_value(in, key, bytes);
        if (in.ended())
            return ended();
        if (!v)
            return v.error();
        if (!file.metadata.emplace(key, *v).second)
            return refuse(errc::foreign, "gguf.metadata", key, "the key is given twice");
    }
    std::size_t alignment = 32;
    if (const auto given = file.metadata.find("general.alignment"); given != file.metadata.end()) {
        const auto number = given->second.unsigned_integer();
        if (given->second.type != value_type::u32 || !number || *number == 0 ||
            (*number & (*number - 1)) != 0)
            return error(errc::foreign, "gguf.metadata general.alignment (not a power of two)");
        alignment = static_cast<std::size_t>(*number);
    }
    std::vector<std::pair<std::string_view, std::uint64_t>> order;
    for (std::uint64_t i = 0; i < tensors; ++i) {
        const std::string_view name = in.text();
        std::uint64_t offset = 0;
        const auto t = read_tensor(in, name, offset);
        if (in.ended())
            return ended();
        if (!t)
            return t.error();
        if (!file.tensors.emplace(name, *t).second)
            return refuse(errc::foreign, "gguf.tensor", name, "the name is given twice");
        order.emplace_back(name, offset);
    }
    const auto data = bytes.subspan(std::min(padded(in.at(), alignment), bytes.size()));
    std::size_t begin = 0;
    for (const auto& [name, offset] : order) {
        tensor& t = file.tensors.find(name)->second;
        if (offset != begin)
            return refuse(errc::foreign, "gguf.tensor", name,
                          "the data are at " + std::to_string(offset) + " instead of " +
                              std::to_string(begin));
        const std::size_t size =
            saturating_mul(saturating_mul(t.columns() / t.type->block, t.rows()), t.type->bytes);
        if (begin > data.size() || size > data.size() - begin)
            return refuse(errc::truncated, "gguf.tensor", name, "the data end early");
        t.data = data.subspan(begin, size);
        begin = padded(begin + size, alignment);
    }
    return file;
}

} // namespace detail

/// The metadata and tensors of a whole file, which are views of `bytes`. Memory is taken for the
/// header, up to twenty times its size; `max_header` may lower what is accepted.
inline described_result<contents> read(std::span<const std::byte> bytes,
                                       std::size_t max_header = max_header_bytes) {
    return s3::detail::or_out_of_memory([&] { return detail::read(bytes, max_header); });
}

} // namespace s3::gguf
