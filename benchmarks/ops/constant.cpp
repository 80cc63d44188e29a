// Weights as template constants, beside the kernels for weights known only at run time: the generic
// `dot` product on the same matrix (with activations in its own order), and for a 3 × 3 stencil a
// loop of vpmaddubsw. Activations and outputs stay in cache.

#include "../support/operations.hpp"

#include <s3/ops/constant.hpp>

#include <array>

namespace {

using namespace s3;
using namespace s3::bench;

/// A 3-bit matrix with `zeros` percent of zeros.
template <std::size_t M, std::size_t K>
constexpr constant_matrix<M, K> random_constant(unsigned zeros) {
    constant_matrix<M, K> w;
    std::uint32_t state = 12345;
    const auto next = [&] {
        state = state * 1664525u + 1013904223u;
        return state >> 8;
    };
    for (auto& v : w.values) {
        const bool zero = next() % 100 < zeros;
        const std::int32_t magnitude = 1 << next() % 3;
        v = zero ? 0 : next() % 2 == 0 ? magnitude : -magnitude;
    }
    return w;
}

/// The constant product x[K][P] → y[M][P].
template <constant_matrix W, class Y>
struct planar {
    static constexpr std::size_t pixels = 288;
    memory x = random_activations<std::uint8_t>(W.columns * pixels);
    memory y{W.rows * pixels * sizeof(Y)};

    void operator()() {
        succeed(
            apply<W>(matrix_view<const std::uint8_t>(x.as<const std::uint8_t>(), W.columns, pixels),
                     matrix_view<Y>(y.as<Y>(), W.rows, pixels)));
    }
};

/// The same by the generic kernel: x[P][K] → y[P][M].
template <constant_matrix W>
struct generic {
    static constexpr std::size_t pixels = 288;
    memory x = random_activations<std::uint8_t>(W.columns * pixels);
    memory y{W.rows * pixels * sizeof(std::int32_t)};
    prepared_matrix<shift3, std::uint8_t, arch::native, family::dot> w =
        require(prepare<std::uint8_t, family::dot>(
            require(pack<shift3>(std::span<const std::int32_t>(W.values), W.rows, W.columns)),
            {.batch = pixels}));
    memory scratch{scratch_bytes(w, pixels)};

    void operator()() {
        succeed(matmul(
            w, matrix_view<const std::uint8_t>(x.as<const std::uint8_t>(), pixels, W.columns),
            matrix_view<std::int32_t>(y.as<std::int32_t>(), pixels, W.rows), {}, scratch.span()));
    }
};

template <constant_matrix W, class Y>
void row(unsigned zeros, double target) {
    const char* out = sizeof(Y) == 2 ? "int16" : "int32";
    add(text("constant/%zux%zu/zeros%u/%s", W.rows, W.columns, zeros, out), [=] {
        const auto c = std::make_shared<planar<W, Y>>();
        const auto g = std::make_shared<generic<W>>();
        const double macs = static_cast<double>(W.rows * W.columns * c->pixels);
        subject s{.regime = text("constants, %u%% zeros, %s out", zeros, out),
                  .shape = product_shape(W.rows, W.columns, c->pixels),
                  .kernel = "constant shift3·uint8",
                  .gmacs = macs * 1e-9,
                  .gbytes = 0,
                  .run = [c] { (*c)(); },
                  .weight_bits = 3};
        s.against("generic dot", target, [g] { (*g)(); });
        s.against(integer_peak(), 0);
        return s;
    });
}

constexpr std::size_t height = 34, width = 1024;

#if defined(__AVX512BW__)
/// A 3 × 3 stencil by pairs of taps: even and odd outputs apart, then interleaved.
void stencil_by_pairs(const std::uint8_t* x, std::int16_t* y, const std::int8_t (&w)[9]) {
    const auto pair = [](std::int8_t a, std::int8_t b) {
        return _mm512_set1_epi16(
            static_cast<short>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b) << 8));
    };
    __m512i first[3], last[3];
    for (std::size_t a = 0; a < 3; ++a) {
        first[a] = pair(w[3 * a], w[3 * a + 1]);
        last[a] = pair(w[3 * a + 2], 0);
    }
    const __m512i front = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i back = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (std::size_t i = 0; i + 2 < height; ++i)
        for (std::size_t j = 0; j + 67 <= width; j += 64) {
            __m512i even = _mm512_setzero_si512(), odd = even;
            S3_UNROLL_FOR(std::size_t a = 0; a < 3; ++a) {
                const std::uint8_t* p = x + (i + a) * width + j;
                const auto term = [&](std::size_t offset, __m512i v) {
                    return _mm512_maddubs_epi16(_mm512_loadu_si512(p + offset), v);
                };
                even =
                    _mm512_add_epi16(even, _mm512_add_epi16(term(0, first[a]), term(2, last[a])));
                odd = _mm512_add_epi16(odd, _mm512_add_epi16(term(1, first[a]), term(3, last[a])));
            }
            const __m512i low = _mm512_unpacklo_epi16(even, odd);
            const __m512i high = _mm512_unpackhi_epi16(even, odd);
            std::int16_t* to = y + i * (width - 2) + j;
            _mm512_storeu_si512(to, _mm512_permutex2var_epi64(low, front, high));
            _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi64(low, back, high));
        }
}
#endif

