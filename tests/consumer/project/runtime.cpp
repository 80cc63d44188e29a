#include <s3/runtime/linear.hpp>

#include <array>

int main() {
    const auto w = s3::runtime::prepare(*s3::pack<s3::shift3>(std::array{0, 1, -2, 4}, 2, 2));
    const std::array<std::uint8_t, 2> x{10, 20};
    std::array<std::int32_t, 2> y{};
    return w && w->run(s3::matrix_view(std::span(x), 1, 2), s3::matrix_view(std::span(y), 1, 2)) &&
                   y[1] == 60
               ? 0
               : 1;
}
