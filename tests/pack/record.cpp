// Records: what is written comes back, and hostile bytes give an error or a valid tensor that would
// be written as exactly those bytes.

#include <s3/pack/record.hpp>

#include "../support/foreign.hpp"
#include "../support/record_v1.hpp"
#include "../support/types.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace s3;
using test::tested_formats;

namespace {

using record = std::vector<std::byte>;

template <class F>
record sample_matrix(std::size_t rows, std::size_t columns, std::size_t scales = 0) {
    test::random r(rows * 1000 + columns);
    std::vector<float> weights(rows * columns), scale(scales);
    const auto values = test::random_weights<F>(r, weights.size());
    std::transform(values.begin(), values.end(), weights.begin(),
                   [](int v) { return std::ldexp(static_cast<float>(v), -3); });
    for (float& s : scale)
        s = r.real();
    const auto p = pack<F>(weights, rows, columns, {.exponent_offset = -3, .scale = scale});
    REQUIRE(p);
    return serialize(*p);
}
template <class F>
record sample_filter() {
    test::random r(9);
    const filter_shape shape{3, 2, 3, 2};
    const auto p = pack_filter<F>(test::random_weights<F>(r, 36), shape);
    REQUIRE(p);
    return serialize(*p);
}

/// Whether the bytes are refused both as a matrix and as a filter, or accepted as what would be
/// written like them.
template <class F>
bool refused_or_faithful(const record& bytes) {
    bool good = true;
    if (const auto m = deserialize<F>(bytes))
        good = good && serialize(*m) == bytes;
    if (const auto f = deserialize_filter<F>(bytes))
        good = good && serialize(*f) == bytes && f->shape.out_channels == f->matrix.rows() &&
               f->shape.columns() == f->matrix.columns();
    return good;
}
template <class F>
bool refused(std::span<const std::byte> bytes) {
    return !deserialize<F>(bytes) && !deserialize_filter<F>(bytes);
}

} // namespace

TEST_CASE("a matrix survives its record, for every format, shape and kind of scale") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const std::size_t rows : {0u, 1u, 2u, 5u, 33u})
            for (const std::size_t columns : {0u, 1u, 3u, 8u, 65u})
                for (const std::size_t scales : {std::size_t{0}, std::size_t{1}, rows}) {
                    const record bytes = sample_matrix<F>(rows, columns, scales);
                    CHECK(bytes.size() ==
                          64 + 4 * scales + (rows * columns * std::size_t{F::bits} + 7) / 8);
                    const auto m = deserialize<F>(bytes);
                    REQUIRE(m);
                    CHECK(m->rows() == rows);
                    CHECK(m->columns() == columns);
                    CHECK(m->exponent_offset() == -3);
                    CHECK(m->scale().size() == scales);
                    CHECK(serialize(*m) == bytes);
                }
    });
}

TEST_CASE("a filter survives its record") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        const record bytes = sample_filter<F>();
        const auto f = deserialize_filter<F>(bytes);
        REQUIRE(f);
        CHECK(f->shape == filter_shape{3, 2, 3, 2});
        CHECK(serialize(*f) == bytes);
    });
}

TEST_CASE("a record is these bytes") {
    const std::vector<float> w{0.125f, -0.5f}, scale{0.5f};
    const auto p = pack<shift3>(w, 1, 2, {.exponent_offset = -3, .scale = scale});
    const unsigned char expected[] = {
        'S',  '3',  'W',  2,    3,    3,    0xfd, 0xff, // header
        1,    0,    0,    0,    0,    0,    0,    0,    // rows
        2,    0,    0,    0,    0,    0,    0,    0,    // columns
        0,    0,    0,    0,    0,    0,    0,    0,    // no filter
        1,    0,    0,    0,    0,    0,    0,    0,    // one scale
        's',  'h',  'i',  'f',  't',  '3',  0,    0,    // the format's name
        0,    0,    0,    0,    0,    0,    0,    0,    //
        0x8c, 0x2a, 0x79, 0xf1, 0x45, 0x7f, 0x1e, 0xbd, // its codebook
        0,    0,    0,    0x3f,                         // 0.5f
        0x39};                                          // codes 1 and 7
    const record bytes = serialize(*p);
    REQUIRE(bytes.size() == sizeof expected);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        CHECK(std::to_integer<unsigned>(bytes[i]) == expected[i]);
}

