// A packed language model without libtorch, this program's own or one of others: generates tokens,
// computes the loss on a text, or measures the speed, also of a large model of random weights.

#include "generate.hpp"
#include "speed.hpp"
#include "text.hpp"

#include <s3/simd/tile_permission.hpp>

#include <CLI/CLI.hpp>

namespace {

using namespace lm;

struct options {
    std::string model, shape, format = "ternary", prompt = "And the LORD said unto ", loss;
    std::vector<std::uint32_t> prompt_ids;
    std::size_t count = 0, cache = 0, batch = 64, windows = 512;
    bool measure = false;
    sampling_options sampling;
    speed_options speed;
};

[[nodiscard]] std::unique_ptr<language_model> open(const options& o) {
    return support::checked(load(o.model, {1, o.cache, o.batch}), "model");
}

void continue_prompt(const options& o) {
    const auto model = open(o);
    const bool as_text = o.prompt_ids.empty();
    const auto prompt = as_text ? tokens_of(*model, o.prompt) : o.prompt_ids;
    const std::size_t room =
        model->options().cache - std::min(model->options().cache, prompt.size());
    bool first = true;
    generate(*model, prompt, o.count == 0 ? room : o.count, o.sampling, [&](std::uint32_t token) {
        if (as_text && first)
            std::fputs(o.prompt.c_str(), stdout);
        first = false;
        if (as_text)
            std::putchar(static_cast<int>(token));
        else
            std::printf("%u ", token);
        std::fflush(stdout);
    });
    std::putchar('\n');
}

void print_loss(const options& o) {
    const auto model = open(o);
    const auto text = read_text(o.loss);
    std::printf("%.6f bits per byte\n", bits_per_byte(*model, text.held_out(), o.windows));
}

void measure_speed(const options& o) {
    const std::size_t most = *std::max_element(o.speed.sequences.begin(), o.speed.sequences.end());
    const model_options needed{most, o.speed.prompt + o.speed.generate, o.batch};
    std::fprintf(stderr, "%s …\n", o.measure ? "reading the model" : "making random weights");
    const auto model =
        o.measure ? support::checked(load(o.model, needed), "model")
                  : support::checked(random_model(support::checked(shape_named(o.shape), "--shape"),
                                                  o.format, needed),
                                     "--shape");
    memory_reader memory;
    support::progress bar("measuring");
    std::vector<speed> speeds;
    std::size_t done = 0;
    const std::size_t all = o.speed.sequences.size() * (o.speed.generate + 1);
    for (const std::size_t n : o.speed.sequences)
        speeds.push_back(measure(*model, n, o.speed, memory, [&] { bar(++done, all); }));
    const auto count = [](std::size_t n) { return support::text::count(static_cast<double>(n)); };
    std::printf(
        "%s: %s weights in %s bytes, which each step reads; memory gives %.1f GB/s; one core "
        "(%s)\n\n",
        (o.measure ? o.model : o.shape + ", " + o.format).c_str(),
        count(model->weight_count()).c_str(), count(model->weight_bytes()).c_str(),
        memory.bytes_per_second() / 1e9, s3::arch::native::name);
    support::print(speed_table(speeds, model->weight_bytes(), memory.bytes_per_second()));
}

} // namespace

int main(int argc, char** argv) {
    s3::permit_tiles();
    options o;
    CLI::App app("Runs a packed language model, or measures the speed of a large one.");
    app.option_defaults()->always_capture_default();
    auto* model = app.add_option("model", o.model,
                                 "File of a packed model, GGUF file, or folder of BitNet b1.58");
    app.add_option("--prompt", o.prompt, "Text to continue")->needs(model);
    app.add_option("--prompt-ids", o.prompt_ids,
                   "Numbers of tokens to continue, by numbers, where tokens are not bytes")
        ->needs(model);
    app.add_option("--count", o.count, "Tokens to generate (0: until the cache is full)")
        ->needs(model);
    app.add_option("--cache", o.cache,
                   "Tokens that the cache of keys and values holds (0: the model's context)")
        ->check(CLI::Range(0, 1 << 20))
        ->needs(model);
    app.add_option("--temperature", o.sampling.temperature, "0: always the most probable token")
        ->check(CLI::Range(0.0, 100.0));
    app.add_option("--top", o.sampling.top, "Draw among so many tokens (0: all)");
    app.add_option("--seed", o.sampling.seed, "Of the draws");
    app.add_option("--loss", o.loss, "Text file: print the loss on its last twentieth instead")
        ->needs(model);
    app.add_option("--windows", o.windows, "Windows of that text, of the model's context each")
        ->check(CLI::Range(1, 1 << 20));
    auto* shape = app.add_option("--shape", o.shape,
                                 "Measure the speed of random weights of a shape: small, or 2B "
                                 "(that of BitNet b1.58 2B4T)")
                      ->excludes(model);
    app.add_flag("--speed", o.measure, "Measure the speed of the model instead")
        ->needs(model)
        ->excludes(shape);
    app.add_option("--format", o.format, "Of the random weights")
        ->check(CLI::IsMember({"ternary", "shift3"}));
    app.add_option("--sequences", o.speed.sequences, "That are continued together")
        ->check(CLI::Range(1, 1024));
    app.add_option("--prompt-tokens", o.speed.prompt, "Of each sequence")
        ->check(CLI::Range(1, 4096));
    app.add_option("--tokens", o.speed.generate, "To generate in each sequence")
        ->check(CLI::Range(1, 4096));
    app.add_option("--batch", o.batch, "Tokens that are computed together")
        ->check(CLI::Range(1, 4096));
    CLI11_PARSE(app, argc, argv);
    try {
        if (o.measure || shape->count() != 0)
            measure_speed(o);
        else if (o.model.empty())
            throw std::runtime_error("neither a model nor --shape was given; --help tells more");
        else if (!o.loss.empty())
            print_loss(o);
        else
            continue_prompt(o);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "language_model: %s\n", e.what());
        return 1;
    }
}
