#pragma once
// A filter whose weight format is known only at run time: one of those in format/list.hpp.

#include <s3/format/list.hpp>
#include <s3/pack/pack.hpp>

#include <variant>

namespace s3::net {

using any_filter = all_formats::as<std::variant, packed_filter>;

[[nodiscard]] inline const filter_shape& shape_of(const any_filter& filter) {
    return std::visit([](const auto& f) -> const filter_shape& { return f.shape; }, filter);
}

} // namespace s3::net
