// How far `automatic` is from the best available kernel, on every problem that is measured: a row
// for each kernel that it could have taken and did not. Its choice should be within 5% of each.

#include "../support/problems.hpp"

#include <set>

namespace {

using namespace s3;
using namespace s3::bench;

constexpr double close_enough = 0.95;

/// Measures the automatic choice beside all other kernels. Which kernel serves depends on the
/// family, the columns and the bits that are promised: asking for others gives every kernel.
/// `kernel_for(prepare_options)` names it, `make(prepare_options)` returns a shared contender.
template <class Contender, class Name, class Make>
subject choice(const prepare_options& g, Name kernel_for, Make make) {
    subject s = Contender::as_subject("automatic", make(g));
    std::set<std::string_view> seen{kernel_for(g)};
    for (const auto kernels : {family::dot, family::shift_add})
        for (const int bits : {g.activation_bits, 8})
            for (const std::size_t columns : {g.batch, std::size_t{1}, std::size_t{1024}}) {
                // Tables for few columns lose by 20 times, and take long to prepare.
                if (g.batch < 8 && columns > g.batch)
                    continue;
                const prepare_options other{columns, kernels, bits};
                if (const char* name = kernel_for(other); seen.insert(name).second)
                    s.against(name, close_enough, [run = make(other)] { (*run)(); });
            }
    return s;
}

/// Once for all rows that differ in nothing but the kernel that they ask for.
void add_once(const std::string& name, std::function<subject()> make) {
    static std::set<std::string> seen;
    if (seen.insert(name).second)
        add(name, std::move(make));
}

const int registered = [] {
    products([]<weight_format F, activation X>(operand_types<F, X>, const product_row& r) {
        const auto name =
            text("automatic/%s/%s/%zux%zux%zu", r.where == cache::cold ? "cold" : "warm",
                 operands<F, X>(r.wanted.activation_bits).c_str(), r.m, r.k, r.n);
        add_once(name, [=] {
            using contender = product<F, X>;
            return choice<contender>(
                {r.n, family::automatic, r.wanted.activation_bits},
                [=](const prepare_options& g) { return contender::kernel_for(r.m, g); },
                [=](const prepare_options& g) {
                    return std::make_shared<contender>(r.m, r.k, r.n, g, r.where);
                });
        });
    });
    convolutions([]<weight_format F, activation X>(operand_types<F, X>, const convolution_row& r) {
        const auto name = text("automatic/%s/%s", operands<F, X>(r.wanted.activation_bits).c_str(),
                               conv_text(r.problem).c_str());
        add_once(name, [=] {
            using contender = convolution<F, X>;
            const auto make = [=](const prepare_options& g) {
                return std::make_shared<contender>(r.problem, g);
            };
            return choice<contender>(
                {r.problem.pixels(), family::automatic, r.wanted.activation_bits},
                [=](const prepare_options& g) { return make(g)->kernel_name(); }, make);
        });
    });
    return 0;
}();

} // namespace
