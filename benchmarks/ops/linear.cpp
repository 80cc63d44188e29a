// Linear layers of floats, whose weights have a scale for each group or row: beside the machine's
// limits. The rounding of activations and the epilogue are within the time.

#include "../support/data.hpp"
#include "../support/report.hpp"

#include <s3/ops/linear.hpp>

namespace {

using namespace s3;
using namespace s3::bench;

template <weight_format F>
class layer {
public:
    layer(std::size_t m, std::size_t k, std::size_t n, std::size_t group, cache where)
        : m_(m), k_(k), n_(n), x_(random_activations<float>(n * k)), y_(n * m * sizeof(float)) {
        const auto plain = random_weights<F>(m, k);
        std::vector<float> scale(group == 0 ? m : m * (k / group));
        random_bits next;
        for (float& s : scale)
            s = 0x1p-7f * static_cast<float>(1 + (next() >> 60));
        const auto weights = require(packed_matrix<F>::from_stream(
            m, k, plain.stream(), {0, scale, group, scale_type::binary16}));
        const linear_options o{.batch = n};
        const std::size_t bytes = whole_lines(require(linear<F>::bytes(weights, o)));
        const std::size_t count = copies(where, bytes);
        memory_ = std::make_unique<memory>(count * bytes);
        for (std::size_t i = 0; i < count; ++i)
            ring_.push_back(
                require(linear<F>::make(weights, o, memory_->span().subspan(i * bytes, bytes))));
        bytes_ = ring_[0].weight_bytes();
    }
    void operator()() {
        succeed(ring_[next_](matrix_view<const float>(x_.template as<const float>(), n_, k_),
                             matrix_view<float>(y_.template as<float>(), n_, m_)));
        next_ = (next_ + 1) % ring_.size();
    }
    [[nodiscard]] subject as_subject(std::string regime, const std::shared_ptr<layer>& l) const {
        const double weights = static_cast<double>(m_ * k_);
        return {.regime = std::move(regime),
                .shape = product_shape(m_, k_, n_),
                .kernel = text("%s %s·fp32", ring_[0].kernel_name(), F::name),
                .gmacs = weights * static_cast<double>(n_) * 1e-9,
                .gbytes = static_cast<double>(bytes_) * 1e-9,
                .run = [l] { (*l)(); },
                .weight_bits = F::bits};
    }

private:
    std::size_t m_, k_, n_, bytes_ = 0, next_ = 0;
    memory x_, y_;
    std::unique_ptr<memory> memory_;
    std::vector<linear<F>> ring_;
};

/// Targets are ratios; 0 leaves a rival out.
template <weight_format F>
void row(std::size_t m, std::size_t n, std::size_t group, cache where, double stream, double peak) {
    constexpr std::size_t k = 4096;
    const std::string scales = group == 0 ? "row" : text("group %zu", group);
    const auto name =
        text("linear/%s/%s·fp32/%s/%zux%zux%zu", where == cache::cold ? "cold" : "warm", F::name,
             group == 0 ? "row" : text("g%zu", group).c_str(), m, k, n);
    add(name, [=] {
        const auto l = std::make_shared<layer<F>>(m, k, n, group, where);
        subject s = l->as_subject(text("linear, scales per %s, N = %zu %s", scales.c_str(), n,
                                       where == cache::cold ? "out of cache" : "in cache"),
                                  l);
        if (stream > 0) {
            const auto read = std::make_shared<memory>(std::size_t{512} << 20);
            s.against_stream(read->span(), stream);
            s.run = [run = s.run, read] { run(); }; // which keeps the memory
        }
        if (peak > 0)
            s.against(integer_peak(), peak);
        return s;
    });
}

const int registered = [] {
    for (const std::size_t m : {4096u, 14336u}) {
        row<shift3>(m, 1, 128, cache::cold, 0.88, 0);
        row<shift2>(m, 1, 128, cache::cold, 0.88, 0);
        row<shift4>(m, 1, 128, cache::cold, 0.88, 0);
    }
    row<shift3>(4096, 1, 0, cache::cold, 0.92, 0);
    row<shift2>(4096, 1, 0, cache::cold, 0.93, 0);
    row<shift3>(4096, 1, 32, cache::cold, 0.85, 0);
    for (const std::size_t n : {4u, 8u, 16u})
        row<shift3>(4096, n, 128, cache::cold, n == 4 ? 0.82 : n == 8 ? 0.48 : 0, 0.55);
    for (const std::size_t n : {64u, 512u}) {
        row<shift3>(4096, n, 128, cache::warm, 0, 0.85);
        row<shift3>(4096, n, 0, cache::warm, 0, 0.92);
    }
    row<shift2>(4096, 512, 128, cache::warm, 0, 0.85);
    row<shift3>(4096, 512, 32, cache::warm, 0, 0.7);
    return 0;
}();

} // namespace
