// Networks, descriptions and exported texts are made of containers: whichever allocation fails, the
// call returns an error and keeps nothing.

#include <s3/export/cpp_header.hpp>
#include <s3/import/decoder_gguf.hpp>
#include <s3/import/network.hpp>
#include <s3/import/rotary_rows.hpp>
#include <s3/net/reference.hpp>
#include <s3/runtime/program.hpp>

#include "../support/allocations.hpp"
#include "../support/checkpoint.hpp"
#include "../support/gguf.hpp"
#include "../support/models.hpp"

#include <doctest/doctest.h>

using namespace s3;

#if S3_HAS_EXCEPTIONS
TEST_CASE("preparing and exporting a network names the memory that it did not get") {
    const net::model m = test::sample();
    const test::containers_fail while_this_lives;
    test::fail_each("prepare", [&] { return runtime::prepare(m); });
    test::fail_each("cpp_header", [&] { return exporting::cpp_header(m); });
    const std::vector<std::uint8_t> x(m.input().size());
    test::fail_each("reference", [&] { return net::reference::run(m, x, 1); });
}

TEST_CASE("importing a network names the memory that it did not get") {
    const std::string text = "input 4 4 2 mean=0.5 std=0.25\nconv a 2 3 kernel=3 padding=1\nbn b\n"
                             "relu r\nconv c 3 3 kernel=1\nadd r\nhardswish\nglobalmean\nflatten\n"
                             "linear d 3 2\n";
    const auto d = *importing::parse(text);
    test::random r(1);
    const auto x = test::bytes_at_random(2 * 4 * 4 * 2, r);
    const auto checkpoint = test::checkpoint_for(d, x, r);
    const test::containers_fail while_this_lives;
    test::fail_each("parse", [&] { return importing::parse(text); });
    test::fail_each("import_network",
                    [&] { return importing::import_network(checkpoint.file, d, {.samples = x}); });
}

TEST_CASE("finding a decoder's shape and parts names the memory that it did not get") {
    using namespace importing;
    const auto bytes = test::decoder_gguf("llama").bytes();
    const auto file = *gguf::read(bytes);
    const auto shape = *shape_of(file);
    const auto shapes = *shapes_of(file);
    const std::string text =
        R"({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8,
            "intermediate_size": 12, "num_attention_heads": 4, "vocab_size": 50,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
            "hidden_act": "silu"})";
    const test::containers_fail while_this_lives;
    test::fail_each("shape_of metadata", [&] { return shape_of(file); });
    test::fail_each("shapes_of", [&] { return shapes_of(file); });
    test::fail_each("find_decoder", [&] { return find_decoder(shape, naming::gguf, shapes); });
    test::fail_each("shape_of config", [&] { return shape_of(text); });
}

TEST_CASE("rows that are put in order name the memory that they did not get") {
    test::random r(2);
    const std::vector<float> scale(8 * 2, 0.5f);
    const auto w = *pack<shift3>(test::random_weights<shift3>(r, 8 * 64), 8, 64,
                                 {.scale = scale, .group = 32});
    test::fail_each("half_split_rows", [&] { return importing::half_split_rows(w, 4); });
}
#endif

TEST_CASE("a size that no container can hold is no exception") {
    const auto r = detail::or_out_of_memory([]() -> result<std::string> {
#if S3_HAS_EXCEPTIONS
        return std::string(std::string().max_size(), 'a').append("b");
#else
        return error(errc::out_of_memory, "allocation");
#endif
    });
    CHECK(r.error().code == errc::out_of_memory);
}
