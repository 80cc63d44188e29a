#pragma once
// Weight formats that the library does not know: what a user may define.

#include <s3/format/codebook.hpp>
#include <s3/format/integer.hpp>
#include <s3/format/list.hpp>

namespace s3::test {

/// Two's complement nibbles, written from nothing.
struct foreign_int4 {
    static constexpr int bits = 4;
    static constexpr int codes = 16;
    static constexpr bool has_zero = true;
    static constexpr bool is_shift = false;
    static constexpr bool trains = false;
    static constexpr decode decoding = decode::twos_complement;
    static constexpr int min_value = -8;
    static constexpr int max_value = 7;
    static constexpr const char* name = "nibbles";
    static constexpr const char* cpp_name = "test::foreign_int4";

    static constexpr bool valid(unsigned code) { return code < 16; }
    static constexpr int value(unsigned code) {
        return static_cast<int>(code) - (code < 8 ? 0 : 16);
    }
    static constexpr int code_of(int v) { return v < -8 || v > 7 ? -1 : v & 15; }
    static constexpr int round(double real, nearest) {
        const int whole = static_cast<int>(real < -8 ? -8 : real > 7 ? 7 : real);
        return whole + (real - whole > 0.5 && whole < 7) - (whole - real > 0.5 && whole > -8);
    }
};

/// Signed bytes without −128, as symmetric quantization has them.
struct symmetric_int8 : integer_format<8> {
    static constexpr int min_value = -127;
    static constexpr const char* name = "symmetric";
    static constexpr const char* cpp_name = "test::symmetric_int8";

    static constexpr bool valid(unsigned code) { return code < 256 && code != 128; }
    static constexpr int code_of(int v) { return v == -128 ? -1 : integer_format<8>::code_of(v); }
    static constexpr int round(double real, nearest rule) {
        return integer_format<8>::round(real < -127 ? -127 : real, rule);
    }
};

/// Three bits, one code reserved.
struct thirds : codebook<0, 1, 2, 3, -1, -2, -3> {
    static constexpr const char* name = "thirds";
    static constexpr const char* cpp_name = "test::thirds";
};

/// The name of the last with another codebook.
struct other_thirds : codebook<0, 1, 2, 4, -1, -2, -4> {
    static constexpr const char* name = "thirds";
    static constexpr const char* cpp_name = "test::other_thirds";
};

/// Four bits in no order, without zero, larger below zero than above.
struct scattered : codebook<5, -7, 1, 100, -128, 13, -1, 2, -3, 88, -64, 31, -30, 7, -9, 3> {
    static constexpr const char* name = "scattered";
    static constexpr const char* cpp_name = "test::scattered";
};

/// Five bits: more than a byte look-up of 16 entries can tell apart.
using foreign_int5 = integer_format<5>;

using foreign_formats = format_list<foreign_int4, foreign_int5, thirds, scattered>;

} // namespace s3::test
