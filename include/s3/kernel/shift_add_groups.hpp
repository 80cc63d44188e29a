#pragma once
// `shift_add` with a scale for each group: the kernels that look sums up, for one group at a time.
// What a group adds up has no multiplication; its sum is multiplied by the scale.

#include <s3/kernel/parts/group_by_group.hpp>
#include <s3/kernel/shift_add_bytes_shuffle.hpp>
#include <s3/kernel/shift_add_int16_permute.hpp>
#include <s3/kernel/shift_add_table.hpp>
#include <s3/kernel/shift_add_words_panels.hpp>

namespace s3::kernel {

template <weight_format F, architecture Arch>
struct shift_add_int16_permute_groups
    : one_group_at_a_time<F, Arch, shift_add_int16_permute<F, std::int8_t, Arch>> {
    static constexpr const char* name = "shift_add_int16_permute_groups";
};
template <weight_format F, architecture Arch>
struct shift_add_table_groups
    : one_group_at_a_time<F, Arch, shift_add_table<F, std::int8_t, Arch>> {
    static constexpr const char* name = "shift_add_table_groups";
};
template <weight_format F, architecture Arch>
struct shift_add_bytes_shuffle_groups
    : one_group_at_a_time<F, Arch, shift_add_bytes_shuffle<F, std::int8_t, Arch>> {
    static constexpr const char* name = "shift_add_bytes_shuffle_groups";
};

/// The kernel of last resort: it serves every shift format on every machine, but slowly.
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
