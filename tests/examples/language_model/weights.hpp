#pragma once
// A small model of random weights, for the tests of examples/language_model.

#include "../../../examples/language_model/weights.hpp"
#include "../../support/random.hpp"

#include <string>
#include <vector>

namespace lm::test {

using F = s3::shift3;

inline config tiny() {
    config c;
    c.vocabulary = 50, c.width = 24, c.layers = 2, c.heads = 4, c.key_value_heads = 2;
    c.hidden = 40, c.context = 16;
    return c;
}

struct filler {
    s3::test::random random{7};

    void operator()(const std::string&, std::vector<float>& v, std::size_t size) {
        v.resize(size);
        for (float& x : v)
            x = 1 + random.real() / 2;
    }
    template <s3::weight_format G>
    void operator()(const std::string&, s3::packed_matrix<G>& m, std::size_t rows,
                    std::size_t columns) {
        std::vector<int> values(rows * columns);
        for (int& v : values)
            v = G::is_shift ? (random.below(2) != 0 ? 1 : -1) << random.below(3)
                            : random.between(-127, 127);
        std::vector<float> scale(rows);
        for (float& s : scale)
            s = (2 + random.real()) / (G::is_shift ? 10.0f : 100.0f);
        m = s3::pack<G>(values, rows, columns, {.scale = scale}).value();
    }
};

/// Weights at which the logits differ, as those of a trained model do.
inline packed_weights<F> random_weights(const config& c = tiny()) {
    packed_weights<F> w;
    w.shape = c;
    w.layers.resize(c.layers);
    filler fill;
    each_tensor(w, fill);
    return w;
}

inline bool has(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

} // namespace lm::test
