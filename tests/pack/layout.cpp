// The bitstream and the header on disk: bit by bit as specified, byte-identical on every machine.

#include <s3/pack/layout.hpp>

#include "../support/random.hpp"
#include "../support/types.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

using namespace s3;

namespace {

template <int Bits>
struct width {
    static constexpr int bits = Bits;
};
using widths = test::type_list<width<2>, width<3>, width<4>, width<5>, width<8>>;

constexpr std::uint8_t three_fives() {
    std::uint8_t byte = 0;
    layout::put<2>(&byte, 0, 1);
    layout::put<2>(&byte, 1, 1);
    return byte;
}
static_assert(three_fives() == 5);

std::array<std::byte, layout::header_bytes> written(const layout::header& h) {
    std::array<std::byte, layout::header_bytes> bytes;
    layout::write(h, bytes.data());
    return bytes;
}

} // namespace

TEST_CASE("code i occupies the bits from i·Bits up, bit b being bit b%8 of byte b/8") {
    widths::each([]<class W>() {
        constexpr int bits = W::bits;
        CAPTURE(bits);
        test::random r(7);
        for (std::size_t count = 0; count <= 70; ++count) {
            std::vector<unsigned> codes(count);
            for (unsigned& c : codes)
                c = static_cast<unsigned>(r.below(1u << bits));
            std::vector<std::uint8_t> stream(layout::stream_bytes(count, bits));
            for (std::size_t i = 0; i < count; ++i)
                layout::put<bits>(stream.data(), i, codes[i]);
            for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
                const std::size_t i = bit / bits;
                const unsigned expected = i < count ? codes[i] >> (bit % bits) & 1 : 0;
                REQUIRE((stream[bit / 8] >> (bit % 8) & 1u) == expected);
            }
            for (std::size_t i = 0; i < count; ++i)
                REQUIRE(layout::get<bits>(stream.data(), i) == codes[i]);
        }
    });
}

TEST_CASE("a stream has one tail and saturates where its size does not fit") {
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
    CHECK(layout::stream_bytes(0, 3) == 0);
    CHECK(layout::stream_bytes(1, 3) == 1);
    CHECK(layout::stream_bytes(3, 3) == 2);
    CHECK(layout::stream_bytes(8, 3) == 3);
    CHECK(layout::stream_bytes(9, 3) == 4);
    CHECK(layout::stream_bytes(1000, 5) == 625);
    CHECK(layout::stream_bytes(huge, 8) == huge);
    CHECK(layout::stream_bytes(huge, 2) == huge / 4 + 1);
}

TEST_CASE("a header is these 64 bytes") {
    const layout::header h{3, true, true, -3, 0x0102, 0x030405, 5, 6, 1, identity_of<shift3>};
    constexpr unsigned char expected[] = {
        'S',  '3',  'W',  2,    3,    3,    0xfd, 0xff, //
        2,    1,    0,    0,    0,    0,    0,    0,    // rows
        5,    4,    3,    0,    0,    0,    0,    0,    // columns
        5,    0,    0,    0,    6,    0,    0,    0,    // height, width
        1,    0,    0,    0,    0,    0,    0,    0,    // scales
        's',  'h',  'i',  'f',  't',  '3',  0,    0,    // name
        0,    0,    0,    0,    0,    0,    0,    0,    //
        0x8c, 0x2a, 0x79, 0xf1, 0x45, 0x7f, 0x1e, 0xbd};
    const auto bytes = written(h);
    for (std::size_t i = 0; i < layout::header_bytes; ++i)
        CHECK(std::to_integer<unsigned>(bytes[i]) == expected[i]);
}

TEST_CASE("reading is the inverse of writing") {
    test::random r(8);
    for (int i = 0; i < 200; ++i) {
        layout::header h;
        h.bits = r.between(2, 8);
        h.has_zero = r.below(2) == 1;
        h.is_shift = r.below(2) == 1;
        h.exponent_offset = r.between(-32768, 32767);
        h.rows = r();
        h.columns = r();
        h.height = static_cast<std::uint32_t>(r());
        h.width = static_cast<std::uint32_t>(r());
        h.scales = r.below(2) == 1 ? h.rows : r.below(2);
        for (char& c : h.format.name)
            c = static_cast<char>(r.below(128));
        h.format.codebook = r();
        const auto bytes = written(h);
        const auto read = layout::read(bytes);
        REQUIRE(read);
        CHECK(read->bits == h.bits);
        CHECK(read->has_zero == h.has_zero);
        CHECK(read->is_shift == h.is_shift);
        CHECK(read->exponent_offset == h.exponent_offset);
        CHECK(read->rows == h.rows);
        CHECK(read->columns == h.columns);
        CHECK(read->height == h.height);
        CHECK(read->width == h.width);
        CHECK(read->scales == h.scales);
        CHECK(read->format == h.format);
        CHECK(read->version == 2);
    }
}

TEST_CASE("what is not a header of this version is refused by name") {
    const auto good = written({3, true, true, 0, 2, 5, 0, 0, 0});
    const auto refused = [](auto bytes, std::size_t at, int value) {
        bytes[at] = static_cast<std::byte>(value);
        const auto read = layout::read(bytes);
        REQUIRE_FALSE(read);
        return std::string(read.error().argument);
    };
    CHECK(refused(good, 0, 's') == "record.magic");
    CHECK(refused(good, 2, 'X') == "record.magic");
    CHECK(refused(good, 3, 0) == "record.version");
    CHECK(refused(good, 3, 3) == "record.version");
    CHECK(refused(good, 5, 12) == "record.flags"); // scales of two types
    CHECK(refused(good, 5, 16) == "record.flags");
    CHECK(refused(good, 32, 3) == "record.scales");
    for (std::size_t size = 0; size < layout::header_bytes; ++size) {
        const auto read = layout::read(std::span(good).first(size));
        REQUIRE_FALSE(read);
        CHECK(read.error().code == errc::truncated);
    }
}
