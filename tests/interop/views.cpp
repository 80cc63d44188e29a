// Views of arrays of other libraries: mdspan, by a small class with its members and, where the
// standard library has it, its own, and DLPack, by our structures and by those of its header where
// that is installed. Every view is of the same memory, and what has no view is refused by name.

#include <s3/interop/dlpack.hpp>
#include <s3/interop/mdspan.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <numeric>
#include <string>
#include <vector>
#include <version>

#ifdef __cpp_lib_mdspan
#include <mdspan>
#endif
#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#elif __has_include(<ATen/dlpack.h>) // libtorch's copy
#include <ATen/dlpack.h>
#endif

using namespace s3;

namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

/// The members of std::mdspan that the adapter uses, with strides of any kind.
template <class T, std::size_t Rank, class Index = std::size_t>
struct small_mdspan {
    using element_type = T;
    using rank_type = std::size_t;

    T* data;
    std::array<Index, Rank> sizes, strides;
    bool strided = true;

    [[nodiscard]] static constexpr rank_type rank() { return Rank; }
    [[nodiscard]] Index extent(rank_type d) const { return sizes[d]; }
    [[nodiscard]] Index stride(rank_type d) const { return strides[d]; }
    [[nodiscard]] bool is_strided() const { return strided; }
    [[nodiscard]] T* data_handle() const { return data; }
};

template <class R>
std::string refusal(const R& r) {
    return r ? "no error" : r.error().message();
}

/// A tensor of DLPack over vectors.
template <class T>
struct tensor_of {
    std::vector<T>& memory;
    std::vector<std::int64_t> shape, strides;
    dlpack::type_code code = dlpack::type_code::integer;

    dlpack::tensor operator()() {
        return {memory.data(),
                {1, 0},
                static_cast<std::int32_t>(shape.size()),
                {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(8 * sizeof(T)), 1},
                shape.data(),
                strides.empty() ? nullptr : strides.data(),
                0};
    }
};

} // namespace

TEST_CASE("an mdspan's rows are a matrix view of the same memory") {
    std::vector<int> memory(40);
    std::iota(memory.begin(), memory.end(), 0);
    const small_mdspan<int, 2> m{memory.data(), {3, 4}, {10, 1}};
    const auto view = mdspan::matrix(m);
    REQUIRE_MESSAGE(view, refusal(view));
    static_assert(std::is_same_v<decltype(view), const result<matrix_view<int>>>);
    CHECK(view->check("x"));
    CHECK(view->data.size() == 24); // not a byte beyond the last element
    for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t c = 0; c < 4; ++c)
            CHECK(&view->row(r)[c] == &memory[r * 10 + c]);
    const small_mdspan<const int, 2, int> constant{memory.data(), {3, 4}, {10, 1}};
    static_assert(
        std::is_same_v<decltype(mdspan::matrix(constant))::value_type, matrix_view<const int>>);
    CHECK(mdspan::matrix(constant)->row(2) == memory.data() + 20);
    // Strides of single rows and columns, and of nothing, mean nothing.
    CHECK(mdspan::matrix(small_mdspan<int, 2>{memory.data(), {1, 4}, {0, 1}})->row(0) ==
          memory.data());
    CHECK(mdspan::matrix(small_mdspan<int, 2>{memory.data(), {4, 1}, {9, 77}})->row(3) ==
          memory.data() + 27);
    CHECK(mdspan::matrix(small_mdspan<int, 2>{nullptr, {0, 4}, {0, 0}})->check("x"));
    CHECK(mdspan::matrix(small_mdspan<int, 2>{nullptr, {4, 0}, {0, 0}})->check("x"));
}

TEST_CASE("what is no matrix is refused by name") {
    std::vector<int> memory(40);
    const auto said = [&](std::array<std::int64_t, 2> sizes, std::array<std::int64_t, 2> strides) {
        return refusal(
            mdspan::matrix(small_mdspan<int, 2, std::int64_t>{memory.data(), sizes, strides}));
    };
    CHECK(said({3, 4}, {1, 3}) == "strides[1]: combination is not supported (got 3, needs 1)");
    CHECK(said({3, 4}, {3, 1}) == "strides[0]: combination is not supported (got 3, needs 4)");
    CHECK(said({3, 4}, {-4, 1}) == "strides[0]: combination is not supported (got -4, needs 4)");
    CHECK(said({3, 4}, {0, 1}).starts_with("strides[0]"));
    CHECK(said({-3, 4}, {4, 1}) == "shape[0]: option is out of range (got -3)");
    CHECK(said({most, 4}, {4, 1}).starts_with("shape: option"));
    CHECK(said({most, most}, {most, 1}).starts_with("shape: option"));
    CHECK(said({3, 4}, {most / 2, 1}).starts_with("strides[0]: option"));
    CHECK(refusal(mdspan::matrix(small_mdspan<int, 2>{nullptr, {3, 4}, {4, 1}})) ==
          "data: buffer is too small (got 0, needs 12)");
    CHECK(refusal(mdspan::matrix(small_mdspan<int, 3>{memory.data(), {1, 3, 4}, {12, 4, 1}})) ==
          "shape: shape does not fit (got 3, needs 2)");
    CHECK(refusal(mdspan::matrix(small_mdspan<int, 2>{memory.data(), {3, 4}, {4, 1}, false})) ==
          "strides: combination is not supported");
    CHECK(refusal(mdspan::span(small_mdspan<int, 9>{memory.data(), {1, 1, 1}, {}}))
              .starts_with("shape"));
    const small_mdspan<int, 2, std::uint64_t> huge{memory.data(), {~0ull, 4}, {4, 1}};
    CHECK(refusal(mdspan::matrix(huge)).starts_with("shape[0]"));
    const small_mdspan<int, 2, std::uint64_t> far{memory.data(), {3, 4}, {~0ull, 1}};
    CHECK(refusal(mdspan::matrix(far)).starts_with("strides[0]"));
}

