#pragma once
// `shift_add` on 32-bit lanes with a scale for each group, for every shift format and machine. What
// a group adds up has no multiplication; its sum is multiplied by the scale.

#include <s3/kernel/parts/group_product.hpp>
#include <s3/kernel/shift_add_words_panels.hpp>

namespace s3::kernel {

template <weight_format F, architecture Arch>
struct shift_add_words_groups {
    static constexpr const char* name = "shift_add_words_groups";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr bool exists = F::is_shift;
    static constexpr rank_range ranks{40, 40};
    static constexpr int rank(const product_request&) noexcept { return ranks.most; }
    static auto loop() { return std::type_identity<group_product<word_shift_add<F, Arch>>>{}; }
};

} // namespace s3::kernel