template <constant_matrix W>
void stencil_row(const char* name, double target) {
    add(text("constant/stencil/%s", name), [=] {
        const auto x = std::make_shared<memory>(random_activations<std::uint8_t>(height * width));
        const auto y = std::make_shared<memory>(height * width * sizeof(std::int16_t));
        subject s{
            .regime = "constants, stencil 3x3, uint8 to int16",
            .shape = text("%s %zux%zu", name, height, width),
            .kernel = "constant stencil",
            .gmacs = static_cast<double>(9 * (height - 2) * (width - 2)) * 1e-9,
            .gbytes = 0,
            .run =
                [x, y] {
                    succeed(stencil<W>(
                        matrix_view<const std::uint8_t>(x->as<const std::uint8_t>(), height, width),
                        matrix_view<std::int16_t>(y->as<std::int16_t>(), height - 2, width - 2)));
                },
            .weight_bits = 3};
#if defined(__AVX512BW__)
        s.against("vpmaddubsw loop", target, [x, y] {
            std::int8_t w[9];
            for (std::size_t i = 0; i < 9; ++i)
                w[i] = static_cast<std::int8_t>(W.values[i]);
            asm volatile("" : : "r"(w) : "memory"); // as if known at run time only
            stencil_by_pairs(x->as<const std::uint8_t>().data(), y->as<std::int16_t>().data(), w);
        });
#endif
        return s;
    });
}

constexpr constant_matrix gaussian = constant<3, 3>({1, 2, 1, 2, 4, 2, 1, 2, 1});
constexpr constant_matrix sobel = constant<3, 3>({1, 0, -1, 2, 0, -2, 1, 0, -1});
constexpr constant_matrix corner = constant<3, 3>({1, 0, 0, 0, -2, 0, 0, 0, 1});

const int registered = [] {
    row<random_constant<16, 16>(50), std::int32_t>(50, 1);
    row<random_constant<32, 32>(50), std::int32_t>(50, 1.15);
    row<random_constant<32, 32>(50), std::int16_t>(50, 1.15);
    row<random_constant<32, 32>(75), std::int32_t>(75, 2);
    row<random_constant<32, 32>(75), std::int16_t>(75, 2);
    row<random_constant<64, 64>(50), std::int16_t>(50, 0); // also a measure of compile time
    stencil_row<gaussian>("gaussian", 1);
    stencil_row<sobel>("sobel", 1);
    stencil_row<corner>("corner", 1);
    return 0;
}();

} // namespace
