// What `write` writes `read` gives back, and whatever else `read` meets, it refuses without harm.

#include <s3/io/safetensors.hpp>
#include <s3/pack/record.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <string>

#if S3_HAS_MMAP && !defined(__wasm__) // where there are pipes and symbolic links
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace {

namespace st = s3::safetensors;

std::vector<std::byte> bytes_of(const std::string& text) {
    const auto view = std::as_bytes(std::span(text));
    return {view.begin(), view.end()};
}

/// A file with this header, whatever it says, and `data` bytes behind it.
std::vector<std::byte> file_of(const std::string& header, std::size_t data = 0) {
    std::vector<std::byte> bytes(8);
    for (std::size_t i = 0; i < 8; ++i)
        bytes[i] = static_cast<std::byte>(std::uint64_t{header.size()} >> (8 * i) & 255);
    const auto text = bytes_of(header);
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.resize(bytes.size() + data, std::byte{7});
    return bytes;
}

/// Numbers in a header that a size of 32 bits cannot hold are refused earlier.
constexpr bool sizes_are_wide = sizeof(std::size_t) == 8;

std::string entry(const std::string& name, const std::string& type, const std::string& shape,
                  const std::string& offsets) {
    return "\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape +
           R"(,"data_offsets":)" + offsets + "}";
}

void refused(const std::string& header, std::size_t data, s3::errc code,
             const std::string& argument) {
    CAPTURE(header);
    const auto bytes = file_of(header, data);
    const auto file = st::read(bytes);
    REQUIRE(!file);
    CHECK(file.error().code == code);
    CHECK(std::string(file.error().argument).find(argument) != std::string::npos);
}

struct sample {
    std::vector<float> floats{1.5f, -0.0f, 3e38f, 1e-42f, -7.0f, 0.25f};
    std::vector<std::int32_t> ints{0, -1, 2147483647};
    std::vector<std::byte> float_bytes = st::to_bytes(std::span<const float>(floats));
    std::vector<std::byte> int_bytes = st::to_bytes(std::span<const std::int32_t>(ints));
    st::contents file;

    sample() {
        file.tensors["weights"] = {st::dtype::f32, {2, 3}, float_bytes};
        file.tensors["bias"] = {st::dtype::i32, {3}, int_bytes};
        file.tensors["nothing"] = {st::dtype::f64, {4, 0}, {}};
        file.tensors["scalar é \"\\"] = {st::dtype::u8, {}, std::span(float_bytes).first(1)};
        file.metadata["s3.version"] = "1";
    }
};

TEST_CASE("safetensors: read is the inverse of write") {
    const sample s;
    const auto bytes = st::write(s.file);
    REQUIRE(bytes);
    const auto file = st::read(*bytes);
    REQUIRE(file);
    CHECK(file->metadata == s.file.metadata);
    REQUIRE(file->tensors.size() == s.file.tensors.size());
    for (const auto& [name, t] : s.file.tensors) {
        REQUIRE(file->tensors.contains(name));
        const auto& got = file->tensors.at(name);
        CHECK(got.type == t.type);
        CHECK(got.shape == t.shape);
        CHECK(std::equal(got.data.begin(), got.data.end(), t.data.begin(), t.data.end()));
    }
    CHECK(*st::from_bytes<float>(file->tensors.at("weights")) == s.floats);
    CHECK(*st::from_bytes<std::int32_t>(file->tensors.at("bias")) == s.ints);
    CHECK(st::from_bytes<std::int32_t>(file->tensors.at("weights")).error().code ==
          s3::errc::foreign);

    const auto again = st::write(*file);
    REQUIRE(again);
    CHECK(*again == *bytes);
}

/// Values and their bytes, in both directions.
template <class T>
void stand_as(const std::vector<T>& values, st::dtype type, const std::vector<int>& bytes) {
    const auto written = st::to_bytes(std::span<const T>(values));
    REQUIRE(written.size() == bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i)
        CHECK(std::to_integer<int>(written[i]) == bytes[i]);
    CHECK(*st::from_bytes<T>(st::tensor{type, {values.size()}, written}) == values);
}

TEST_CASE("safetensors: the least byte comes first, on every machine") {
    stand_as<std::int8_t>({1, -2}, st::dtype::i8, {1, 254});
    stand_as<std::uint16_t>({0x0102}, st::dtype::u16, {2, 1});
    stand_as<std::int32_t>({0x01020304, -2}, st::dtype::i32, {4, 3, 2, 1, 254, 255, 255, 255});
    stand_as<std::int64_t>({-2}, st::dtype::i64, {254, 255, 255, 255, 255, 255, 255, 255});
    stand_as<float>({1.0f, -2.5f}, st::dtype::f32, {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0});
    stand_as<double>({1.0}, st::dtype::f64, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f});
}

