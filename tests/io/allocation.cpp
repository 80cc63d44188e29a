// Files are read and written by way of containers and JSON trees: whichever allocation fails, the
// call returns an error and keeps nothing, not even an open file.

#include <s3/io/bitnet.hpp>
#include <s3/io/gguf_weights.hpp>
#include <s3/io/model_file.hpp>

#include "../support/allocations.hpp"
#include "../support/gguf.hpp"
#include "../support/models.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

using namespace s3;
using test::fail_each;

TEST_CASE("a tree of JSON takes no memory when it is freed") {
    bool twice = false;
    std::string text(R"({"a": [[1, {"b": ["c", {}, []]}, 2.5], "d"], "e": {"f": null}})");
    const auto bytes = std::as_bytes(std::span(text));
    auto tree = detail::parse_json_object(bytes, twice, 6);
    REQUIRE(tree);
    CHECK((**tree)["a"].size() == 2);
    const long before = test::allocations::others;
    tree.reset();
    CHECK(test::allocations::others == before);
}

#if S3_HAS_EXCEPTIONS
namespace {

/// Files that the process has open.
[[nodiscard]] std::size_t open_files() {
    std::size_t count = 0;
    std::error_code failed; // where there is no such folder, there are 0 before and after
    for (std::filesystem::directory_iterator i("/proc/self/fd", failed), end; !failed && i != end;
         i.increment(failed))
        ++count;
    return count;
}

/// Bytes and a tensor of them, in a file.
struct one_tensor {
    std::vector<std::byte> numbers = safetensors::to_bytes<float>(std::vector<float>{1, -2, 3, 4});
    safetensors::contents file{{{"a name too long to be kept in the string itself",
                                 {safetensors::dtype::f32, {2, 2}, numbers}},
                                {"b", {safetensors::dtype::u8, {}, std::span(numbers).first(1)}}},
                               {{"made by", "a text too long to be kept in the string itself"}}};
};

} // namespace

TEST_CASE("safetensors name the memory that they did not get") {
    const one_tensor o;
    const auto bytes = *safetensors::write(o.file);
    const std::string path = "allocation.safetensors";
    const test::containers_fail while_this_lives;
    fail_each("write", [&] { return safetensors::write(o.file); });
    fail_each("read", [&] { return safetensors::read(bytes); });
    fail_each("from_bytes",
              [&] { return safetensors::from_bytes<float>(o.file.tensors.begin()->second); });
    const std::size_t before = open_files();
    fail_each("save", [&] { return safetensors::save(path, bytes); });
    fail_each("load", [&] { return safetensors::load(path); });
    CHECK(open_files() == before);
    std::remove(path.c_str());
}

TEST_CASE("what is not a file of safetensors is an error without memory, too") {
    const std::string text = R"({"a":{"b":[{},[1,2.5,"c",null,true],-3]},"a":[[[[]]]]})";
    std::vector<std::byte> bytes(8);
    little_endian::store(bytes.data(), text.size(), 8);
    for (const char c : text)
        bytes.push_back(static_cast<std::byte>(c));
    const test::containers_fail while_this_lives;
    for (const std::size_t depth : {2u, 5u, 9u})
        fail_each("parse", [&]() -> result<int> {
            return detail::or_out_of_memory([&]() -> result<int> {
                bool twice = false;
                const auto tree =
                    detail::parse_json_object(std::span(bytes).subspan(8), twice, depth);
                return tree.has_value() == (depth > 2) && twice == (depth > 2)
                           ? result<int>(0)
                           : error(errc::foreign, "tree");
            });
        });
}

TEST_CASE("model files name the memory that they did not get") {
    for (const net::model& m : {test::sample(), test::graph()}) {
        const auto bytes = *model_file::write(m);
        const std::string path = "allocation.model";
        const test::containers_fail while_this_lives;
        fail_each("write", [&] { return model_file::write(m); });
        fail_each("read", [&] { return model_file::read(bytes); });
        fail_each("read, borrowing",
                  [&] { return model_file::read(bytes, stream_memory::borrow); });
        const std::size_t before = open_files();
        fail_each("save", [&] { return model_file::save(m, path); });
        fail_each("load", [&] { return model_file::load(path); });
        CHECK(open_files() == before);
        std::remove(path.c_str());
    }
}

TEST_CASE("GGUF files and BitNet's tensors name the memory that they did not get") {
    const auto bytes = test::small_gguf().bytes();
    const auto file = *gguf::read(bytes);
    const std::vector<std::byte> two_bits(3 * 5), one(4, std::byte{0x3f});
    const safetensors::contents published{{{"q.weight", {safetensors::dtype::u8, {3, 5}, two_bits}},
                                           {"q.weight_scale", {safetensors::dtype::f32, {1}, one}}},
                                          {}};
    const test::containers_fail while_this_lives;
    fail_each("read", [&] { return gguf::read(bytes); });
    fail_each("floats", [&] { return gguf::floats(file.tensors.at("f16")); });
    fail_each("packed, 4 bits", [&] { return gguf::packed<int4_weights>(file.tensors.at("q4")); });
    fail_each("packed, 8 bits", [&] { return gguf::packed<int8_weights>(file.tensors.at("q8")); });
    fail_each("packed, base 3", [&] { return gguf::packed<ternary>(file.tensors.at("tq1")); });
    const std::string config = R"({"model_type": "bitnet", "quantization_config":
        {"quant_method": "bitnet", "linear_class": "autobitlinear"}})";
    REQUIRE(bitnet::scale_use_in(config));
    fail_each("config.json", [&] { return bitnet::scale_use_in(config); });
    fail_each("packed, 2 bits", [&] { return gguf::packed<ternary>(file.tensors.at("tq2")); });
    fail_each("bitnet",
              [&] { return bitnet::packed(published, "q.weight", bitnet::scale_use::multiplies); });
}
#endif
