// Memory that runs out: whichever allocation fails, the call returns an error and keeps nothing.
// And calls that are given their memory allocate none.

#include <s3/ops/conv2d.hpp>
#include <s3/ops/matmul.hpp>
#include <s3/pack/quantize.hpp>
#include <s3/pack/record.hpp>

#include "../support/random.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

using namespace s3;

namespace {

/// The library allocates without exceptions: aligned memory, and arrays of objects.
struct allocations {
    static inline long before_failure = -1; ///< so many succeed before one fails; −1 for all
    static inline bool failed = false;
    static inline long made = 0;
    static inline long alive = 0;
    static inline long others = 0; ///< by a way that throws

    static void* take(std::size_t size, std::size_t alignment) noexcept {
        ++made;
        if (before_failure >= 0 && before_failure-- == 0) { // that one alone
            failed = true;
            return nullptr;
        }
        ++alive;
        return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    }
    static void release(void* p) noexcept {
        alive -= p != nullptr;
        std::free(p);
    }
};

} // namespace

void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return allocations::take(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return allocations::take(size, alignof(std::max_align_t));
}
void operator delete(void* p, std::align_val_t) noexcept {
    allocations::release(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    allocations::release(p);
}
void operator delete[](void* p) noexcept {
    allocations::release(p);
}
void operator delete[](void* p, std::size_t) noexcept {
    allocations::release(p);
}
void* operator new[](std::size_t size) {
    ++allocations::others;
    void* const p = allocations::take(size, alignof(std::max_align_t));
    if (p == nullptr)
        std::abort();
    return p;
}
void* operator new(std::size_t size) {
    ++allocations::others;
    void* const p = std::malloc(size == 0 ? 1 : size);
    if (p == nullptr)
        std::abort();
    return p;
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}

namespace {

/// Calls f with the first, the second, … allocation failing, until none does. f returns a result.
template <class Function>
void fail_each(const char* name, Function&& f) {
    CAPTURE(name);
    for (long n = 0;; ++n) {
        CAPTURE(n);
        const long alive = allocations::alive, others = allocations::others;
        allocations::failed = false;
        allocations::before_failure = n;
        {
            const auto r = f();
            allocations::before_failure = -1;
            REQUIRE(allocations::others == others);
            REQUIRE(r.has_value() != allocations::failed);
            if (allocations::failed) {
                REQUIRE(r.error().code == errc::out_of_memory);
                REQUIRE(allocations::alive == alive);
            }
        }
        REQUIRE(allocations::alive == alive);
        if (!allocations::failed) {
            CHECK(n > 0);
            return;
        }
    }
}

template <class Function>
void allocates_nothing(Function&& f) {
    const long made = allocations::made, others = allocations::others;
    const status s = f();
    const bool none = allocations::made == made && allocations::others == others;
    REQUIRE_MESSAGE(s, s.error().message());
    CHECK(none);
}

struct layer {
    filter_shape shape;
    conv_options options;
    int bits;
};
const layer layers[] = {{{16, 3, 3, 16}, {.padding = 1}, 8},
                        {{64, 3, 3, 64}, {.padding = 1}, 6}, // Winograd
                        {{40, 3, 3, 1}, {.padding = 1, .groups = 40}, 8},
                        {{12, 3, 3, 4}, {.padding = 1, .groups = 3}, 8},
                        {{64, 1, 1, 64}, {}, 8}};

} // namespace

TEST_CASE("packing and reading name the memory that they did not get") {
    test::random r(1);
    const auto values = test::random_weights<shift3>(r, 12 * 10);
    const std::vector<float> scale(12, 0.5f), reals(values.begin(), values.end());
    const pack_options options{.exponent_offset = 0, .scale = scale};
    const auto packed = *pack<shift3>(values, 12, 10, options);
    const auto record = serialize(packed);
    fail_each("pack", [&] { return pack<shift3>(values, 12, 10, options); });
    fail_each("slice", [&] { return packed.slice(3, 5); });
    fail_each("from_stream",
              [&] { return packed_matrix<shift3>::from_stream(12, 10, packed.stream(), options); });
    fail_each("deserialize", [&] { return deserialize<shift3>(record); });
    fail_each("pack_filter", [&] {
        return pack_filter<shift3>(values, {12, 1, 2, 5}, filter_order::oihw, options);
    });
    for (const scale_per per : {scale_per::tensor, scale_per::row})
        fail_each("quantize", [&] {
            return quantize<shift3>(reals, 12, 10, {nearest::value, per, scale_kind::real});
        });
}

TEST_CASE("a product names the memory that it did not get") {
    test::random r(2);
    const auto values = test::random_weights<shift3>(r, 40 * 33);
    const std::vector<float> scale(40, 0.5f);
    const auto packed = *pack<shift3>(values, 40, 33, {.exponent_offset = 0, .scale = scale});
    const std::vector<std::int8_t> x(20 * 33, 3);
    const std::vector<float> x_float(20 * 33, 3);
    std::vector<float> y(20 * 40);
    for (const family f : {family::dot, family::shift_add}) {
        const prepare_options o{.batch = 20, .kernels = f};
        fail_each("prepare", [&] { return prepare<std::int8_t, family::any>(packed, o); });
        fail_each("prepare for float", [&] { return prepare<float, family::any>(packed, o); });
        const auto w = *prepare<std::int8_t, family::any>(packed, o);
        const auto w_float = *prepare<float, family::any>(packed, o);
        fail_each("matmul", [&] { return matmul(w, x, y); });
        fail_each("matmul in float", [&] { return matmul(w_float, x_float, y); });
        auto scratch = *buffer<std::byte>::make(scratch_bytes(w, 20));
        allocates_nothing([&] {
            return matmul(w, matrix_view<const std::int8_t>(x, 20, 33),
                          matrix_view<float>(y, 20, 40), {}, scratch.span());
        });
    }
    fail_each("matmul from packed weights", [&] {
        return matmul(packed, matrix_view<const std::int8_t>(x, 20, 33),
                      matrix_view<float>(y, 20, 40));
    });
}

TEST_CASE("a convolution names the memory that it did not get") {
    test::random r(3);
    for (const layer& l : layers) {
        const std::size_t in = l.shape.in_channels * l.options.groups;
        CAPTURE(in);
        const auto filter = *pack_filter<shift3>(
            test::random_weights<shift3>(r, l.shape.out_channels * l.shape.columns()), l.shape);
        const std::vector<std::uint8_t> x(36 * in, 1);
        std::vector<std::int32_t> y(36 * l.shape.out_channels);
        const image_view<const std::uint8_t> image{x, 1, 6, 6, in};
        const image_view<std::int32_t> to{y, 1, 6, 6, l.shape.out_channels};
        for (const bool any_order : {false, true}) {
            const prepare_options o{.activation_bits = l.bits, .any_order = any_order};
            fail_each("prepare", [&] { return prepare(filter, l.options, o); });
            const auto w = *prepare(filter, l.options, o);
            fail_each("conv2d", [&] { return conv2d(w, image, to); });
            auto scratch = *buffer<std::byte>::make(scratch_bytes(w, 1, {6, 6}));
            allocates_nothing([&] { return conv2d(w, image, to, {}, scratch.span()); });
        }
        fail_each("conv2d from packed weights",
                  [&] { return conv2d(filter, image, to, l.options); });
    }
}
