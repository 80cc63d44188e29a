// A transposed matrix has rows for columns, for all shapes; what lies between its rows stays.

#include <s3/simd/transpose.hpp>

#include "vectors.hpp"

#include <vector>

using namespace s3;

namespace {
template <class T>
void check(test::random& r) {
    for (std::size_t rows = 0; rows <= 33; ++rows)
        for (std::size_t columns = 0; columns <= 35; ++columns) {
            const std::size_t from_stride = columns + r.below(3), to_stride = rows + r.below(3);
            std::vector<T> from(rows * from_stride), to(columns * to_stride, T(77));
            for (T& v : from)
                v = static_cast<T>(r() & 127);
            auto right = to;
            for (std::size_t i = 0; i < rows; ++i)
                for (std::size_t j = 0; j < columns; ++j)
                    right[j * to_stride + i] = from[i * from_stride + j];
            simd::transpose(from.data(), from_stride, to.data(), to_stride, rows, columns);
            CHECK(to == right);
        }
}
} // namespace

TEST_CASE("transposition of bytes, 32-bit integers and floats") {
    test::random r(1);
    check<std::uint8_t>(r);
    check<std::int32_t>(r);
    check<float>(r);
}