TEST_CASE("safetensors: a file without tensors, and one made by hand") {
    const auto empty = st::write({});
    REQUIRE(empty);
    CHECK(st::read(*empty)->tensors.empty());

    const auto bytes = file_of("{" + entry("b", "I16", "[2]", "[0,4]") + "," +
                                   entry("a", "BF16", "[1,1]", "[4,6]") + "}  ",
                               6);
    const auto file = st::read(bytes);
    REQUIRE(file);
    CHECK(*st::from_bytes<std::int16_t>(file->tensors.at("b")) ==
          std::vector<std::int16_t>{0x0707, 0x0707});
    CHECK(file->tensors.at("a").type == st::dtype::bf16);
}

TEST_CASE("safetensors: packed weights survive as a record") {
    const std::vector<int> weights{0, 1, -2, 4, -4, 0, 1, 2, -1};
    const auto packed = s3::pack<s3::shift3>(weights, 3, 3);
    REQUIRE(packed);
    const auto record = s3::serialize(*packed);
    st::contents file;
    file.tensors["w"] = {st::dtype::u8, {record.size()}, record};
    const auto bytes = st::write(file);
    REQUIRE(bytes);
    const auto back = s3::deserialize<s3::shift3>(st::read(*bytes)->tensors.at("w").data);
    REQUIRE(back);
    for (std::size_t i = 0; i < weights.size(); ++i)
        CHECK(back->value(i / 3, i % 3) == weights[i]);
}

TEST_CASE("safetensors: every truncation, and every byte too many, is refused") {
    const sample s;
    const auto bytes = st::write(s.file);
    REQUIRE(bytes);
    for (std::size_t size = 0; size < bytes->size(); ++size) {
        // A copy of exactly this size, so that a sanitizer sees any step beyond it.
        const std::vector<std::byte> part(bytes->begin(),
                                          bytes->begin() + static_cast<std::ptrdiff_t>(size));
        CHECK_FALSE(st::read(part));
    }
    auto longer = *bytes;
    longer.push_back({});
    CHECK_FALSE(st::read(longer));
}

TEST_CASE("safetensors: damaged bytes never do harm") {
    const sample s;
    const auto bytes = st::write(s.file);
    REQUIRE(bytes);
    std::mt19937 random(20240611);
    std::size_t refusals = 0;
    for (int i = 0; i < 20000; ++i) {
        auto damaged = *bytes;
        for (auto n = random() % 3 + 1; n > 0; --n)
            damaged[random() % damaged.size()] = static_cast<std::byte>(random());
        const auto file = st::read(damaged);
        refusals += !file;
        if (file)
            for (const auto& [name, t] : file->tensors)
                CHECK(t.bytes() == t.data.size());
    }
    CHECK(refusals > 1000);
}

