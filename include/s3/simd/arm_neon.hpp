#pragma once
// NEON of 64-bit Arm: vectors of 16 bytes, with byte look-ups and widening byte products. Every
// AArch64 processor has it.

#include <s3/simd/tags.hpp>

#if defined(__aarch64__)
#include <arm_neon.h>

namespace s3::arch {

struct neon : generic {
    using simd = xsimd::neon64;
    static constexpr const char* name = "neon";
    static constexpr std::size_t vector_bytes = 16;
    static constexpr bool has_bytes = true;
    static constexpr bool has_lane_shift = true;

    static S3_INLINE uint8x16_t look_up16(uint8x16_t table, uint8x16_t index) noexcept {
        return vqtbl1q_u8(table, index);
    }
    static S3_INLINE float32x4_t divide(float32x4_t a, float32x4_t b) noexcept {
        return vdivq_f32(a, b);
    }
    static S3_INLINE int16x8_t pair_dot(uint8x16_t x, int8x16_t w) noexcept {
        const int16x8_t low = vmulq_s16(wide(vget_low_u8(x)), vmovl_s8(vget_low_s8(w)));
        const int16x8_t high = vmulq_s16(wide(vget_high_u8(x)), vmovl_s8(vget_high_s8(w)));
        return vpaddq_s16(low, high);
    }
    static S3_INLINE int32x4_t pair_sum(int16x8_t v) noexcept { return vpaddlq_s16(v); }
    static S3_INLINE int32x4_t quad_dot(int32x4_t acc, uint8x16_t x, int8x16_t w) noexcept {
        const int16x8_t w_low = vmovl_s8(vget_low_s8(w)), w_high = vmovl_s8(vget_high_s8(w));
        const int16x8_t x_low = wide(vget_low_u8(x)), x_high = wide(vget_high_u8(x));
        const int32x4_t a = vpaddq_s32(vmull_s16(vget_low_s16(x_low), vget_low_s16(w_low)),
                                       vmull_high_s16(x_low, w_low));
        const int32x4_t b = vpaddq_s32(vmull_s16(vget_low_s16(x_high), vget_low_s16(w_high)),
                                       vmull_high_s16(x_high, w_high));
        return vaddq_s32(acc, vpaddq_s32(a, b));
    }
    static S3_INLINE uint32x4_t lane_shift(uint32x4_t v, uint32x4_t counts) noexcept {
        return vshlq_u32(v, vreinterpretq_s32_u32(counts));
    }

    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 2) static S3_INLINE int16x8_t
        load_widened(const From* p) noexcept {
        if constexpr (std::is_signed_v<From>)
            return vmovl_s8(vld1_s8(p));
        else
            return wide(vld1_u8(p));
    }
    template <class To, class From>
    requires(sizeof(From) == 1 && sizeof(To) == 4) static S3_INLINE int32x4_t
        load_widened(const From* p) noexcept {
        std::uint32_t four;
        std::memcpy(&four, p, 4);
        const uint8x8_t v = vreinterpret_u8_u32(vdup_n_u32(four));
        if constexpr (std::is_signed_v<From>)
            return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(v))));
        else
            return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(v))));
    }
    template <class To>
    static S3_INLINE int32x4_t load_widened(const std::int16_t* p) noexcept {
        return vmovl_s16(vld1_s16(p));
    }
    static S3_INLINE void interleave(std::uint8_t* to, uint8x16_t a, uint8x16_t b, uint8x16_t c,
                                     uint8x16_t d) noexcept {
        vst4q_u8(to, uint8x16x4_t{a, b, c, d});
    }

private:
    static S3_INLINE int16x8_t wide(uint8x8_t v) noexcept {
        return vreinterpretq_s16_u16(vmovl_u8(v));
    }
};

} // namespace s3::arch

#endif