TEST_CASE("a span holds all elements of an array without gaps") {
    std::vector<int> memory(24);
    const auto whole = mdspan::span(small_mdspan<int, 3>{memory.data(), {2, 3, 4}, {12, 4, 1}});
    REQUIRE(whole);
    CHECK(whole->data() == memory.data());
    CHECK(whole->size() == 24);
    CHECK(mdspan::span(small_mdspan<int, 3>{memory.data(), {2, 3, 1}, {3, 1, 5}})->size() == 6);
    CHECK(mdspan::span(small_mdspan<int, 1>{nullptr, {0}, {1}})->empty());
    CHECK(refusal(mdspan::span(small_mdspan<int, 3>{memory.data(), {2, 3, 4}, {1, 2, 6}})) ==
          "strides[2]: combination is not supported (got 6, needs 1)");
    CHECK(refusal(mdspan::span(small_mdspan<int, 2>{memory.data(), {2, 3}, {4, 1}})) ==
          "strides[0]: combination is not supported (got 4, needs 3)");
}

TEST_CASE("images lie in memory in either order, whatever their axes are called") {
    std::vector<int> memory(2 * 3 * 4 * 5);
    const auto check = [&](std::array<std::size_t, 4> sizes, std::array<std::size_t, 4> strides,
                           image_order axes, image_order lies) {
        const small_mdspan<int, 4> m{memory.data(), sizes, strides};
        const auto x = mdspan::images(m, axes);
        REQUIRE_MESSAGE(x, refusal(x));
        CHECK(x->order == lies);
        CHECK(x->check("x"));
        const bool last = axes == image_order::nhwc;
        for (std::size_t n = 0; n < x->batch; ++n)
            for (std::size_t h = 0; h < x->height; ++h)
                for (std::size_t w = 0; w < x->width; ++w)
                    for (std::size_t c = 0; c < x->channels; ++c)
                        CHECK(x->index(n, h, w, c) == n * strides[0] + h * strides[last ? 1 : 2] +
                                                          w * strides[last ? 2 : 3] +
                                                          c * strides[last ? 3 : 1]);
    };
    check({2, 3, 4, 5}, {60, 20, 5, 1}, image_order::nhwc, image_order::nhwc);
    check({2, 3, 4, 5}, {60, 20, 5, 1}, image_order::nchw, image_order::nchw);
    check({2, 5, 3, 4}, {60, 1, 20, 5}, image_order::nchw, image_order::nhwc); // channels last
    check({2, 3, 4, 5}, {60, 4, 1, 12}, image_order::nhwc, image_order::nchw);
    check({2, 1, 3, 4}, {12, 12, 4, 1}, image_order::nchw, image_order::nhwc); // of either order
    const small_mdspan<int, 4> cropped{memory.data(), {2, 3, 2, 5}, {60, 20, 5, 1}};
    CHECK(refusal(mdspan::images(cropped)) ==
          "strides[1]: combination is not supported (got 20, needs 10)");
    CHECK(refusal(mdspan::images(small_mdspan<int, 2>{memory.data(), {3, 4}, {4, 1}})) ==
          "shape: shape does not fit (got 2, needs 4)");
}

TEST_CASE("tensors of DLPack are views, with strides or without, at their offset") {
    std::vector<std::int8_t> memory(24);
    tensor_of<std::int8_t> make{memory, {3, 4}, {}};
    auto t = make();
    const auto plain = dlpack::matrix<std::int8_t>(t);
    REQUIRE_MESSAGE(plain, refusal(plain));
    CHECK(plain->data.data() == memory.data());
    CHECK(plain->stride == 4);
    make.strides = {8, 1};
    t = make();
    t.byte_offset = 2;
    const auto moved = dlpack::matrix<const std::int8_t>(t);
    REQUIRE(moved);
    static_assert(std::is_same_v<decltype(moved)::value_type, matrix_view<const std::int8_t>>);
    CHECK(moved->row(2) == memory.data() + 18);
    CHECK(moved->data.size() == 20);
    make.shape = {1, 2, 3, 4};
    make.strides.clear();
    CHECK(dlpack::images<const std::int8_t>(make())->channels == 4);
    CHECK(dlpack::images<const std::int8_t>(make(), image_order::nchw)->order == image_order::nchw);
    CHECK(dlpack::span<std::int8_t>(make())->size() == 24);
    make.shape.clear();
    CHECK(dlpack::span<std::int8_t>(make())->size() == 1); // a scalar
}