TEST_CASE("safetensors: each kind of bad header is named") {
    using s3::errc;
    const auto good = entry("a", "U8", "[4]", "[0,4]");
    REQUIRE(st::read(file_of("{" + good + "}", 4)));

    SUBCASE("not a header") {
        refused("", 0, errc::foreign, "header");
        refused("{", 0, errc::foreign, "header");
        refused("[]", 0, errc::foreign, "header");
        refused(" {}", 0, errc::foreign, "header");
        refused("{} x", 0, errc::foreign, "header");
        refused("{}" + std::string(1, '\0') + "x", 0, errc::foreign, "header");
        refused("{\"\xff\":1}", 0, errc::foreign, "header");
        refused("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", 0,
                errc::foreign, "header");
        refused("{\"a\":" + std::string(100000, '['), 0, errc::foreign, "header");
    }
    SUBCASE("lengths") {
        auto bytes = file_of("{}");
        for (std::size_t i = 0; i < 8; ++i)
            bytes[i] = std::byte{255};
        CHECK(st::read(bytes).error().code == errc::foreign);
        // A header that no reader should be asked to hold is refused whether or not it is there.
        for (const std::size_t length : {st::max_header_bytes, st::max_header_bytes + 1}) {
            bytes = file_of("{}");
            s3::little_endian::store(bytes.data(), length, 8);
            CHECK(st::read(bytes).error().code ==
                  (length == st::max_header_bytes ? errc::truncated : errc::foreign));
        }
        bytes = file_of("{}");
        bytes[0] = std::byte{3};
        CHECK(st::read(bytes).error().code == errc::truncated);
    }
    SUBCASE("a name given twice") {
        refused("{" + good + "," + good + "}", 4, errc::foreign, "twice");
        refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0, errc::foreign, "twice");
        refused(R"({"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 4,
                errc::foreign, "twice");
        // The same key in two places is not twice.
        CHECK(st::read(file_of("{" + good + "," + entry("b", "U8", "[1]", "[4,5]") + "}", 5)));
    }
    SUBCASE("entries") {
        refused(R"({"a":1})", 0, errc::foreign, "tensor");
        refused(R"({"a":{}})", 0, errc::foreign, "tensor");
        refused(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})", 0, errc::foreign,
                "tensor");
        refused(R"({"a":{"dtype":3,"shape":[0],"data_offsets":[0,0]}})", 0, errc::foreign, "dtype");
        refused("{" + entry("a", "U9", "[4]", "[0,4]") + "}", 4, errc::unsupported, "dtype");
        refused("{" + entry("a", "U8", "4", "[0,4]") + "}", 4, errc::foreign, "shape");
        refused("{" + entry("a", "U8", "[-4]", "[0,4]") + "}", 4, errc::foreign, "shape");
        refused("{" + entry("a", "U8", "[4.0]", "[0,4]") + "}", 4, errc::foreign, "shape");
        refused("{" + entry("a", "U8", "[\"4\"]", "[0,4]") + "}", 4, errc::foreign, "shape");
        refused("{" + entry("a", "U8", "[5]", "[0,4]") + "}", 4, errc::shape_mismatch, "shape");
        refused("{" + entry("a", "F32", "[4]", "[0,4]") + "}", 4, errc::shape_mismatch, "shape");
        // 2^32 · 2^32 and 2^62 · 4 are zero in 64 bits.
        if (sizes_are_wide)
            refused("{" + entry("a", "U8", "[4294967296,4294967296]", "[0,0]") + "}", 0,
                    errc::shape_mismatch, "shape");
        if (sizes_are_wide)
            refused("{" + entry("a", "F32", "[4611686018427387904]", "[0,0]") + "}", 0,
                    errc::shape_mismatch, "shape");
        if (sizes_are_wide)
            CHECK(st::read(
                file_of("{" + entry("a", "U8", "[4294967296,4294967296,0]", "[0,0]") + "}")));
        refused("{" + entry("a", "U8", "[18446744073709551616]", "[0,0]") + "}", 0, errc::foreign,
                "shape");
    }
    SUBCASE("offsets") {
        refused("{" + entry("a", "U8", "[4]", "[4,0]") + "}", 4, errc::foreign, "data_offsets");
        refused("{" + entry("a", "U8", "[4]", "[0]") + "}", 4, errc::foreign, "data_offsets");
        refused("{" + entry("a", "U8", "[4]", "[0,4,4]") + "}", 4, errc::foreign, "data_offsets");
        refused("{" + entry("a", "U8", "[4]", "[-4,0]") + "}", 4, errc::foreign, "data_offsets");
        refused("{" + entry("a", "U8", "[4]", "[1,5]") + "}", 4, errc::truncated, "data_offsets");
        if (sizes_are_wide)
            refused("{" + entry("a", "U8", "[1]", "[18446744073709551614,18446744073709551615]") +
                        "}",
                    4, errc::truncated, "data_offsets");
    }
    SUBCASE("gaps and overlaps") {
        refused("{" + entry("a", "U8", "[3]", "[1,4]") + "}", 4, errc::foreign, "data_offsets");
        refused("{" + good + "," + entry("b", "U8", "[2]", "[2,4]") + "}", 4, errc::foreign,
                "data_offsets");
        refused("{" + good + "," + entry("b", "U8", "[4]", "[0,4]") + "}", 4, errc::foreign,
                "data_offsets");
        refused("{" + good + "," + entry("b", "U8", "[1]", "[5,6]") + "}", 6, errc::foreign,
                "data_offsets");
        refused("{" + good + "," + entry("b", "U8", "[0]", "[2,2]") + "}", 4, errc::foreign,
                "data_offsets");
        refused("{" + good + "}", 5, errc::foreign, "data");
    }
    SUBCASE("metadata") {
        refused(R"({"__metadata__":[]})", 0, errc::foreign, "metadata");
        refused(R"({"__metadata__":{"k":1}})", 0, errc::foreign, "metadata");
    }
}

