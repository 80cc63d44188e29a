// Runs an exported network on one image and tells what it took: outputs, memory, and instructions,
// beside those of a plain loop over int8 weights.

#include "board.hpp"
#include "network.hpp" // written by s3shift export

namespace {

void show(const char* text) {
    print(text);
}
void show(std::uint64_t number) {
    char text[24];
    char* first = text + sizeof text - 1;
    *first = 0;
    do
        *--first = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    print(first);
}
template <class... Parts>
void line(const Parts&... parts) {
    (show(parts), ...);
    print("\n");
}
/// The work of `what` in instructions.
template <class Work>
std::uint64_t cost(const Work& what) {
    const auto before = instructions();
    what();
    return instructions() - before;
}

/// A pair of trousers, in 28 × 28 bytes.
void draw(std::uint8_t* image) {
    for (unsigned y = 0; y < 28; ++y)
        for (unsigned x = 0; x < 28; ++x) {
            const bool leg = (x >= 9 && x < 13) || (x >= 15 && x < 19);
            const bool waist = y < 8 && x >= 9 && x < 19;
            image[y * 28 + x] = y >= 2 && y < 26 && (leg || waist) ? 190 : 0;
        }
}

// The layer for the comparison: the network's largest, 64 → 64 channels of 7 × 7, 3 × 3.
constexpr std::size_t size = 7, channels = 64, weights = channels * 9 * channels;
constexpr s3::embedded::window_shape window{3, 3, 1, 1, 1, 1};
constexpr s3::embedded::image_shape shape{size, size, channels};

/// The same layer as anybody would write it for int8 weights that lie in memory. It is a function
/// of its own, as the other is, so that compilers find registers for all of its variables.
[[gnu::noinline]] void plain_int8(const std::int8_t* w, const std::int32_t* bias,
                                  const float* scale, const std::uint8_t* x, std::uint8_t* y) {
    for (int oh = 0; oh < int(size); ++oh)
        for (int ow = 0; ow < int(size); ++ow)
            for (std::size_t m = 0; m < channels; ++m) {
                std::int32_t sum = bias[m];
                for (int kh = 0; kh < 3; ++kh)
                    for (int kw = 0; kw < 3; ++kw) {
                        const int h = oh + kh - 1, v = ow + kw - 1;
                        if (h < 0 || v < 0 || h >= int(size) || v >= int(size))
                            continue;
                        const std::uint8_t* from =
                            x + (unsigned(h) * size + unsigned(v)) * channels;
                        const std::int8_t* taps = w + (m * 9 + unsigned(kh * 3 + kw)) * channels;
                        for (std::size_t i = 0; i < channels; ++i)
                            sum += taps[i] * from[i];
                    }
                const std::int32_t q = s3::scale_round(sum, scale[m]);
                y[(unsigned(oh) * size + unsigned(ow)) * channels + m] =
                    static_cast<std::uint8_t>(q < 0     ? 0
                                              : q > 255 ? 255
                                                        : q);
            }
}

std::uint8_t image[network::input_size];
network::output_type logits[network::output_size];
network::arena_type arena;
std::int8_t unpacked[weights];
std::uint8_t input[size * size * channels], ours[sizeof input], theirs[sizeof input];

} // namespace

int main() {
    draw(image);
    const auto whole = cost([] { network::run(image, logits, arena); });
    std::size_t best = 0;
    for (std::size_t k = 1; k < network::output_size; ++k)
        best = logits[k] > logits[best] ? k : best;
    line("class ", best, ", memory for activations: ", sizeof arena, " bytes");
    for (const auto v : logits)
        line(v < 0 ? "-" : "", static_cast<std::uint64_t>(v < 0 ? -std::int64_t{v} : v));

    for (std::size_t i = 0; i < sizeof input; ++i)
        input[i] = static_cast<std::uint8_t>(i * 37);
    for (std::size_t k = 0; k < weights; ++k)
        unpacked[k] = static_cast<std::int8_t>(
            s3::shift3::value(s3::layout::get<3>(network::data::weights_4, k)));
    const s3::embedded::epilogue e{network::data::scale_4, network::data::bias_4, 0, {0, 0, 255}};
    const auto packed = cost([&] {
        s3::embedded::conv2d<s3::shift3>(network::data::weights_4, e, window, 1, shape, shape,
                                         input, reinterpret_cast<std::int8_t*>(arena.bytes), ours);
    });
    const auto plain = cost(
        [] { plain_int8(unpacked, network::data::bias_4, network::data::scale_4, input, theirs); });
    for (std::size_t i = 0; i < sizeof ours; ++i)
        if (ours[i] != theirs[i]) {
            line("output ", i, " of the layer DIFFERS");
            return 1;
        }
    if (whole != 0) {
        line("instructions of an image: ", whole);
        line("of its largest layer, 3-bit weights: ", packed, "; plain int8 loop: ", plain);
    }
    return 0;
}
