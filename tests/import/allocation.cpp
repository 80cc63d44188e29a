// Networks, descriptions and exported texts are made of containers: whichever allocation fails, the
// call returns an error and keeps nothing. (JSON is left out: see SECURITY.md.)

#include <s3/export/cpp_header.hpp>
#include <s3/import/network.hpp>
#include <s3/net/program.hpp>

#include "../support/allocations.hpp"
#include "../support/checkpoint.hpp"
#include "../support/models.hpp"

#include <doctest/doctest.h>

using namespace s3;

#if S3_HAS_EXCEPTIONS
namespace {

/// While one lives, allocations of containers fail as well.
struct containers_fail {
    containers_fail() { test::allocations::containers = true; }
    ~containers_fail() { test::allocations::containers = false; }
};

} // namespace

TEST_CASE("preparing and exporting a network names the memory that it did not get") {
    const net::model m = test::sample();
    const containers_fail while_this_lives;
    test::fail_each("prepare",
                    [&] { return net::prepare<format_list<shift3, dense2, int8_weights>>(m); });
    test::fail_each("cpp_header", [&] { return exporting::cpp_header(m); });
}

TEST_CASE("importing a network names the memory that it did not get") {
    const std::string text = "input 4 4 2 mean=0.5 std=0.25\nconv a 2 3 kernel=3 padding=1\nbn b\n"
                             "relu r\nconv c 3 3 kernel=1\nadd r\nhardswish\nglobalmean\nflatten\n"
                             "linear d 3 2\n";
    const auto d = *importing::parse(text);
    test::random r(1);
    const auto x = test::bytes_at_random(2 * 4 * 4 * 2, r);
    const auto checkpoint = test::checkpoint_for(d, x, r);
    const containers_fail while_this_lives;
    test::fail_each("parse", [&] { return importing::parse(text); });
    test::fail_each("import_network",
                    [&] { return importing::import_network(checkpoint.file, d, {.samples = x}); });
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
