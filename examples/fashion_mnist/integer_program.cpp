#include "integer_program.hpp"

#include "results.hpp"

#include <s3/net/program.hpp>

#include <stdexcept>
#include <vector>

namespace fashion {

struct integer_program::prepared {
    using used_formats = s3::format_list<shift_format, byte_format>;
    std::string name;
    s3::net::program<used_formats> program;
    std::vector<std::byte> arena;
};

integer_program::integer_program(const s3::net::model& model, s3::family kernels, std::size_t batch,
                                 const std::string& name) {
    auto program = support::checked(
        s3::net::prepare<prepared::used_formats>(model, {.batch = batch, .kernels = kernels}),
        name);
    if (program.output().size() != classes)
        throw std::runtime_error(name + ": not a network of " + std::to_string(classes) +
                                 " classes");
    std::vector<std::byte> arena(program.arena_bytes(batch));
    prepared_.reset(new prepared{name, std::move(program), std::move(arena)});
}
integer_program::~integer_program() = default;

void integer_program::run(std::span<const std::uint8_t> images, std::size_t count,
                          std::span<std::int32_t> logits) {
    support::check(
        s3::net::run(prepared_->program,
                     s3::image_view<const std::uint8_t>{images, count, image_size, image_size, 1},
                     logits, std::span(prepared_->arena)),
        prepared_->name);
}

} // namespace fashion
