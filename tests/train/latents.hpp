#pragma once
// Owned latents of any format, for tests.

#include <s3/train/init.hpp>
#include <s3/train/latents.hpp>

#include <array>
#include <limits>
#include <random>
#include <vector>

template <s3::shift_weight_format F>
struct owned_latents {
    std::vector<std::vector<float>> data;

    explicit owned_latents(std::size_t size, float value = 0)
        : data(s3::latents_per_weight<F>, std::vector<float>(size, value)) {}

    s3::latents<F> view() {
        std::array<std::span<float>, s3::latents_per_weight<F>> spans;
        for (std::size_t k = 0; k < spans.size(); ++k)
            spans[k] = data[k];
        return s3::from_fields<F, float>(spans);
    }
};

/// Normal latents among which every special case of H and sgn turns up.
template <s3::shift_weight_format F>
owned_latents<F> random_latents(std::size_t size, unsigned seed) {
    owned_latents<F> p(size);
    std::mt19937 generator(seed);
    for (auto& field : p.data)
        s3::fill_normal(field, 1.0, generator);
    const float special[] = {0.0f, -0.0f, std::numeric_limits<float>::denorm_min(), -1e-30f};
    for (auto& field : p.data)
        for (float& v : field)
            if (generator() % 8 == 0)
                v = special[generator() % 4];
    return p;
}

template <class... F>
struct formats {};
template <class Body, class... F>
void each(formats<F...>, Body body) {
    (body(F{}), ...);
}
#if defined(S3_TEST_BRIEF)
using tested_formats = formats<s3::shift3, s3::shift5, s3::dense3>;
#else
using tested_formats = formats<s3::shift2, s3::shift3, s3::shift4, s3::shift5, s3::dense2,
                               s3::dense3, s3::dense4, s3::dense5>;
#endif
/// The formats whose fused steps are tested with every surrogate and estimator: a step compiles
/// anew for each of them. Apart from steps, reparam.cpp tests each on all tested formats.
#if defined(S3_TEST_FULL)
using formats_with_all_backwards = tested_formats;
#else
using formats_with_all_backwards = formats<s3::shift3, s3::dense3>;
#endif
