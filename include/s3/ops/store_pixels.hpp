#pragma once
// Finishes several NHWC pixels as if they were one. Whole pixels are contiguous in the output, so
// pixels with few channels together fill whole vectors; what belongs to a channel is repeated for
// each pixel.

#include <s3/kernel/parts/pixels.hpp>
#include <s3/ops/store.hpp>

namespace s3::kernel {

template <class Arch, class Y>
struct pixel_sink<s3::detail::integer_store<Arch, Y>> {
    using store = s3::detail::integer_store<Arch, Y>;

    pixel_sink(const store& s, std::size_t rows, std::byte* memory) noexcept
        : rows_(rows), group_(pixel_group(rows)), each_(s),
          repeated_(s.e), whole_{s.y, s.map, repeated_} {
        contiguous_ = s.map.channel == 1 && s.map.pixel == rows;
        if (!contiguous_)
            return;
        whole_.map = {.plane = 1, .image = 1}; // the place of each output is given
        repeated_.scale = repeat_scale(memory);
        repeated_.bias = repeat(s.e.bias, memory);
        repeated_.shift = repeat(s.e.shift, memory);
    }
    pixel_sink(const pixel_sink&) = delete;
    pixel_sink& operator=(const pixel_sink&) = delete;

    void operator()(std::size_t n, std::size_t count, const std::int32_t* sums) const {
        if (!contiguous_)
            return store_columns(each_, n, count, 0, rows_, sums, rows_);
        const std::size_t groups = count / group_, size = group_ * rows_;
        finish(n * rows_, groups, size, sums);
        if (const std::size_t rest = count % group_; rest != 0)
            finish(n * rows_ + groups * size, 1, rest * rows_, sums + groups * size);
    }

private:
    /// Finishes `groups` groups of `size` outputs each, from output `first` on.
    void finish(std::size_t first, std::size_t groups, std::size_t size,
                const std::int32_t* sums) const {
        constexpr std::size_t most = 64;
        std::size_t at[most];
        for (std::size_t g = 0; g < groups; g += most) {
            const std::size_t some = std::min(most, groups - g);
            for (std::size_t i = 0; i < some; ++i)
                at[i] = first + (g + i) * size;
            whole_(at, some, 0, size, sums + g * size, size);
        }
    }

    /// Repeats one value per channel as many times as a group has pixels.
    template <class T>
    std::span<const T> repeat(std::span<const T> values, std::byte*& memory) const noexcept {
        if (values.size() <= 1)
            return values;
        T* to = reinterpret_cast<T*>(memory);
        for (std::size_t p = 0; p < group_; ++p)
            std::copy(values.begin(), values.end(), to + p * rows_);
        memory += group_ * rows_ * sizeof(T);
        return {to, group_ * rows_};
    }

    /// Repeats the scale in the same way, multiplied by the weights' own scale.
    std::span<const float> repeat_scale(std::byte*& memory) const noexcept {
        if (each_.real_scale.empty())
            return repeat(each_.e.scale, memory);
        auto* to = reinterpret_cast<float*>(memory);
        for (std::size_t m = 0; m < group_ * rows_; ++m) {
            const float given =
                each_.e.scale.empty() ? 1.0f : s3::detail::channel(each_.e.scale, m % rows_);
            to[m] = given * each_.real_scale[m % rows_];
        }
        memory += group_ * rows_ * sizeof(float);
        return {to, group_ * rows_};
    }

    std::size_t rows_, group_;
    bool contiguous_;
    const store& each_;
    epilogue repeated_;
    store whole_;
};

} // namespace s3::kernel
