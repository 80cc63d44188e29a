// GGUF files and BitNet's tensors give exactly the weights and scales that were written into them,
// by a writer that follows the published layouts, and whatever else they hold is refused by name.

#include "../support/gguf.hpp"

#include <s3/io/bitnet.hpp>
#include <s3/io/gguf_weights.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace {

namespace gguf = s3::gguf;
using s3::test::gguf_writer;

template <class F>
void holds_all(const std::string& type, std::uint32_t number, int least, int most) {
    CAPTURE(type);
    const std::size_t block = type[0] == 'T' ? 256 : 32, rows = 3, columns = 2 * block;
    std::mt19937 random(5);
    std::vector<int> w(rows * columns);
    for (int& v : w)
        v = least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1));
    // Negative, zero, subnormal and the largest.
    const std::vector<std::uint16_t> scales{0x3c00, 0xbc01, 0, 0x0001, 0x7bff, 0x8000};
    gguf_writer to;
    to.tensor("before", 0, {1}, s3::test::byte_list(4));
    to.tensor("w", number, {columns, rows}, s3::test::gguf_blocks(type, w, scales));
    const auto bytes = to.bytes();
    const auto file = gguf::read(bytes);
    REQUIRE(file);
    const auto& t = file->tensors.at("w");
    CHECK(t.type->name == type);
    CHECK(t.shape() == std::vector<std::size_t>{rows, columns});
    const auto packed = gguf::packed<F>(t);
    REQUIRE(packed);
    CHECK(packed->rows() == rows);
    CHECK(packed->columns() == columns);
    CHECK(packed->group() == block);
    CHECK(packed->stored() == s3::scale_type::binary16);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < w.size(); ++i)
        wrong += packed->value(i / columns, i % columns) != w[i];
    CHECK(wrong == 0);
    for (std::size_t b = 0; b < scales.size(); ++b)
        CHECK(s3::to_float16(packed->scale()[b]) == scales[b]);
    CHECK(gguf::packed<s3::shift3>(t).error().code == s3::errc::unsupported);
    CHECK(gguf::floats(t).error().code == s3::errc::unsupported);

    auto bad = scales;
    bad[4] = 0x7c00; // infinity
    gguf_writer other;
    other.tensor("w", number, {columns, rows}, s3::test::gguf_blocks(type, w, bad));
    const auto refused_bytes = other.bytes();
    const auto refused = gguf::packed<F>(gguf::read(refused_bytes)->tensors.at("w"));
    REQUIRE(!refused);
    CHECK(refused.error().code == s3::errc::not_finite);
    CHECK(refused.error().index == 4);
}

TEST_CASE("gguf: quantized tensors keep their integers, scales, rows and columns") {
    holds_all<s3::int4_weights>("Q4_0", 2, -8, 7);
    holds_all<s3::int8_weights>("Q8_0", 8, -128, 127);
    holds_all<s3::ternary>("TQ1_0", 34, -1, 1);
    holds_all<s3::ternary>("TQ2_0", 35, -1, 1);
}

TEST_CASE("gguf: a weight of two is refused, because it is not ternary") {
    std::vector<int> w(256, 1);
    w[77] = 2;
    gguf_writer to;
    to.tensor("w", 35, {256}, s3::test::gguf_blocks("TQ2_0", w, {0x3c00}));
    const auto bytes = to.bytes();
    const auto packed = gguf::packed<s3::ternary>(gguf::read(bytes)->tensors.at("w"));
    REQUIRE(!packed);
    CHECK(packed.error().code == s3::errc::not_in_format);
    CHECK(packed.error().index == 77);
}

