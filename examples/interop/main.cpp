// Other libraries' arrays as the library's views, without copies: a DLPack tensor with strides goes
// in, and outputs go to a matrix of the host. The page README.md shows these lines.

#include <s3/interop/dlpack.hpp>
#include <s3/shift.hpp>

#include <array>
#include <cstdio>

int main() {
    const std::array<int, 8> weights{0, 1, -2, 4, /* second row */ -1, 0, 2, 2};
    const auto kernel = s3::prepare<std::int8_t>(*s3::pack<s3::shift3>(weights, 2, 4));
    if (!kernel)
        return 1;

    // Three vectors of four elements, in rows of six, as a framework would hand them over.
    std::array<std::int8_t, 18> memory{1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0, 9, 10, 11, 12, 0, 0};
    std::array<std::int64_t, 2> shape{3, 4}, strides{6, 1};
    s3::dlpack::tensor x{memory.data(), {1, 0}, 2, {0, 8, 1}, shape.data(), strides.data(), 0};

    std::array<std::int32_t, 6> sums{};
    const auto view = s3::dlpack::matrix<const std::int8_t>(x); // the same memory
    if (!view || !s3::matmul(*kernel, *view, s3::matrix_view(sums, 3, 2)))
        return 1;
    std::printf("%d %d, %d %d, %d %d\n", sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]);

    strides = {1, 3}; // columns, one after the other: there is no view of such rows
    std::puts(s3::dlpack::matrix<const std::int8_t>(x).error().message().c_str());
    x.device.device_type = 2; // memory of a GPU
    std::puts(s3::dlpack::matrix<const std::int8_t>(x).error().message().c_str());
    return 0;
}