TEST_CASE("safetensors: write refuses what read would not give back") {
    const std::vector<std::byte> data(4);
    st::contents file;
    SUBCASE("a shape that does not fit") {
        file.tensors["a"] = {st::dtype::f32, {2}, data};
        CHECK(st::write(file).error().code == s3::errc::shape_mismatch);
    }
    SUBCASE("the reserved name") {
        file.tensors["__metadata__"] = {st::dtype::f32, {1}, data};
        CHECK(st::write(file).error().code == s3::errc::bad_option);
    }
    SUBCASE("a name or a text that is not UTF-8") {
        file.tensors["a\xff"] = {st::dtype::f32, {1}, data};
        CHECK(st::write(file).error().code == s3::errc::bad_option);
        file.tensors.clear();
        file.metadata["k"] = "\xc3";
        CHECK(st::write(file).error().code == s3::errc::bad_option);
    }
}

TEST_CASE("safetensors: a header is read in a time that is linear in its size") {
    // 4 MB of empty tensors. By a parser that looked at all siblings of each it took 90 s.
    st::contents file;
    for (int i = 0; i < 70'000; ++i)
        file.tensors["t" + std::to_string(i)] = {st::dtype::u8, {0}, {}};
    const auto bytes = st::write(file);
    REQUIRE(bytes);
    REQUIRE(bytes->size() > 3'500'000);
    const auto begin = std::chrono::steady_clock::now();
    const auto back = st::read(*bytes);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    REQUIRE(back);
    CHECK(back->tensors.size() == file.tensors.size());
    CHECK(seconds.count() < 10.0);
}

TEST_CASE("safetensors: load and save") {
    const std::string path = "safetensors_test_file.tmp";
    const auto bytes = bytes_of("some bytes");
    REQUIRE(st::save(path, bytes));
    const auto back = st::load(path);
    REQUIRE(back);
    CHECK(*back == bytes);
    CHECK(std::fopen((path + ".part").c_str(), "rb") == nullptr);

    // What another writer has begun stays as it is.
    const std::string draft = path + ".part";
    std::FILE* const theirs = std::fopen(draft.c_str(), "wb");
    REQUIRE(theirs != nullptr);
    REQUIRE(st::save(path, bytes_of("others")));
    CHECK(std::fputs("theirs", theirs) >= 0);
    std::fclose(theirs);
    CHECK(*st::load(path) == bytes_of("others"));
    CHECK(*st::load(draft) == bytes_of("theirs"));
    std::remove(draft.c_str());
    std::remove(path.c_str());
    if (std::FILE* const device = std::fopen("/dev/zero", "rb")) { // which has no end
        std::fclose(device);
        CHECK(st::load("/dev/zero").error().code == s3::errc::io);
    }

    CHECK(st::load("no/such/file").error().code == s3::errc::io);
    CHECK(st::load(".").error().code == s3::errc::io);
    CHECK(st::save("no/such/folder/file", bytes).error().code == s3::errc::io);
    CHECK(st::save(".", bytes).error().code == s3::errc::io);
}

#if S3_HAS_MMAP && !defined(__wasm__)
TEST_CASE("safetensors: save writes what a symbolic link leads to, and replaces no pipe") {
    const std::string folder = "safetensors_test_folder.tmp";
    const std::string file = folder + "/file", link = folder + "/link", second = folder + "/second";
    const std::string circle = folder + "/circle", pipe = folder + "/pipe";
    const auto clear = [&] {
        for (const auto* name : {&file, &link, &second, &circle, &pipe, &folder})
            std::remove(name->c_str());
    };
    clear();
    REQUIRE(::mkdir(folder.c_str(), 0700) == 0);
    REQUIRE(::symlink("file", link.c_str()) == 0); // as seen from its folder
    REQUIRE(::symlink("link", second.c_str()) == 0);
    struct stat about {};
    const auto is_link = [&](const std::string& name) {
        return ::lstat(name.c_str(), &about) == 0 && S_ISLNK(about.st_mode);
    };
    for (const std::string text : {"a new file", "the same file again"}) {
        REQUIRE(st::save(second, bytes_of(text)));
        CHECK(is_link(link));
        CHECK(is_link(second));
        const auto back = st::load(file);
        REQUIRE(back);
        CHECK(*back == bytes_of(text));
    }

    REQUIRE(::symlink("circle", circle.c_str()) == 0);
    CHECK(st::save(circle, bytes_of("x")).error().code == s3::errc::io);
    CHECK(is_link(circle));

    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    const auto refused = st::save(pipe, bytes_of("x"));
    REQUIRE(!refused);
    CHECK(refused.error().code == s3::errc::io);
    CHECK(std::string(refused.error().argument) == "path (not a regular file)");
    CHECK(::lstat(pipe.c_str(), &about) == 0);
    CHECK(S_ISFIFO(about.st_mode));
    clear();
}
#endif

} // namespace
