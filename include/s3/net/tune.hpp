#pragma once
// Measures the fastest kernel for each layer of a network on this machine:
//
//   program_options o{.batch = 1};
//   const auto kernels = s3::net::tune(model, o);          names, to be stored
//   o.layer_kernels = *kernels;
//   const auto p = s3::net::prepare(model, o);
//
// Errors: those of `prepare`, with the layer as index.

#include <s3/core/out_of_memory.hpp>
#include <s3/net/program.hpp>
#include <s3/ops/tune.hpp>

#include <string>
#include <vector>

namespace s3::net {

/// The name of a kernel for each layer, or "" for a layer without a choice. `t.seconds` are spent
/// on each layer; after(layer) is called when a layer has been measured.
template <class Formats = all_formats, architecture Arch = arch::native, class Now = steady_seconds,
          class Observer = detail::no_observer>
result<std::vector<std::string>> tune(const model& m, const program_options& o,
                                      const tune_options& t = {}, Now now = {},
                                      Observer&& after = {}) {
    if (auto s = check(m); !s)
        return s.error();
    const auto measure = [&](const auto& filter, const conv_options& options, std::size_t images,
                             const extent& size, const prepare_options& fitting) {
        return s3::tune<std::uint8_t, family::any, Arch>(filter, options, images, size, fitting, t,
                                                         now);
    };
    return s3::detail::or_out_of_memory([&]() -> result<std::vector<std::string>> {
        std::vector<std::string> names(m.layers.size());
        for (std::size_t i = 0; i < m.layers.size(); ++i) {
            const status done = std::visit(
                [&](const auto& l) -> status {
                    if constexpr (requires { l.template tune<Formats>(m.site(i), o, measure); }) {
                        const auto name = l.template tune<Formats>(m.site(i), o, measure);
                        if (!name)
                            return name.error();
                        names[i] = *name;
                    }
                    return {};
                },
                m.layers[i].operation);
            if (!done)
                return done.error().at(i);
            after(i);
        }
        return names;
    });
}

} // namespace s3::net
