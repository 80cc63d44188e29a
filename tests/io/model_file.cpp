// What `write` writes `read` gives back, the same bytes everywhere, and whatever else `read` meets,
// it refuses without harm.

#include <s3/io/model_file.hpp>

#include "../support/fast_math.hpp"
#include "../support/models.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <list>
#include <string>

namespace {

namespace net = s3::net;
namespace file = s3::model_file;
using s3::test::convolution, s3::test::sample, s3::test::graph;

std::vector<std::byte> bytes_of(const net::model& m) {
    const auto bytes = file::write(m);
    REQUIRE_MESSAGE(bytes, bytes.error().message());
    return *bytes;
}
std::vector<std::byte> sample_bytes() {
    return bytes_of(sample());
}

/// A file with one text of its network replaced.
s3::error changed(const std::string& from, const std::string& to,
                  const std::vector<std::byte>& bytes = sample_bytes()) {
    CAPTURE(from);
    auto contents = *s3::safetensors::read(bytes);
    auto& text = contents.metadata[file::network_key];
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    const auto rewritten = *s3::safetensors::write(contents);
    const auto read = file::read(rewritten);
    REQUIRE(!read);
    return read.error();
}

TEST_CASE("model files: read is the inverse of write") {
    const auto bytes = sample_bytes();
    for (const auto memory : {s3::stream_memory::copy, s3::stream_memory::borrow}) {
        const auto m = file::read(bytes, memory);
        REQUIRE_MESSAGE(m, m.error().message());
        CHECK(m->values == sample().values);
        CHECK(m->layers.size() == 6);
        const auto& second = std::get<net::convolution>(m->layers[1].operation);
        const auto& filter = std::get<s3::packed_filter<s3::shift3>>(second.filter);
        const bool inside =
            reinterpret_cast<const std::byte*>(filter.matrix.stream().data()) >= bytes.data() &&
            reinterpret_cast<const std::byte*>(filter.matrix.stream().data()) <
                bytes.data() + bytes.size();
        CHECK(inside == (memory == s3::stream_memory::borrow));
        CHECK(second.options.padding_value == 3);
        CHECK(second.residual->scale == 0.3f);
        const auto again = file::write(*m);
        REQUIRE(again);
        CHECK(*again == bytes);
    }
}

TEST_CASE("model files: the kind of a value is kept, and left out where it is an image") {
    auto m = sample();
    m.values = {{1, 6, 2}, {1, 5, 3}};
    m.layers.resize(1);
    m.layers[0].operation = convolution<s3::shift3>(0, {3, 1, 2, 2}, 0, 5);
    for (auto& v : m.values)
        v.kind = net::value_kind::sequence;
    const auto bytes = file::write(m);
    REQUIRE_MESSAGE(bytes, bytes.error().message());
    CHECK(file::read(*bytes)->values == m.values);
    m.values[0].height = 2;
    CHECK(std::string(file::write(m).error().argument) == "value.kind");
}

std::uint64_t hash(std::span<const std::byte> bytes) {
    s3::test::digest d;
    for (const std::byte b : bytes)
        d.add(std::to_integer<std::uint8_t>(b));
    return d.value();
}

TEST_CASE("model files: one committed hash, on every machine" *
          doctest::skip(s3::test::fast_math)) {
    CHECK(hash(sample_bytes()) == 9910680074464895148u);
}

TEST_CASE("model files: files whose records have version 1 still read" *
          doctest::skip(s3::test::fast_math)) {
    const auto now = sample_bytes();
    auto old = *s3::safetensors::read(now);
    std::list<std::vector<std::byte>> memory;
    for (auto& [name, t] : old.tensors)
        if (t.type == s3::safetensors::dtype::u8) { // without the format's identity
            auto& record = memory.emplace_back(t.data.begin(), t.data.end());
            record[3] = std::byte{1};
            record.erase(record.begin() + 40, record.begin() + 64);
            t = {t.type, {record.size()}, record};
        }
    const auto bytes = *s3::safetensors::write(old);
    CHECK(hash(bytes) == 7859935420985262598u);
    const auto m = file::read(bytes);
    REQUIRE_MESSAGE(m, m.error().message());
    CHECK(*file::write(*m) == sample_bytes());
}

TEST_CASE("model files: tables, products, larger images, concatenations and borders") {
    const auto bytes = bytes_of(graph());
    CHECK(hash(bytes) == 15965045956436787068u);
    const auto m = file::read(bytes);
    REQUIRE_MESSAGE(m, m.error().message());
    CHECK(m->values == graph().values);
    CHECK(*file::write(*m) == bytes);
    const auto& both = std::get<net::concatenation>(m->layers[4].operation);
    REQUIRE(both.inputs.size() == 2);
    CHECK(both.inputs[1].value == 4);
    CHECK(both.inputs[1].scale == 0.5f);
    const auto& squares = std::get<net::table>(m->layers[2].operation);
    CHECK(squares.entries == std::get<net::table>(graph().layers[2].operation).entries);

    const auto named = [&](const std::string& from, const std::string& to) {
        const s3::error e = changed(from, to, bytes);
        return std::to_string(e.index) + " " + e.argument;
    };
    CHECK(named("\"inputs\":[4,4]", "\"inputs\":[4]") == "4 inputs");
    CHECK(named("\"inputs\":[4,4]", "\"inputs\":[4,-4]") == "4 inputs");
    CHECK(named("\"inputs\":[4,4]", "\"inputs\":[4,5]") == "4 inputs");
    CHECK(named("\"inputs\":[4,4]", "\"inputs\":[4,3]") == "4 value.height");
    CHECK(named("\"inputs\":[4,4]", "\"inputs\":{}") == "4 inputs");
    CHECK(named("\"inputs\":[4,4],\"inputs_scale\":[1.0,0.5]",
                "\"inputs\":[],\"inputs_scale\":[]") == "4 inputs");
    CHECK(named("[1.0,0.5]", "[1.0,null]") == "4 inputs");
    CHECK(named("[1.0,0.5]", "[1.0,1e39]") == "4 inputs");
    CHECK(named("\"inputs_scale\"", "\"scales\"") == "4 inputs");
    CHECK(named("\"factor\":[2,1]", "\"factor\":[0,1]") == "3 factor");
    CHECK(named("\"factor\":[2,1]", "\"factor\":[3,1]") == "3 value.height");
    CHECK(named("\"after\":[2,3]", "\"after\":[2,-3]") == "5 after");
    CHECK(named("\"before\":[1,0]", "\"before\":[2,0]") == "5 value.height");
    CHECK(named("\"scale\":0.25", "\"scale\":1e39") == "1 scale");
    CHECK(named("\"low\":1", "\"low\":16") == "1 low");
    CHECK(named("\"name\":\"squares\"", "\"name\":\"cubes\"") == "-1 model.tensors");
    auto contents = *s3::safetensors::read(bytes);
    auto& table = contents.tensors.at("squares.table");
    const auto refused = [&] {
        return std::string(file::read(*s3::safetensors::write(contents)).error().argument);
    };
    table = {table.type, {15}, table.data.first(15)};
    CHECK(refused() == "table");
    table = {s3::safetensors::dtype::i8, {15}, table.data};
    CHECK(refused() == "tensor");
}

TEST_CASE("model files: a scale that is missing is named by its input") {
    CHECK(std::string(changed("\"residual_scale\"", "\"scale_of_it\"").argument) == "residual");
}

TEST_CASE("model files: load maps what save wrote") {
    const std::string path = "model_file_test.safetensors";
    REQUIRE(file::save(sample(), path));
    auto loaded = file::load(path);
    REQUIRE(loaded);
    const auto moved = std::move(*loaded);
    CHECK(*file::write(moved.model) == sample_bytes());
    std::remove(path.c_str());
    CHECK(file::load("no/such/file").error().code == s3::errc::io);
    CHECK(file::load(".").error().code == s3::errc::io);
    CHECK(file::load("/dev/null").error().code == s3::errc::io);
}

TEST_CASE("model files: every truncation is refused, and damage never does harm") {
    for (const auto& bytes : {sample_bytes(), bytes_of(graph())}) {
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            const std::vector<std::byte> part(bytes.begin(),
                                              bytes.begin() + static_cast<std::ptrdiff_t>(size));
            CHECK_FALSE(file::read(part, s3::stream_memory::borrow));
        }
        s3::test::random r(11);
        std::size_t refusals = 0;
        for (int i = 0; i < 5000; ++i) {
            auto damaged = bytes;
            for (std::size_t n = r.below(3) + 1; n > 0; --n)
                damaged[r.below(damaged.size())] = static_cast<std::byte>(r() & 255);
            const auto m = file::read(damaged);
            refusals += !m;
            if (m)
                CHECK(net::check(*m));
        }
        CHECK(refusals > 2000);
    }
}

