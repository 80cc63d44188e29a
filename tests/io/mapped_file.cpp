// A mapped file is its bytes, and what is no file is refused without waiting for it.

#include <s3/io/mapped_file.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#if S3_HAS_MMAP
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace {

void write_file(const std::string& path, const std::string& text) {
    std::FILE* to = std::fopen(path.c_str(), "wb");
    REQUIRE(to != nullptr);
    REQUIRE(std::fwrite(text.data(), 1, text.size(), to) == text.size());
    REQUIRE(std::fclose(to) == 0);
}

} // namespace

TEST_CASE("a mapped file is its bytes, and they stay where they are when it moves") {
    const std::string path = "mapped_file_test.tmp", text = "some bytes";
    write_file(path, text);
    auto file = s3::mapped_file::open(path);
    REQUIRE(file);
    REQUIRE(file->bytes().size() == text.size());
    CHECK(std::memcmp(file->bytes().data(), text.data(), text.size()) == 0);
    const std::byte* const place = file->bytes().data();
    const s3::mapped_file moved = *std::move(file);
    CHECK(moved.bytes().data() == place);
    CHECK(std::memcmp(place, text.data(), text.size()) == 0);

    write_file(path, "");
    const auto empty = s3::mapped_file::open(path);
    REQUIRE(empty);
    CHECK(empty->bytes().empty());
    std::remove(path.c_str());
}

TEST_CASE("what is no regular file is refused") {
    CHECK(s3::mapped_file::open("no/such/file").error().code == s3::errc::io);
#if S3_HAS_MMAP
    CHECK(s3::mapped_file::open(".").error().code == s3::errc::io);

#endif
#if S3_HAS_MMAP && !defined(__wasm__) // which has no pipes
    // A pipe that nobody writes to: opening it for reading would wait for a writer.
    const std::string path = "mapped_file_test.fifo";
    std::remove(path.c_str());
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    ::alarm(10); // ends the test if it waits
    const auto pipe = s3::mapped_file::open(path);
    ::alarm(0);
    std::remove(path.c_str());
    REQUIRE_FALSE(pipe);
    CHECK(pipe.error().message() == "path (not a regular file): input or output failed");
#endif
}
