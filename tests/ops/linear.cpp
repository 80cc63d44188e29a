// Linear layers of floats equal their definition bit by bit, on the main instruction sets of the
// build, for all remainders of rows, depth and batch, for scales of groups, rows and tensors, with
// every epilogue, with several threads and in several batches.

#include "../support/linear.hpp"
#include "../support/archs.hpp"
#include "../support/cases.hpp"
#include "../support/fast_math.hpp"
#include "../support/foreign.hpp"
#include "../support/guarded.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"

#include <cstring>
#include <limits>

using namespace s3;

namespace {

/// Weights with scales of a group (0: of a row, of the tensor, or none at all).
template <weight_format F>
packed_matrix<F> weights(test::random& r, std::size_t rows, std::size_t columns,
                         std::size_t group) {
    constexpr scale_type types[] = {scale_type::binary32, scale_type::binary16,
                                    scale_type::bfloat16};
    auto values = test::random_weights<F>(r, rows * columns);
    if (r.below(4) == 0)
        std::fill(values.begin(), values.end(), r.below(2) == 0 ? F::max_value : F::min_value);
    const std::size_t some[] = {rows, std::min<std::size_t>(rows, 1), 0};
    std::vector<float> scale(group == 0 ? some[r.below(3)] : rows * (columns / group));
    for (float& s : scale) {
        s = r.real() + 1.5f; // one draw a line: arguments come in no fixed order
        s = std::ldexp(s, r.between(-20, 0));
        s = r.below(4) == 0 ? -s : s;
    }
    const int offset = r.below(3) == 0 ? -3 : 0;
    std::vector<double> real(values.begin(), values.end());
    for (double& v : real)
        v = std::ldexp(v, offset);
    return *pack<F>(real, rows, columns, {offset, scale, group, types[r.below(3)]});
}

class suite {
public:
    template <weight_format F, class Arch, kernel_choice Choice>
    void draw(std::uint64_t seed, std::size_t rounds) {
        test::cases all(seed);
        test::random r(0);
        for (std::size_t i = 0; i < rounds * test::setting("S3_TEST_ROUNDS", 4) / 4; ++i)
            if (all.next(r)) {
                std::size_t group = r.below(3) == 0 ? 0 : std::size_t{32} << r.below(4);
                const std::size_t deep =
                    r.below(4) == 0 && F::max_value < 1000 ? 2100 + r.below(900) : 300;
                std::size_t k =
                    group == 0 ? r.below(deep) : group * (1 + r.below(1 + deep / group));
                std::size_t m = r.below(150), n = r.below(40);
                if (r.below(8) == 0) { // thin, and as deep as sums allow
                    constexpr auto depth = max_depth<F, std::int8_t>();
                    group = 0;
                    k = static_cast<std::size_t>(depth < 4097 ? depth : 4097);
                    m = 1 + r.below(2);
                    n = 1 + r.below(3);
                }
                all.count();
                if (!equal<F, Arch, Choice>(r, m, k, n, group))
                    all.mismatch(F::name + std::string(" ") + Arch::name);
            }
        all.report();
    }

