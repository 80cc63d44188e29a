// The kernels are compiled here, apart from libtorch, since both take long.

#include "import.hpp"
#include "model.hpp"

#include <s3/io/mapped_file.hpp>

#include <filesystem>

namespace lm {

namespace {

/// The formats that the matrices of this program's models can have, and those of GGUF files.
using formats = s3::format_list<s3::ternary, s3::shift3>;
using gguf_formats = s3::format_list<s3::ternary, s3::int4_weights, s3::int8_weights>;

template <s3::weight_format F>
model_result make(s3::described_result<packed_weights<F>> weights, const model_options& options) {
    if (!weights)
        return weights.error();
    auto made = model<F>::make(*std::move(weights), options);
    if (!made)
        return s3::described_error(made.error());
    return std::unique_ptr<language_model>(std::make_unique<model<F>>(*std::move(made)));
}

model_result load_gguf(std::span<const std::byte> bytes, const model_options& options) {
    const auto file = s3::gguf::read(bytes);
    if (!file)
        return file.error();
    model_result loaded = s3::error(s3::errc::unsupported,
                                    "blk.0.attn_q.weight (Q4_0, Q8_0, TQ1_0 and TQ2_0 are read)");
    gguf_formats::each([&]<s3::weight_format F>() {
        if (holds<F>(*file))
            loaded = make(import_gguf<F>(*file), options);
    });
    return loaded;
}

model_result load_folder(const std::string& folder, const model_options& options) {
    const auto config = s3::mapped_file::open(folder + "/config.json");
    if (!config)
        return s3::described_error(config.error()).in("config.json");
    const auto file = s3::mapped_file::open(folder + "/model.safetensors");
    if (!file)
        return s3::described_error(file.error()).in("model.safetensors");
    const auto contents = s3::safetensors::read(file->bytes());
    if (!contents)
        return s3::described_error(contents.error()).in("model.safetensors");
    return make(import_bitnet(s3::gguf::value::text_of(config->bytes()), *contents), options);
}

model_result load_own(std::span<const std::byte> bytes, const model_options& options) {
    const auto contents = s3::safetensors::read(bytes);
    if (!contents)
        return s3::described_error(contents.error());
    const auto format = format_of(*contents);
    if (!format)
        return s3::described_error(format.error());
    model_result loaded = s3::error(s3::errc::foreign, "metadata (unknown format of weights)");
    formats::visit(*format,
                   [&]<s3::weight_format F>() { loaded = make(read<F>(*contents), options); });
    return loaded;
}

/// Fills a model with values of its formats, each as likely as the others. Codes are drawn by a
/// linear congruential generator (Knuth), whose high bits are random enough for multiplications.
struct random_filler {
    std::uint64_t state = 1;
    s3::status done = {};

    void operator()(const std::string&, std::vector<float>& v, std::size_t size) {
        v.assign(size, 1.0f);
    }
    template <s3::weight_format F>
    void operator()(const std::string&, s3::packed_matrix<F>& m, std::size_t rows,
                    std::size_t columns) {
        // The values' mean square is about that of a uniform distribution.
        const auto scale =
            static_cast<float>(1 / (0.6 * F::max_value * std::sqrt(static_cast<double>(columns))));
        constexpr auto values = static_cast<std::uint64_t>(valid_codes<F>.size());
        auto made = s3::packed_matrix<F>::from_codes(
            rows, columns, {.scale = std::span(&scale, 1)}, [&](std::size_t) {
                return [&](std::size_t) {
                    state = state * 6364136223846793005u + 1442695040888963407u;
                    return valid_codes<F>[(state >> 32) * values >> 32];
                };
            });
        if (made)
            m = *std::move(made);
        else
            done = made.error();
    }

private:
    template <s3::weight_format F>
    static constexpr auto valid_codes = [] {
        constexpr std::size_t count = [] {
            std::size_t n = 0;
            for (unsigned k = 0; k < unsigned{F::codes}; ++k)
                n += F::valid(k);
            return n;
        }();
        std::array<int, count> all{};
        std::size_t n = 0;
        for (unsigned k = 0; k < unsigned{F::codes}; ++k)
            if (F::valid(k))
                all[n++] = static_cast<int>(k);
        return all;
    }();
};

} // namespace

model_result load(const std::string& path, const model_options& options) {
    const auto loaded = [&]() -> model_result {
        if (std::filesystem::is_directory(path))
            return load_folder(path, options);
        const auto file = s3::mapped_file::open(path);
        if (!file)
            return s3::described_error(file.error());
        const std::string_view text = s3::gguf::value::text_of(file->bytes());
        return text.starts_with("GGUF") ? load_gguf(file->bytes(), options)
                                        : load_own(file->bytes(), options);
    };
    auto model = loaded();
    return model ? std::move(model) : model.error().in(path);
}

model_result random_model(const config& shape, const std::string& format,
                          const model_options& options) {
    if (const auto sound = shape.check(); !sound)
        return s3::described_error(sound.error());
    model_result made = s3::error(s3::errc::bad_option, "format (ternary or shift3)");
    formats::visit(format == "ternary" ? s3::ternary::name : format, [&]<s3::weight_format F>() {
        packed_weights<F> weights;
        weights.shape = shape;
        weights.layers.resize(shape.layers);
        random_filler fill;
        each_tensor(weights, fill);
        made = fill.done ? make<F>(std::move(weights), options) : model_result(fill.done.error());
    });
    return made;
}

} // namespace lm