TEST_CASE("model files: what does not fit is named, with its layer") {
    const auto field = [](const s3::error& e) { return std::string(e.argument); };
    CHECK(changed("\"kind\":\"addition\"", "\"kind\":\"attention\"").index == 2);
    CHECK(field(changed("\"groups\":1", "\"groups\":-1")) == "groups");
    CHECK(field(changed("\"groups\":1", "\"groups\":1,\"spare\":1")) == "model (unknown field)");
    CHECK(field(changed("\"groups\":1", "\"groups\":3")) == "groups");
    CHECK(field(changed("\"high\":63", "\"high\":4294967296")) == "high");
    CHECK(field(changed("\"high\":63", "\"high\":18446744073709551615")) == "high");
    CHECK(field(changed("\"high\":63", "\"high\":64")) == "high");
    CHECK(field(changed("\"stride\":[1,1]", "\"stride\":[0,1]")) == "stride");
    for (const char* scale : {"null", "\"1\"", "[1]", "true", "1e39", "0", "-3", "1e-60"})
        CHECK(field(changed("\"output_scale\":0.009999999776482582",
                            std::string("\"output_scale\":") + scale)) == "output_scale");
    CHECK(field(changed("\"low\":3", "\"low\":-2147483649")) == "low");
    CHECK(field(changed("\"low\":3", "\"low\":-9223372036854775808")) == "low");
    CHECK(field(changed("\"zero_point\":7", "\"kind\":\"tree\",\"zero_point\":7")) == "kind");
    CHECK(field(changed("\"stride\":[1,1]", "\"stride\":[1]")) == "stride");
    CHECK(field(changed("\"height\":6", "\"height\":7")) == "value.height");
    CHECK(field(changed("\"height\":6", "\"height\":18446744073709551615")) ==
          (sizeof(std::size_t) == 8 ? "value.size" : "height"));
    CHECK(field(changed("\"step\":", "\"step\":1e99,\"x\":")) == "step");
    CHECK(field(changed("\"a\":1", "\"a\":9")) == "a");
    CHECK(field(changed("\"input\":0", "\"input\":77")) == "input");
    CHECK(field(changed("\"name\":\"largest\"", "\"name\":\"mean\"")) == "name (given twice)");
    CHECK(field(changed("\"name\":\"last\"", "\"name\":\"lost\"")) == "weight (no such tensor)");
    CHECK(field(changed("\"a\":1", "\"a\":1,\"a\":1")) == "model.network");
    CHECK(field(changed("{", "[")) == "model.network");
    CHECK(field(changed("\"values\":[", "\"values\":[],\"more\":[")) == "model.network");

    const auto bytes = sample_bytes();
    auto contents = *s3::safetensors::read(bytes);
    const auto refused = [&] { return file::read(*s3::safetensors::write(contents)).error(); };
    contents.tensors["spare"] = {s3::safetensors::dtype::u8, {0}, {}};
    CHECK(field(refused()) == "model.tensors");
    contents.tensors.erase("spare");
    contents.metadata[file::version_key] = "2";
    CHECK(field(refused()) == "model.version");
    contents.metadata.erase(file::version_key);
    CHECK(refused().code == s3::errc::foreign);
}

TEST_CASE("model files: write refuses what read would not give back") {
    auto m = sample();
    m.layers[1].name = "first";
    CHECK(file::write(m).error().code == s3::errc::bad_option);
    m = sample();
    m.values[1].scale = s3::test::not_a_number;
    CHECK(!file::write(m));
    m = sample();
    m.layers[1].name = "caf\xe9"; // Latin-1
    const auto refused = file::write(m);
    REQUIRE(!refused);
    CHECK(std::string(refused.error().argument) == "name (not UTF-8)");
    CHECK(refused.error().index == 1);
    m.layers[1].name = "caf\xc3\xa9";
    CHECK(file::write(m));
}

} // namespace