TEST_CASE("gguf: metadata and floats of both versions") {
    for (const std::uint32_t version : {2u, 3u}) {
        auto to = s3::test::small_gguf();
        to.version = version;
        to.number("i8", 1, 0xff, 1);
        to.number("f64", 12, 0x4000000000000000, 8);
        const auto bytes = to.bytes();
        const auto file = gguf::read(bytes);
        REQUIRE(file);
        CHECK(file->version == version);
        const auto& m = file->metadata;
        CHECK(m.at("general.architecture").text() == "llama");
        CHECK(m.at("llama.block_count").unsigned_integer() == 2);
        CHECK(m.at("llama.rope.freq_base").real() == 10000);
        CHECK(m.at("f64").real() == 2);
        CHECK(!m.at("i8").unsigned_integer());
        CHECK(!m.at("i8").text());
        CHECK(m.at("tokenizer.ggml.tokens").texts() ==
              std::vector<std::string_view>{"a", "", "bc"});
        CHECK(*gguf::floats(file->tensors.at("f32")) == std::vector<float>{1, -2});
        CHECK(*gguf::floats(file->tensors.at("f16")) == std::vector<float>{1, -0x1p-24f});
        CHECK(file->tensors.at("f16").shape() == std::vector<std::size_t>{2, 1});
        CHECK(file->tensors.at("q8").rows() == 4);
    }
}

void refused(const gguf_writer& file, s3::errc code, const std::string& part) {
    CAPTURE(part);
    const auto bytes = file.bytes();
    const auto read = gguf::read(bytes);
    REQUIRE(!read);
    CHECK(read.error().code == code);
    CHECK(read.error().message().find(part) != std::string::npos);
}

TEST_CASE("gguf: errors name what is wrong") {
    const auto change = [](auto&& f) {
        auto file = s3::test::small_gguf();
        f(file);
        return file;
    };
    using s3::errc;
    refused(change([](auto& f) { f.version = 1; }), errc::unsupported, "gguf.version");
    refused(change([](auto& f) { f.version = 4; }), errc::unsupported, "gguf.version");
    refused(change([](auto& f) { f.version = 0x03000000; }), errc::unsupported, "big-endian");
    refused(change([](auto& f) { f.entries = ~std::uint64_t{0}; }), errc::truncated, "gguf.header");
    refused(change([](auto& f) { f.tensors = 1000; }), errc::truncated, "gguf.header");
    refused(change([](auto& f) { f.number("k\n", 13, 0, 1); }), errc::unsupported, "k?");
    refused(change([](auto& f) { f.words("llama.block_count", "x"); }), errc::foreign, "twice");
    refused(change([](auto& f) { f.number("general.alignment", 4, 24, 4); }), errc::foreign,
            "alignment");
    refused(change([](auto& f) { f.tensor("q4", 0, {1}, s3::test::byte_list(4)); }), errc::foreign,
            "q4: the name is given twice");
    refused(change([](auto& f) { f.tensor("new", 99, {1}, {}); }), errc::unsupported,
            "new: type 99");
    refused(change([](auto& f) { f.tensor("new", 2, {33}, {}); }), errc::shape_mismatch, "new");
    refused(change([](auto& f) { f.tensor("new", 0, {0}, {}); }), errc::shape_mismatch, "new");
    refused(change([](auto& f) {
                f.tensor("new", 0, {1, 1, 1, 1, 1}, {});
            }),
            errc::unsupported, "new: 5 extents");
    refused(change([](auto& f) {
                const auto most = std::uint64_t{1} << 62;
                f.tensor("new", 0, {most, most, most, most}, {});
            }),
            errc::truncated, "new: the data end early");
    refused(change([](auto& f) {
                f.data.resize(f.data.size() + 32); // a gap
                f.tensor("new", 0, {1}, s3::test::byte_list(4));
            }),
            errc::foreign, "new: the data are at");
    const auto bytes = s3::test::small_gguf().bytes();
    CHECK(gguf::read(bytes, 100).error().code == errc::bad_option);

    gguf_writer known; // a type whose values are not read is listed
    known.tensor("k", 14, {256}, s3::test::byte_list(210));
    const auto known_bytes = known.bytes();
    const auto file = gguf::read(known_bytes);
    REQUIRE(file);
    CHECK(gguf::packed<s3::ternary>(file->tensors.at("k")).error().code == errc::unsupported);
}

