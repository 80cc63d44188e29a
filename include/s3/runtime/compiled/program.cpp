// Networks. This file is compiled once per instruction set.

#include <s3/net/tune.hpp>
#include <s3/runtime/compiled/factories.hpp>

namespace s3::runtime::detail {
namespace {

using formats = format_list<S3_RUNTIME_FORMATS>;

void notify(const layer_observer& after, std::size_t layer) {
    if (after)
        after(layer);
}

class prepared_program final : public program_kernels {
public:
    explicit prepared_program(net::program<formats> p) : p_(std::move(p)) {}

    const net::value_info& input() const noexcept override { return p_.input(); }
    const net::value_info& output() const noexcept override { return p_.output(); }
    float output_scale() const noexcept override { return p_.output_scale(); }
    std::size_t layers() const noexcept override { return p_.layers().size(); }
    const char* name(std::size_t layer) const override { return p_.kernel_name(layer); }
    std::size_t arena_bytes(std::size_t batch, std::size_t workers) const override {
        return p_.arena_bytes(batch, workers);
    }
    status run(const image_view<const std::uint8_t>& x, const program_output& any_y,
               std::span<std::byte> arena, executor_ref ex,
               const layer_observer& after) const override {
        const auto tell = [&](std::size_t layer) { notify(after, layer); };
        return std::visit([&](auto y) { return net::run(p_, x, y, arena, ex, tell); }, any_y);
    }

private:
    net::program<formats> p_;
};

/// The same options without the instruction set, which this file is compiled for.
[[nodiscard]] net::program_options of_network(const program_options& o) {
    return {.batch = o.batch, .kernels = o.kernels, .layer_kernels = o.layer_kernels};
}

} // namespace

template <>
made<program_kernels> make_program<compiled_isa>(const net::model& m, const program_options& o) {
    auto p = net::prepare<formats>(m, of_network(o));
    if (!p)
        return p.error();
    std::unique_ptr<const program_kernels> kernels(new (std::nothrow)
                                                       prepared_program(*std::move(p)));
    if (kernels == nullptr)
        return error(errc::out_of_memory, "allocation").got(sizeof(prepared_program));
    return kernels;
}

template <>
result<std::vector<std::string>>
tune_program<compiled_isa>(const net::model& m, const program_options& o, double seconds,
                           const layer_observer& after) {
    return net::tune<formats>(m, of_network(o), {.seconds = seconds}, {},
                              [&](std::size_t layer) { notify(after, layer); });
}

} // namespace s3::runtime::detail