TEST_CASE("records of version 1 are read as they were written") {
    // [3][2] weights of shift3 with an offset of −3, and the scale of each row.
    constexpr unsigned char old[] = {'S',  '3',  'W', 1,    3, 3, 0xfd, 0xff, // header
                                     3,    0,    0,   0,    0, 0, 0,    0,    // rows
                                     2,    0,    0,   0,    0, 0, 0,    0,    // columns
                                     0,    0,    0,   0,    0, 0, 0,    0,    // no filter
                                     3,    0,    0,   0,    0, 0, 0,    0,    // three scales
                                     0,    0,    0,   0x3f, 0, 0, 0x80, 0x3f, // 0.5f, 1.0f
                                     0,    0,    0,   0x40,                   // 2.0f
                                     0x39, 0xd4, 0x01};
    const auto bytes = std::as_bytes(std::span(old));
    const auto m = deserialize<shift3>(bytes);
    REQUIRE(m);
    CHECK(m->exponent_offset() == -3);
    std::vector<int> values;
    for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t c = 0; c < 2; ++c)
            values.push_back(m->value(r, c));
    CHECK(values == std::vector<int>{1, -4, 0, 2, -1, 4});
    CHECK(std::vector<float>(m->scale().begin(), m->scale().end()) ==
          std::vector<float>{0.5f, 1.0f, 2.0f});
    const record now = serialize(*m);
    CHECK(test::as_version_1(now) == record(bytes.begin(), bytes.end()));
    CHECK(deserialize<shift4>(bytes).error().code == errc::foreign);
    CHECK(deserialize<dense3>(bytes).error().code == errc::foreign);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK_FALSE(deserialize<shift3>(bytes.first(size)));
}

TEST_CASE("version 1 is read for every format that it had, and for no other") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        const record now = sample_matrix<F>(5, 7, 5);
        const auto m = deserialize<F>(test::as_version_1(now));
        REQUIRE(m);
        CHECK(serialize(*m) == now);
        const record filter = sample_filter<F>();
        CHECK(serialize(*deserialize_filter<F>(test::as_version_1(filter))) == filter);
    });
    CHECK(refused<test::foreign_int4>(test::as_version_1(sample_matrix<test::foreign_int4>(2, 2))));
}

TEST_CASE("formats of the same width and kind are not confused") {
    // Nibbles and the codebook differ in nothing but name and values from their neighbours here.
    const record nibbles = sample_matrix<test::foreign_int4>(4, 4);
    CHECK(deserialize<test::foreign_int4>(nibbles));
    CHECK(deserialize<integer_format<4>>(nibbles).error().code == errc::foreign);
    const record three = sample_matrix<test::thirds>(4, 4);
    CHECK(deserialize<test::thirds>(three));
    CHECK(deserialize<integer_format<3>>(three).error().code == errc::foreign);
    CHECK(deserialize<test::other_thirds>(three).error().code == errc::foreign);
}

TEST_CASE("every truncation is refused, and so is a byte too many") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const record& whole :
             {sample_matrix<F>(5, 7, 5), sample_matrix<F>(1, 1), sample_filter<F>()}) {
            int accepted = 0;
            for (std::size_t size = 0; size < whole.size(); ++size)
                // A copy, so that a read past the end is found.
                accepted +=
                    !refused<F>(record(whole.begin(), whole.begin() + std::ptrdiff_t(size)));
            CHECK(accepted == 0);
            record longer = whole;
            longer.push_back(std::byte{0});
            CHECK(refused<F>(longer));
        }
    });
}

TEST_CASE("every corruption of one byte is refused or is another valid record") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const record& good : {sample_matrix<F>(5, 7, 5), sample_matrix<F>(3, 0),
                                   sample_matrix<F>(0, 3), sample_filter<F>()}) {
            int wrong = 0;
            record bytes = good;
            for (std::size_t i = 0; i < bytes.size(); ++i)
                for (int v = 0; v < 256; ++v) {
                    bytes[i] = static_cast<std::byte>(v);
                    wrong += !refused_or_faithful<F>(bytes);
                    bytes[i] = good[i];
                }
            CHECK(wrong == 0);
        }
    });
}

TEST_CASE("so is every mixture of corruptions") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(10);
        const record samples[] = {sample_matrix<F>(5, 7, 5), sample_filter<F>()};
        int wrong = 0;
        for (int i = 0; i < 4000; ++i) {
            record bytes = samples[r.below(2)];
            for (std::size_t n = 1 + r.below(6); n > 0; --n)
                bytes[r.below(bytes.size())] = static_cast<std::byte>(r.below(256));
            bytes.resize(r.below(4) == 0 ? r.below(bytes.size()) : bytes.size());
            wrong += !refused_or_faithful<F>(bytes);
        }
        CHECK(wrong == 0);
    });
}

