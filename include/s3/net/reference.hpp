#pragma once
// A network by its definition: scalar loops, one element at a time, without kernels. It is slow and
// allocates. `net::run` must give the same bytes, and users may check it against this.

#include <s3/core/out_of_memory.hpp>
#include <s3/net/check.hpp>

namespace s3::net::reference {

/// The elements, widened to int32, of all values of a network with the input `x`, which is value 0,
/// [batch][height][width][channels]. Values in float are zeros. Errors: those of `check`, and an
/// input of another size.
inline result<std::vector<std::vector<std::int32_t>>>
run(const model& m, std::span<const std::uint8_t> x, std::size_t batch) {
    if (auto s = check(m); !s)
        return s.error();
    if (x.size() != saturating_mul(batch, m.input().size()))
        return error(errc::shape_mismatch, "input")
            .got(x.size())
            .needs(saturating_mul(batch, m.input().size()));
    return s3::detail::or_out_of_memory([&]() -> result<std::vector<std::vector<std::int32_t>>> {
        std::vector<std::vector<std::int32_t>> values;
        values.emplace_back(x.begin(), x.end());
        for (std::size_t i = 0; i < m.layers.size(); ++i) {
            std::vector<std::int32_t> y(batch * m.values[i + 1].size());
            const reference_site site{m.site(i), batch, values};
            std::visit([&](const auto& l) { l.reference(site, y); }, m.layers[i].operation);
            values.push_back(std::move(y));
        }
        return values;
    });
}

} // namespace s3::net::reference