    /// A single case.
    template <weight_format F, class Arch, kernel_choice Choice = family::automatic>
    void check(std::size_t m, std::size_t k, std::size_t n, std::size_t group) {
        test::random r(k);
        CHECK(equal<F, Arch, Choice>(r, m, k, n, group, n));
    }

private:
    template <weight_format F, class Arch, kernel_choice Choice>
    bool equal(test::random& r, std::size_t m, std::size_t k, std::size_t n, std::size_t group,
               std::size_t batch = 0) {
        const auto w = weights<F>(r, m, k, group);
        const test::thread_executor threads{1 + r.below(3)};
        const linear_options o{.batch = batch != 0 ? batch : 1 + r.below(n + 4),
                               .activation_group = r.below(2) == 0 ? 0 : w.group(),
                               .executor = threads};
        auto layer = linear<F, Choice, Arch>::make(w, o);
        REQUIRE(layer);
        const auto where = r.below(2) == 0 ? test::side::lower : test::side::upper;
        const std::size_t x_stride = k + r.below(3), y_stride = m + r.below(3);
        const auto taken = [&](std::size_t stride, std::size_t columns) {
            return n == 0 ? 0 : (n - 1) * stride + columns;
        };
        const auto x = x_.take<float>(taken(x_stride, k), where);
        const float size = std::ldexp(1.0f, r.between(-30, 30));
        for (float& v : x)
            v = r.real() * size;
        if (r.below(8) == 0 && !x.empty())
            std::fill_n(x.begin(), std::min(k, x.size()), 0.0f);
        if (r.below(8) == 0) // all at an extreme
            std::fill(x.begin(), x.end(), r.below(2) == 0 ? size : -size);
        const auto y = y_.take<float>(taken(y_stride, m), where);
        std::memset(y.data(), 0x5a, y.size_bytes());
        std::vector<float> bias(r.below(2) == 0 ? 0 : m), gate(r.below(2) == 0 ? 0 : n * m),
            residual(r.below(2) == 0 ? 0 : n * m);
        for (auto* all : {&bias, &gate, &residual})
            for (float& v : *all)
                v = r.real() * 4;
        const auto view = [&](const std::vector<float>& v) {
            return v.empty() ? matrix_view<const float>() : matrix_view<const float>(v, n, m);
        };
        const linear_epilogue e{bias, static_cast<nonlinearity>(r.below(5)), view(gate),
                                view(residual)};
        const matrix_view<const float> in(x, n, k, x_stride);
        std::vector<float> expected(y.begin(), y.end());
        test::linear_by_definition(w, in, matrix_view<float>(expected, n, m, y_stride), e,
                                   o.activation_group);
        REQUIRE((*layer)(in, matrix_view<float>(y, n, m, y_stride), e));
        return std::memcmp(expected.data(), y.data(), y.size_bytes()) == 0;
    }
    test::guarded_memory x_{1 << 24}, y_{1 << 20};
};

template <class Layer>
void refuses(result<Layer>&& layer, std::string_view what) {
    REQUIRE(!layer);
    CHECK(layer.error().message().find(what) != std::string::npos);
}

/// This machine, as if it had a matrix unit.
template <class Native>
struct with_tiles : Native {
    static constexpr const char* name = "emulated tiles";
    static constexpr bool has_tiles = true;
};

template <class Native>
void check_tiles() {
    if constexpr (simd::has_bytes<Native>) {
        using tiles = with_tiles<Native>;
        permit_tiles(); // a real unit, if this build has one, takes the emulated one's place
        const bool permitted = simd::tiles_permitted<tiles>();
        suite().draw<shift3, tiles, family::automatic>(4, 60);
        const auto serves = [](std::size_t group) {
            test::random r(1);
            const auto w = weights<shift3>(r, 40, 512, group);
            return std::string_view(linear<shift3, family::automatic, tiles>::make(w, {.batch = 9})
                                        ->kernel_name()) == "dot_bytes_group_tiles";
        };
        suite().check<shift3, tiles>(20, 17024, 70, 64); // more than are staged together
        CHECK(serves(128) == permitted);
        CHECK(serves(0) == permitted);
        CHECK(!serves(32));
    }
}

/// Runs tasks one after the other, with as many workers as its user says.
struct changing_executor {
    std::size_t workers = 2;
    [[nodiscard]] std::size_t concurrency() const { return workers; }
    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        for (std::size_t t = 0; t < tasks; ++t)
            f(t, t % workers);
    }
};

} // namespace

TEST_CASE("dot products and shifts with scales equal the definition on the main instruction sets" *
          doctest::skip(s3::test::fast_math)) {
    test::main_archs::each([&]<class Arch>() {
        CAPTURE(Arch::name);
        suite().draw<shift3, Arch, family::automatic>(1, 60);
    });
    suite().draw<shift3, arch::native, "shift_add_words_groups">(2, 20);
    suite().check<shift3, arch::native>(20, 17024, 130, 32); // more than are staged together
    suite().check<shift3, arch::native>(20, 17001, 130, 0);
}

