// The `shift_add` kernels, compiled as a user's program compiles them, to be read by check.py. With
// S3_PLANT_MULTIPLICATION one of them multiplies, which the check must find.

#include <s3/kernel/parts/panel_product.hpp>
#include <s3/kernel/shift_add_bytes_shuffle.hpp>
#include <s3/kernel/shift_add_bytes_table.hpp>
#include <s3/kernel/shift_add_int16_permute.hpp>
#include <s3/kernel/shift_add_table.hpp>
#include <s3/kernel/shift_add_words_depthwise.hpp>
#include <s3/kernel/shift_add_words_panels.hpp>

#include <cstring>

namespace {

using arch = s3::arch::native;

/// Rows of x in, rows of y out: nothing that could multiply.
template <class Staged>
struct copy_rows {
    const Staged* x;
    std::size_t k;

    template <class S>
    void operator()(std::size_t n, std::size_t count, S* to, std::size_t stride) const {
        for (std::size_t c = 0; c < count; ++c, to += stride) {
            std::memset(to, 0, stride * sizeof(S));
            std::memcpy(to, x + (n + c) * k, k * sizeof(S));
        }
    }
    template <class S>
    std::size_t segments() const {
        return 0;
    }
    template <class S>
    void point(std::size_t, std::size_t, const S**, S*) const {}
    static bool ignores_padding() { return false; }
    std::size_t alike(std::size_t) const { return 1; }
};

/// Rows of y, `m` sums each.
template <class Sum>
struct copy_sums {
    Sum* y;
    std::size_t m;

    void place(std::size_t n, std::size_t count, std::size_t* at) const {
        for (std::size_t c = 0; c < count; ++c)
            at[c] = (n + c) * m;
    }
    void operator()(const std::size_t* at, std::size_t columns, std::size_t row, std::size_t count,
                    const Sum* sums, std::size_t stride) const {
        for (std::size_t c = 0; c < columns; ++c)
            std::memcpy(y + at[c] + row, sums + c * stride, count * sizeof(Sum));
    }
    void operator()(std::size_t n, std::size_t row, std::size_t count, const Sum* sums) const {
        std::memcpy(y + n * m + row, sums, count * sizeof(Sum));
    }
    Sum* straight(std::size_t) const { return nullptr; }
};

template <class Kernel>
void run(const void* w, const void* x, void* y, std::size_t m, std::size_t k, std::size_t n,
         const void* initial, std::byte* scratch) {
    using sum = typename Kernel::sum;
    using staged = typename Kernel::staged;
    const s3::kernel::panel_view<sum> view{static_cast<const std::uint8_t*>(w), m, k,
                                           static_cast<const sum*>(initial)};
    Kernel::run(view, {0, n, 0, Kernel::panels(m)},
                copy_rows<staged>{static_cast<const staged*>(x), k},
                copy_sums<sum>{static_cast<sum*>(y), m}, scratch);
}

#if defined(S3_PLANT_MULTIPLICATION)
struct planted_engine : s3::kernel::word_shift_engine<arch> {
    static S3_INLINE word step(const word& p, const word& x, const word& w) noexcept {
        return p + x * w;
    }
};
struct planted : s3::kernel::word_shift_add<s3::shift3, arch> {
    using engine = planted_engine;
};
using words3 = s3::kernel::tile<planted>;
#else
using words3 = s3::kernel::tile<s3::kernel::word_shift_add<s3::shift3, arch>>;
#endif

} // namespace

using kernel_function = void (*)(const void*, const void*, void*, std::size_t, std::size_t,
                                 std::size_t, const void*, std::byte*);

extern const kernel_function shift_add_kernels[];
const kernel_function shift_add_kernels[] = {
    run<words3>,
    run<s3::kernel::tile<s3::kernel::word_shift_add<s3::dense5, arch>>>,
    run<s3::kernel::table<s3::shift2, arch, std::int16_t>>,
    run<s3::kernel::table<s3::shift3, arch, std::int16_t>>,
    run<s3::kernel::table<s3::dense3, arch, std::int16_t>>,
    run<s3::kernel::table<s3::shift4, arch, std::uint32_t>>,
    run<s3::kernel::table<s3::shift2, arch, float>>,
    run<s3::kernel::table<s3::shift3, arch, float>>,
#if S3_HAS_SIMD
    run<s3::kernel::byte_table<s3::ternary, arch>>,
#endif
#if defined(__SSE4_1__) || defined(__aarch64__)
    run<s3::kernel::nibble<s3::shift3, arch>>,
    run<s3::kernel::nibble<s3::shift4, arch>>,
#endif
#if defined(__AVX512BW__)
    run<s3::kernel::pair<s3::shift2, arch>>,
    run<s3::kernel::pair<s3::shift3, arch>>,
#endif
};

#if defined(__AVX2__) || defined(__aarch64__)
using depthwise = s3::kernel::depthwise_shift<s3::shift3, std::uint8_t, arch>;

extern void shift_add_depthwise(const depthwise::filter&, const s3::image_view<const std::uint8_t>&,
                                const s3::extent&, const s3::conv_options&, std::int32_t*,
                                std::byte*);
void shift_add_depthwise(const depthwise::filter& w, const s3::image_view<const std::uint8_t>& x,
                         const s3::extent& out, const s3::conv_options& o, std::int32_t* y,
                         std::byte* scratch) {
    depthwise::run(w, x, out, o, 0, out.height * out.width, copy_sums<std::int32_t>{y, x.channels},
                   scratch);
}
#endif
