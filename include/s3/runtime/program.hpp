#pragma once
// A network prepared for the instruction set of this machine, from a model or the bytes of a model
// file:
//
//   auto p = s3::runtime::prepare(model, {.batch = 1});
//   p->run(images, std::span(y), arena, executor);          arena of p->arena_bytes(batch, workers)
//
// An observer is called with the index of each layer when that is done.
//
// Results and errors are those of net/program.hpp: the same bytes on every instruction set, for any
// batch and any number of workers (except for a layer in float). Besides, there is the error
// `unsupported`, for an instruction set that the library is not built for or this machine lacks,
// and for a weight format that the library is not built for, with the layer as index.

#include <s3/core/buffer.hpp>
#include <s3/exec/executor_ref.hpp>
#include <s3/net/value.hpp>
#include <s3/runtime/options.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace s3::net {
struct model; // in net/model.hpp, which includes kernels
}

namespace s3::runtime {

/// Outputs of the network's own type, or the real numbers of any network's outputs.
using program_output =
    std::variant<std::span<std::uint8_t>, std::span<std::int32_t>, std::span<float>>;

using layer_observer = std::function<void(std::size_t layer)>;

/// How a network is prepared.
struct program_options {
    std::optional<isa> set = {}; ///< if empty, the best that this machine supports
    std::size_t batch = 1;       ///< images per run that kernels are chosen for; any batch runs
    family kernels = family::automatic;
    /// The name of a kernel for each layer, as `tune` measured them. An empty name, or an empty
    /// list, leaves the choice to the estimate.
    std::span<const std::string> layer_kernels = {};
};

namespace detail {

/// The interface that the object of each instruction set implements.
class program_kernels {
public:
    virtual ~program_kernels() = default;
    virtual const net::value_info& input() const noexcept = 0;
    virtual const net::value_info& output() const noexcept = 0;
    virtual float output_scale() const noexcept = 0;
    virtual std::size_t layers() const noexcept = 0;
    virtual const char* name(std::size_t layer) const = 0;
    virtual std::size_t arena_bytes(std::size_t batch, std::size_t workers) const = 0;
    virtual status run(const image_view<const std::uint8_t>&, const program_output&,
                       std::span<std::byte> arena, executor_ref,
                       const layer_observer& after) const = 0;
};

} // namespace detail

class program {
public:
    /// Only `prepare` calls this.
    program(std::unique_ptr<const detail::program_kernels> k, s3::isa set) noexcept
        : kernels_(std::move(k)), isa_(set) {}

    [[nodiscard]] const net::value_info& input() const noexcept { return kernels_->input(); }
    [[nodiscard]] const net::value_info& output() const noexcept { return kernels_->output(); }
    /// The factor that turns int32 outputs y into real numbers, output_scale()·y.
    [[nodiscard]] float output_scale() const noexcept { return kernels_->output_scale(); }
    [[nodiscard]] s3::isa isa() const noexcept { return isa_; }
    [[nodiscard]] std::size_t layers() const noexcept { return kernels_->layers(); }
    /// The name of the kernel that computes a layer. Precondition: layer < layers().
    [[nodiscard]] const char* kernel_name(std::size_t layer) const { return kernels_->name(layer); }

    /// The bytes of memory for a run.
    [[nodiscard]] std::size_t arena_bytes(std::size_t batch, std::size_t workers = 1) const {
        return kernels_->arena_bytes(batch, workers);
    }
    /// Computes y from images, without allocating. `arena` must have arena_bytes().
    status run(const image_view<const std::uint8_t>& images, const program_output& y,
               std::span<std::byte> arena, executor_ref ex = {},
               const layer_observer& after = {}) const {
        return kernels_->run(images, y, arena, ex, after);
    }
    /// The same, with memory that is allocated for this call.
    status run(const image_view<const std::uint8_t>& images, const program_output& y,
               executor_ref ex = {}) const {
        auto arena = buffer<std::byte>::make(arena_bytes(images.batch, ex.concurrency()));
        if (!arena)
            return arena.error();
        return run(images, y, arena->span(), ex);
    }

private:
    std::unique_ptr<const detail::program_kernels> kernels_;
    s3::isa isa_;
};

/// Prepares a network. The model is no longer needed afterwards.
result<program> prepare(const net::model& model, const program_options& o = {});

/// Measures the kernels of each layer on this machine, for `seconds` per layer: names for
/// program_options::layer_kernels, which fit the set, batch and family of `o`. Errors: those of
/// `prepare`.
result<std::vector<std::string>> tune(const net::model& model, const program_options& o = {},
                                      double seconds = 0.05, const layer_observer& after = {});

} // namespace s3::runtime
