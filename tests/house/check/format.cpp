// The new format is in the list, packs and unpacks, is read from its own record and from no
// other's, and multiplies right.

#include "product.hpp"

#include <s3/format/list.hpp>
#include <s3/pack/record.hpp>

int main() {
    using s3::thirds;
    s3::test::random r(2);
    const auto values = s3::test::random_weights<thirds>(r, 35);
    const auto packed = s3::pack<thirds>(values, 5, 7);
    std::vector<int> unpacked(35);
    bool right = packed && s3::unpack(*packed, std::span(unpacked)) && unpacked == values &&
                 !s3::pack<thirds>(std::vector<int>{4}, 1, 1) &&
                 s3::all_formats::visit("thirds", []<s3::weight_format F>() {});
    const auto record = s3::serialize(*packed);
    const auto read = s3::deserialize<thirds>(record);
    right =
        right && read && read->value(1, 3) == values[10] && !s3::deserialize<s3::shift3>(record);
    right = right && s3::test::multiplies<thirds>(
                         [](const auto& p) { return s3::prepare<std::uint8_t>(p); });
    return right ? 0 : 1;
}
