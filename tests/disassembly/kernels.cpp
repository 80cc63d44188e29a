// The `shift_add` kernels of the registry, compiled as a user's program compiles them, to be read
// by check.py. With S3_PLANT_MULTIPLICATION there is one that multiplies, which the check must
// find.

#include <s3/format/list.hpp>
#include <s3/kernel/registry.hpp>

#include "../support/sums.hpp"

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

template <class Kernel>
void run(const void* w, const void* x, void* y, std::size_t m, std::size_t k, std::size_t n,
         const void* initial, std::byte* scratch) {
    using sum = typename Kernel::sum;
    using staged = typename Kernel::staged;
    const s3::kernel::panel_view<sum> view{static_cast<const std::uint8_t*>(w), m, k,
                                           static_cast<const sum*>(initial)};
    Kernel::run(view, {0, n, 0, Kernel::panels(m)},
                copy_rows<staged>{static_cast<const staged*>(x), k},
                s3::test::copy_sums<sum>{static_cast<sum*>(y), m}, scratch);
}

template <class Loop>
void convolve(const typename Loop::filter& w, const s3::image_view<const std::uint8_t>& x,
              const s3::extent& out, const s3::conv_options& o, std::int32_t* y,
              std::byte* scratch) {
    Loop::run(w, x, out, o, 0, out.height * out.width,
              s3::test::copy_sums<std::int32_t>{y, x.channels}, scratch);
}

/// Where functions go, so that none is left out.
void* volatile compiled;

template <class Function>
void keep(Function* f) {
    compiled = reinterpret_cast<void*>(f);
}

/// A kernel that the list has for a format and an activation type, and that does not multiply.
template <class Kernel>
constexpr bool shifts = [] {
    if constexpr (Kernel::exists)
        return Kernel::family == s3::family::shift_add;
    else
        return false;
}();

template <s3::weight_format F, s3::activation X>
void keep_products() {
    s3::kernel::products<F, X, arch>::each([](auto k) {
        using kernel = typename decltype(k)::type;
        if constexpr (shifts<kernel>)
            keep(&run<s3::kernel::loop_of<kernel>>);
    });
}
/// Where lanes cannot be shifted one by one, compilers shift by multiplying in plain loops.
template <s3::weight_format F>
void keep_convolutions() {
    s3::kernel::direct_convolutions<F, std::uint8_t, arch>::each([](auto k) {
        using kernel = typename decltype(k)::type;
        if constexpr (shifts<kernel> && s3::simd::has_lane_shift<arch>)
            keep(&convolve<s3::kernel::loop_of<kernel>>);
    });
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
#endif

} // namespace

extern void keep_all();
void keep_all() {
#if defined(S3_PLANT_MULTIPLICATION)
    keep(&run<s3::kernel::panel_product<planted>>);
#else
    s3::all_formats::each([]<s3::weight_format F>() {
        keep_products<F, std::uint8_t>();
        keep_products<F, float>();
        keep_convolutions<F>();
    });
#endif
}
