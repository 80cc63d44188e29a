#include <s3/shift.hpp>

#include <array>

int main() {
    const auto packed = s3::pack<s3::shift3>(std::array{0, 1, -2, 4}, 2, 2);
    return packed && packed->value(1, 1) == 4 ? 0 : 1;
}