TEST_CASE("sums of a matrix unit equal the definition" * doctest::skip(s3::test::fast_math)) {
    check_tiles<arch::native>();
}

TEST_CASE("kernels that look sums up equal the definition, a group at a time" *
          doctest::skip(s3::test::fast_math)) {
    if constexpr (kernel::shift_add_int16_permute_groups<shift3, arch::native>::exists)
        suite().draw<shift3, arch::native, "shift_add_int16_permute_groups">(5, 40);
    if constexpr (kernel::shift_add_bytes_shuffle_groups<shift4, arch::native>::exists)
        suite().draw<shift4, arch::native, "shift_add_bytes_shuffle_groups">(6, 40);
    suite().draw<shift2, arch::native, "shift_add_table_groups">(7, 40);
    suite().check<shift2, arch::native, "shift_add_table_groups">(4200, 64, 40, 32);
}

TEST_CASE("so they do for every kind of format" * doctest::skip(s3::test::fast_math)) {
    test::type_list<dense4, shift5, int8_weights, test::thirds>::each(
        [&]<class F>() { suite().draw<F, arch::native, family::automatic>(3, 40); });
    test::main_archs::each([&]<class Arch>() {
        CAPTURE(Arch::name);
        suite().draw<test::symmetric_int8, Arch, family::automatic>(8, 10);
    });
}

TEST_CASE("outputs have the same bits on every machine" * doctest::skip(s3::test::fast_math)) {
    constexpr std::uint64_t golden = 16761267900689889999u;
    test::digest d;
    test::random r(11);
    for (const std::size_t group : {0u, 32u, 128u})
        for (const auto f : {nonlinearity::relu, nonlinearity::silu, nonlinearity::gelu}) {
            const std::size_t m = 50, k = 256, n = 11;
            auto layer = *linear<shift3>::make(weights<shift3>(r, m, k, group),
                                               {.batch = 4, .activation_group = group});
            std::vector<float> x(n * k), y(n * m), more(n * m);
            for (auto* all : {&x, &more})
                for (float& v : *all)
                    v = r.real() * 8;
            const matrix_view<const float> view(more, n, m);
            REQUIRE(layer(matrix_view<const float>(x, n, k), matrix_view<float>(y, n, m),
                          {.bias = std::span<const float>(more).first(m),
                           .activation = f,
                           .gate = group == 32 ? view : matrix_view<const float>(),
                           .residual = view}));
            d.add(y);
        }
    CHECK(d.value() == golden);
}

TEST_CASE("gates are near their functions of real numbers" * doctest::skip(s3::test::fast_math)) {
    for (float v = -100; v < 100; v += 0.0137f) {
        const double d = v, u = std::sqrt(2 / std::acos(-1.0)) * (d + 0.044715 * d * d * d);
        const auto near = [&](nonlinearity f, double exact) {
            CHECK(std::fabs(test::gate(f, v) - exact) <= 4e-7 * std::fabs(exact) + 1e-34);
        };
        near(nonlinearity::none, d);
        near(nonlinearity::relu, std::max(d, 0.0));
        near(nonlinearity::squared_relu, d < 0 ? 0 : d * d);
        if (v > -87)
            near(nonlinearity::silu, d / (1 + std::exp(-d)));
        // An error of u is one of e^−2u, relative to it.
        const double exact = d / (1 + std::exp(-2 * u));
        CHECK(std::fabs(test::gate(nonlinearity::gelu, v) - exact) <=
              4e-7 * (1 + std::fabs(u)) * std::fabs(exact) + 1e-30);
    }
}

TEST_CASE("scales of 16 bits that are tiny keep their value") {
    for (const auto stored : {scale_type::binary16, scale_type::bfloat16})
        for (std::uint32_t bits = 1; bits < 0x7c00; bits += 7) {
            const auto half = static_cast<std::uint16_t>(bits);
            if (stored == scale_type::bfloat16 && bits < 0x80)
                continue; // below the smallest normal float
            std::uint16_t all[64];
            std::fill(std::begin(all), std::end(all), half);
            float value[64];
            const kernel::group_scales s{reinterpret_cast<const std::byte*>(all), stored};
            simd::store<arch::native>(value, s.load<arch::native>(0));
            CHECK(value[0] == layout::from_bits(half, stored));
        }
}

