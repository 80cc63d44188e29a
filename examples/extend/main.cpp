// A weight format of one's own, without a change to the library: multiples of a third.

#include <s3/shift.hpp>

#include <array>
#include <cstdint>
#include <cstdio>

namespace mine {

struct thirds : s3::codebook<0, 1, 2, 3, -1, -2, -3> {
    static constexpr const char* name = "thirds";
    static constexpr const char* cpp_name = "mine::thirds";
};

} // namespace mine

int main() {
    const std::array<int, 6> weights{3, -1, 0, 2, 2, -3};
    const std::array<std::uint8_t, 3> x{10, 20, 30};
    std::array<std::int32_t, 2> y{};
    const auto packed = s3::pack<mine::thirds>(weights, 2, 3);
    if (!packed)
        return 1;
    const auto kernel = s3::prepare(*packed);
    if (!kernel || !s3::matmul(*kernel, x, y))
        return 1;
    std::printf("y = %d %d from %zu bytes\n", y[0], y[1], packed->stream().size());
    return y == std::array<std::int32_t, 2>{10, -30} ? 0 : 1;
}