TEST_CASE("tensors of another device, type, size or place are refused by name") {
    std::vector<std::int32_t> memory(24);
    tensor_of<std::int32_t> make{memory, {3, 4}, {}};
    const auto said = [&](auto&& change) {
        auto t = make();
        change(t);
        return refusal(dlpack::matrix<const std::int32_t>(t));
    };
    CHECK(said([](auto&) {}) == "no error");
    CHECK(said([](auto& t) { t.device.device_type = 3; }) == "no error");
    CHECK(said([](auto& t) { t.device.device_type = 2; }) ==
          "device: combination is not supported (got 2, needs 1)");
    CHECK(said([](auto& t) { t.dtype.code = 2; }) ==
          "dtype: combination is not supported (got 2, needs 0)");
    CHECK(said([](auto& t) { t.dtype.bits = 8; }) ==
          "dtype: combination is not supported (got 8, needs 32)");
    CHECK(said([](auto& t) { t.dtype.lanes = 4; }).starts_with("dtype"));
    CHECK(said([](auto& t) { t.byte_offset = 2; }) ==
          "byte_offset: option is out of range (got 2)");
    CHECK(said([](auto& t) { t.byte_offset = ~std::uint64_t{3}; }).starts_with("byte_offset"));
    CHECK(said([](auto& t) { t.data = nullptr; }).starts_with("data"));
    CHECK(said([](auto& t) { t.ndim = -1; }) == "ndim: option is out of range (got -1)");
    CHECK(said([](auto& t) { t.ndim = 3000; }).starts_with("shape"));
    CHECK(said([](auto& t) { t.shape = nullptr; }).starts_with("shape"));
    CHECK(said([](auto& t) { t.shape[1] = -4; }).starts_with("shape[1]"));
    CHECK(said([](auto& t) { t.shape[0] = t.shape[1] = most; }).starts_with("shape"));
}

#ifdef __cpp_lib_mdspan
TEST_CASE("the standard library's mdspan, of any layout and index type") {
    std::vector<int> memory(60);
    const std::mdspan rows(memory.data(), 5, 12);
    const auto view = mdspan::matrix(rows);
    REQUIRE_MESSAGE(view, refusal(view));
    CHECK(view->row(4) == memory.data() + 48);
    using columns = std::mdspan<const int, std::dextents<signed char, 2>, std::layout_left>;
    CHECK(refusal(mdspan::matrix(columns(memory.data(), 5, 12))) ==
          "strides[1]: combination is not supported (got 5, needs 1)");
    using strided =
        std::mdspan<int, std::extents<long, 3, std::dynamic_extent, 2, 5>, std::layout_stride>;
    const strided images(memory.data(), {std::extents<long, 3, std::dynamic_extent, 2, 5>(2),
                                         std::array<long, 4>{20, 10, 5, 1}});
    CHECK(mdspan::images(images)->channels == 5);
    CHECK(mdspan::span(images)->size() == 60);
    static_assert(std::is_same_v<decltype(mdspan::span(images))::value_type, std::span<int>>);
}
#endif

#ifdef DLPACK_VERSION
TEST_CASE("the structures of DLPack's own header are tensors, and ours have their layout") {
    static_assert(sizeof(DLTensor) == sizeof(dlpack::tensor));
    static_assert(offsetof(DLTensor, device) == offsetof(dlpack::tensor, device));
    static_assert(offsetof(DLTensor, ndim) == offsetof(dlpack::tensor, ndim));
    static_assert(offsetof(DLTensor, dtype) == offsetof(dlpack::tensor, dtype));
    static_assert(offsetof(DLTensor, strides) == offsetof(dlpack::tensor, strides));
    static_assert(offsetof(DLTensor, byte_offset) == offsetof(dlpack::tensor, byte_offset));
    std::vector<float> memory(12);
    std::int64_t shape[] = {3, 4};
    DLManagedTensor managed{};
    DLTensor& t = managed.dl_tensor;
    t.data = memory.data();
    t.device = {kDLCPU, 0};
    t.ndim = 2;
    t.dtype = {kDLFloat, 32, 1};
    t.shape = shape;
    t.byte_offset = 16;
    const auto view = dlpack::matrix<const float>(t);
    REQUIRE_MESSAGE(view, refusal(view));
    CHECK(view->row(0) == memory.data() + 4);
    t.device.device_type = kDLCUDA;
    CHECK(refusal(dlpack::matrix<const float>(t)).starts_with("device"));
    t.device.device_type = kDLCPU;
    t.dtype.code = kDLBfloat;
    t.dtype.bits = 16;
    CHECK(refusal(dlpack::matrix<const float>(t)).starts_with("dtype"));
}
#endif
