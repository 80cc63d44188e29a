// What tests/gdb/check.py looks at in gdb, at the line of the call of `look`.

#include <s3/format/codebook.hpp>
#include <s3/ops/epilogue.hpp>
#include <s3/pack/pack.hpp>

#include <array>
#include <cstdio>
#include <string>

namespace {

struct odd_weights : s3::codebook<0, 1, 3, -1, -3> {
    static constexpr const char* name = "odd";
    static constexpr const char* cpp_name = "odd_weights";
};

template <class... T>
[[gnu::noinline]] void look(const T&...) {}

} // namespace

int main() {
    using namespace s3;
    const std::array scale{0.5f, 0.25f};
    const auto packed =
        pack<shift3>(std::array{0.0f, 0.5f, -1.0f, 2.0f, -0.5f, 0.0f}, 2, 3, {-1, scale});
    const auto bytes = *pack<int8_weights>(std::array{-128, 127}, 1, 2);
    const auto dense = *pack<dense2>(std::array{-2, -1, 1, 2}, 1, 4);
    const auto odd = *pack<odd_weights>(std::array{3, -3, 0, -1}, 4, 1);
    const auto filter = *pack_filter<shift2>(std::array{1, 0, -1, 1, -1, 0, 0, 1}, {2, 1, 2, 2});
    const auto borrowed =
        *packed_matrix<shift3>::from_stream(2, 3, packed->stream(), {}, stream_memory::borrow);
    const auto refused = pack<shift3>(std::array{0.0f, 3.0f}, 1, 2);
    const status bad = matrix_view<int>({}, 3, 4).check("x");
    const status good;
    const described_status described =
        described_error(error(errc::io, "file"), "net.st: no such file");
    const std::array<signed char, 9> data{65, -2, 3, 4, 5, 6, 7, 8, 9};
    const matrix_view<const signed char> view(data, 2, 3, 5);
    const matrix_view<const signed char> short_view(data, 9, 9);
    const image_view<const signed char> image{data, 1, 2, 2, 2, image_order::nchw};
    const auto held = *buffer<float>::copy_of(scale);
    const buffer<float> nothing;
    const nonlinearity kind = relu;
    std::puts(refused.error().message().c_str());
    std::puts(bad.error().message().c_str());
    std::fflush(stdout);
    look(packed, bytes, dense, odd, filter, borrowed, refused, bad, good, described, view,
         short_view, image, held, nothing, kind);
    return 0;
}