TEST_CASE("a record of another format is foreign") {
    const auto code = [](const auto& r) { return r.error().code; };
    const record three = sample_matrix<shift3>(4, 4);
    CHECK(code(deserialize<shift2>(three)) == errc::foreign);
    CHECK(code(deserialize<dense3>(three)) == errc::foreign);
    CHECK(code(deserialize<int8_weights>(three)) == errc::foreign);
    CHECK(code(deserialize<shift3>(sample_matrix<dense3>(4, 4))) == errc::foreign);
    CHECK(code(deserialize<shift3>(sample_filter<shift3>())) == errc::foreign);
    CHECK(code(deserialize_filter<shift3>(three)) == errc::foreign);
    const record text(64, std::byte{'x'});
    CHECK(code(deserialize<shift3>(text)) == errc::foreign);
    CHECK(code(deserialize<shift3>({})) == errc::truncated);
}

TEST_CASE(
    "reserved codes, non-zero tails, scales that are not finite and wild offsets are refused") {
    const record good = sample_matrix<shift3>(1, 3, 1);
    const auto with = [&](std::size_t at, unsigned value) {
        record bytes = good;
        bytes[at] = static_cast<std::byte>(value);
        return deserialize<shift3>(bytes).error();
    };
    constexpr std::size_t stream = layout::header_bytes + 4;
    CHECK(with(stream, 0x04).code == errc::reserved_code);
    CHECK(with(stream, 0x04).index == 0);
    CHECK(std::string(with(stream + 1, 0x80).argument) == "stream.tail");
    CHECK(with(7, 0x7f).code == errc::bad_option);
    CHECK(with(40, 'z').code == errc::foreign);
    CHECK(with(56, 0).code == errc::foreign);
    record infinite = good;
    infinite[layout::header_bytes + 2] = std::byte{0x80};
    infinite[layout::header_bytes + 3] = std::byte{0x7f};
    CHECK(deserialize<shift3>(infinite).error().code == errc::not_finite);
}

TEST_CASE("sizes that overflow are refused before anything is allocated") {
    const auto with = [](std::uint64_t rows, std::uint64_t columns, std::uint32_t height,
                         std::uint32_t width, std::uint64_t scales) {
        record bytes(layout::header_bytes + 16);
        layout::write({4, true, true, 0, rows, columns, height, width, scales, identity_of<shift4>},
                      bytes.data());
        return refused<shift4>(bytes);
    };
    constexpr std::uint64_t huge = ~std::uint64_t{0};
    CHECK(with(huge, huge, 0, 0, 0));
    CHECK(with(std::uint64_t{1} << 32, std::uint64_t{1} << 32, 0, 0, 0));
    CHECK(with((std::uint64_t{1} << 63) + 16, 2, 0, 0, 0));
    CHECK(with(huge, 1, 0, 0, huge));
    CHECK(with(huge, 0, 0, 0, 0));
    CHECK(with(std::uint64_t{1} << 32, 0, 3, 3, 0));
    CHECK(with(2, 16, ~0u, ~0u, 0));
    CHECK(with(2, 16, 3, 5, 0));
    CHECK_FALSE(with(2, 16, 0, 0, 0));

    // Rows without columns take no bytes of the record, but their sums take memory.
    const auto rows_of_nothing = [](std::uint64_t rows) {
        record bytes(layout::header_bytes);
        layout::write({4, true, true, 0, rows, 0, 1, 1, 0, identity_of<shift4>}, bytes.data());
        return !deserialize_filter<shift4>(bytes);
    };
    CHECK_FALSE(rows_of_nothing(256));
    CHECK(rows_of_nothing(257));
}

TEST_CASE("a borrowed matrix looks into the record, and its slices and moves are whole") {
    const auto bytes = sample_matrix<shift3>(4, 5, 4);
    auto own = deserialize<shift3>(bytes);
    auto view = deserialize<shift3>(bytes, stream_memory::borrow);
    REQUIRE((own && view));
    CHECK(reinterpret_cast<const std::byte*>(view->stream().data()) ==
          bytes.data() + layout::header_bytes + 16);
    const auto moved = *std::move(view);
    CHECK(serialize(moved) == bytes);
    CHECK(serialize(*moved.slice(1, 2)) == serialize(*own->slice(1, 2)));
    CHECK(std::equal(moved.sums().begin(), moved.sums().end(), own->sums().begin()));
}