TEST_CASE("an executor may lose workers, but not gain some") {
    changing_executor executor;
    const auto w = *pack<shift3>(std::vector<int>(400 * 64, 1), 400, 64);
    auto layer = *linear<shift3>::make(w, {.batch = 4, .executor = executor});
    const std::vector<float> x(9 * 64, 1.0f);
    std::vector<float> y(9 * 400, 7.0f);
    executor.workers = 3;
    const auto refused = layer(x, y);
    REQUIRE(!refused);
    CHECK(refused.error().message() == "options.executor: option is out of range (got 3, limit 2)");
    CHECK(y == std::vector<float>(y.size(), 7.0f));
    for (executor.workers = 2; executor.workers > 0; --executor.workers) {
        std::fill(y.begin(), y.end(), 0.0f);
        CHECK(layer(x, y));
        CHECK(y == std::vector<float>(y.size(), 64.0f));
    }
}

TEST_CASE("what cannot be computed is refused by name, and nothing is written") {
    test::random r(5);
    const auto w = weights<shift3>(r, 20, 64, 32);
    refuses(linear<shift3>::make(w, {.batch = 0}), "options.batch");
    refuses(linear<shift3>::make(w, {.activation_group = 64}), "options.activation_group");
    refuses(linear<shift3>::make(w, {.batch = std::numeric_limits<std::size_t>::max() / 8}),
            "allocation");
    refuses(linear<shift3>::make(weights<shift3>(r, 20, 64, 0), {.activation_group = 32}),
            "options.activation_group");
    CHECK(linear<shift3>::make(weights<shift3>(r, 20, 64, 64), {.activation_group = 64}));
    std::vector<std::byte> memory(*linear<shift3>::bytes(w) - 1);
    refuses(linear<shift3>::make(w, {}, memory), "memory");
    auto layer = *linear<shift3>::make(w);
    std::vector<float> x(3 * 64, 1.0f), y(3 * 20, 7.0f), z(3 * 20);
    const auto run = [&](matrix_view<const float> in, matrix_view<float> out,
                         const linear_epilogue& e = {}) { return layer(in, out, e); };
    const auto says = [&](const status& s, std::string_view what) {
        REQUIRE(!s);
        CHECK(s.error().message().find(what) != std::string::npos);
        CHECK(y == std::vector<float>(y.size(), 7.0f));
    };
    const matrix_view<const float> in(x, 3, 64);
    const matrix_view<float> out(y, 3, 20);
    says(run({x, 3, 63}, out), "x.columns");
    says(run(in, {y, 3, 19}), "y.columns");
    says(run(in, {y, 2, 20}), "y.rows");
    says(run({x, 4, 64}, out), "x");
    says(run(in, out, {.bias = std::span<const float>(z).first(19)}), "epilogue.bias");
    says(run(in, out, {.gate = {z, 3, 19}}), "epilogue.gate");
    says(run(in, out, {.residual = {z, 2, 20}}), "epilogue.residual");
    for (const float bad : {test::not_a_number, -test::infinity}) {
        x[130] = bad;
        says(run(in, out), "x[130]");
        x[130] = 1;
        z[3] = bad;
        says(run(in, out, {.bias = std::span<const float>(z).first(20)}), "epilogue.bias[3]");
        z[3] = 0;
    }
    CHECK(run(in, out));
    CHECK(layer(x, z));
    CHECK(y == z);
    std::fill(z.begin(), z.end(), 0.0f);
    memory.assign(memory.size() + 1, std::byte{0x55});
    CHECK((*linear<shift3>::make(w, {}, memory))(x, z));
    CHECK(y == z);
    CHECK(!layer(std::span(x).first(65), z));
    CHECK(!layer(x, std::span(z).first(59)));
}
