#pragma once
// `dot` on 32-bit lanes with a scale for each group, for every format and machine.

#include <s3/kernel/dot_words_panels.hpp>
#include <s3/kernel/parts/group_product.hpp>

namespace s3::kernel {

template <weight_format F, architecture Arch>
struct dot_words_groups {
    static constexpr const char* name = "dot_words_groups";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = true;
    static constexpr rank_range ranks{95, 95};
    static constexpr int rank(const product_request&) noexcept { return ranks.most; }
    static auto loop() {
        return std::type_identity<group_product<word_dot<F, Arch, std::uint32_t>>>{};
    }
};

} // namespace s3::kernel