TEST_CASE("gguf: every truncation, and every change of one byte, is refused or keeps in bounds") {
    auto bytes = s3::test::small_gguf().bytes();
    const auto whole = gguf::read(bytes);
    REQUIRE(whole);
    const auto& last = whole->tensors.at("tq2").data;
    const auto needed = static_cast<std::size_t>(last.data() + last.size() - bytes.data());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        // A copy of exactly this size, so that a sanitizer sees any step beyond it.
        const s3::test::byte_list part(bytes.begin(),
                                       bytes.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(gguf::read(part).has_value() == (size >= needed));
    }
    std::size_t read = 0;
    for (std::byte& byte : bytes) {
        const std::byte before = byte;
        for (unsigned change = 1; change < 256; ++change) {
            byte = before ^ static_cast<std::byte>(change);
            const auto file = gguf::read(bytes);
            if (!file)
                continue;
            ++read;
            for (const auto& [name, t] : file->tensors) {
                REQUIRE(t.data.data() >= bytes.data());
                REQUIRE(t.data.data() + t.data.size() <= bytes.data() + bytes.size());
            }
        }
        byte = before;
    }
    CHECK(read > 0);
}

TEST_CASE("BitNet's config.json states whether scales multiply or divide") {
    using s3::bitnet::scale_use_in, s3::bitnet::scale_use;
    const auto with = [](const std::string& more) {
        return scale_use_in(R"({"quantization_config": {"quant_method": "bitnet")" + more + "}}");
    };
    const auto states = [&](const std::string& more, scale_use use) {
        const auto stated = with(more);
        return stated && *stated == use;
    };
    CHECK(states("", scale_use::divides));
    CHECK(states(R"(, "linear_class": "bitlinear")", scale_use::divides));
    CHECK(states(R"(, "linear_class": "autobitlinear")", scale_use::multiplies));
    CHECK(with(R"(, "linear_class": 3)").error().message().find("linear_class") == 0);
    for (const char* bad : {"", "[]", "{}", R"({"quantization_config": 1})",
                            R"({"quantization_config": {"quant_method": "gptq"}})"})
        CHECK(scale_use_in(bad).error().message().find("quant_method") != std::string::npos);
}

TEST_CASE("BitNet's tensors have four rows to a byte, and a scale that multiplies or divides") {
    const std::size_t part = 3, rows = 4 * part, columns = 5;
    std::vector<int> w(rows * columns);
    s3::test::byte_list bytes(part * columns);
    std::mt19937 random(6);
    for (std::size_t i = 0; i < w.size(); ++i) {
        w[i] = static_cast<int>(random() % 3) - 1;
        const std::size_t row = i / columns;
        bytes[row % part * columns + i % columns] |=
            static_cast<std::byte>((w[i] + 1) << (2 * (row / part)));
    }
    const s3::test::byte_list scale{std::byte{0x20}, std::byte{0xc0}}; // −2.5 as BF16
    s3::safetensors::contents file;
    using s3::safetensors::dtype;
    file.tensors["q.weight"] = {dtype::u8, {part, columns}, bytes};
    const auto missing = s3::bitnet::packed(file, "q.weight", {});
    CHECK(missing.error().message().find("q.weight_scale") != std::string::npos);
    file.tensors["q.weight_scale"] = {dtype::bf16, {1}, scale};
    const auto packed = s3::bitnet::packed(file, "q.weight", s3::bitnet::scale_use::multiplies);
    REQUIRE(packed);
    CHECK(packed->rows() == rows);
    CHECK(packed->real_scale(0) == -2.5f);
    for (std::size_t i = 0; i < w.size(); ++i)
        CHECK(packed->value(i / columns, i % columns) == w[i]);
    const auto divided = s3::bitnet::packed(file, "q.weight", s3::bitnet::scale_use::divides);
    REQUIRE(divided);
    CHECK(divided->real_scale(0) == 1 / -2.5f);
    const s3::test::byte_list endless{std::byte{0x80}, std::byte{0x7f}}; // infinity as BF16
    file.tensors["q.weight_scale"] = {dtype::bf16, {1}, endless};
    for (const auto use : {s3::bitnet::scale_use::multiplies, s3::bitnet::scale_use::divides})
        CHECK(s3::bitnet::packed(file, "q.weight", use).error().code == s3::errc::not_finite);
    file.tensors["q.weight_scale"] = {dtype::bf16, {1}, scale};

    bytes[7] |= std::byte{0x30};
    const auto bad = s3::bitnet::packed(file, "q.weight", s3::bitnet::scale_use::multiplies);
    REQUIRE(!bad);
    CHECK(bad.error().code == s3::errc::not_in_format);
    CHECK(bad.error().message().find("q.weight") == 0);
}

} // namespace
