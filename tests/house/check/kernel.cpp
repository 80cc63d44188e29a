// The new kernel serves where it is named, for any shift format, and multiplies right.

#include "product.hpp"

int main() {
    const auto by_name = [](const auto& packed) {
        return s3::prepare<std::uint8_t, "shift_add_words_select">(packed);
    };
    const bool right = s3::test::multiplies<s3::shift3>(by_name, "shift_add_words_select") &&
                       s3::test::multiplies<s3::dense4>(by_name, "shift_add_words_select");
    return right ? 0 : 1;
}
