#pragma once
// Sources of activations for accumulate.hpp: where the columns of a tile lie in memory.
//
//   column_table     anywhere: one pointer for each column and segment (output pixels of a
//                    convolution and the taps under them; rows of a matrix, one segment each)
//   spaced_columns   each column a constant distance behind the one before it (windows of adjacent
//                    pixels along a line; rows of a staged matrix)
//
// A caller fills one of them; accumulate() reads it through its member type source<Engine, C>.

#include <s3/config.hpp>

#include <algorithm>
#include <cstddef>

namespace s3::kernel {

/// Segment s of column c is the `steps` steps that begin at at[s·stride + c]. A segment that begins
/// at `zeros` is all zero and adds nothing to any sum.
template <class Staged>
struct column_table {
    const Staged* const* at = nullptr;
    std::size_t stride = 0;
    std::size_t steps = 0;
    const Staged* zeros = nullptr;
    std::size_t position = 0; ///< steps of the first segment that are skipped

    column_table from_column(std::size_t c) const noexcept {
        return {at + c, stride, steps, zeros, position};
    }
    column_table from_step(std::size_t step) const noexcept {
        return {at + step / steps * stride, stride, steps, zeros, step % steps};
    }
    /// What a tile of C columns reads.
    template <class Engine, std::size_t C>
    class source {
        const Staged* const* segments;
        std::size_t stride, segment_steps, position;
        const Staged* zeros;

        struct segment {
            std::size_t steps;
            std::size_t at = 0;
            bool all_zeros = true;
            const Staged* column[C];

            S3_INLINE bool is_zero() const noexcept { return all_zeros; }
            S3_INLINE auto activation(std::size_t c, std::size_t, std::size_t step) const noexcept {
                return Engine::broadcast(column[c] + (at + step) * Engine::depth_per_step);
            }
            S3_INLINE void advance(std::size_t count) noexcept { at += count; }
        };

    public:
        explicit S3_INLINE source(const column_table& t) noexcept
            : segments(t.at), stride(t.stride), segment_steps(t.steps), position(t.position),
              zeros(t.zeros) {}

        S3_INLINE segment next(std::size_t most) noexcept {
            segment s;
            s.steps = std::min(most, segment_steps - position);
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
                s.column[c] = segments[c] + position * Engine::depth_per_step;
                s.all_zeros = s.all_zeros && segments[c] == zeros;
            }
            position += s.steps;
            if (position == segment_steps) {
                position = 0;
                segments += stride;
            }
            return s;
        }
    };
};

/// Segment s of column c is the `steps` steps that begin at at[s] + c·distance.
template <class Staged>
struct spaced_columns {
    const Staged* const* at = nullptr;
    std::size_t steps = 0;
    std::size_t distance = 0; ///< elements from one column to the next
    std::size_t first = 0;    ///< the first column of a tile

    /// What a tile of C columns reads.
    template <class Engine, std::size_t C>
    class source {
        const Staged* const* segments;
        std::size_t segment_steps, distance, first, position = 0;

        struct segment {
            std::size_t steps;
            std::size_t distance;
            // One pointer serves three columns: the other two are one and two distances away, which
            // an address can express.
            const Staged* three[(C + 2) / 3];

            static constexpr bool is_zero() noexcept { return false; }
            S3_INLINE auto activation(std::size_t c, std::size_t, std::size_t step) const noexcept {
                return Engine::broadcast(three[c / 3] + c % 3 * distance +
                                         step * Engine::depth_per_step);
            }
            S3_INLINE void advance(std::size_t count) noexcept {
                S3_UNROLL_FOR(std::size_t g = 0; g < (C + 2) / 3; ++g)
                    three[g] += count * Engine::depth_per_step;
            }
        };

    public:
        explicit S3_INLINE source(const spaced_columns& x) noexcept
            : segments(x.at), segment_steps(x.steps), distance(x.distance), first(x.first) {}

        S3_INLINE segment next(std::size_t most) noexcept {
            segment s;
            s.steps = std::min(most, segment_steps - position);
            s.distance = distance;
            S3_UNROLL_FOR(std::size_t g = 0; g < (C + 2) / 3; ++g)
                s.three[g] =
                    *segments + (first + 3 * g) * distance + position * Engine::depth_per_step;
            position += s.steps;
            if (position == segment_steps) {
                position = 0;
                ++segments;
            }
            return s;
        }
    };
};

} // namespace s3::kernel
