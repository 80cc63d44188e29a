// s3::runtime::program equals the interpreter byte for byte, on every instruction set.

#include <s3/net/model.hpp>
#include <s3/runtime/program.hpp>

#include "../support/network.hpp"
#include "sets.hpp"

using namespace s3;

TEST_CASE("networks at random are exact on every instruction set") {
    test::random r(3);
    for (int i = 0; i < 60; ++i) {
        const net::model m =
            test::network_maker<format_list<shift3, int8_weights>>(r).make(1 + r.below(6));
        const std::size_t batch = 1 + r.below(3);
        std::vector<std::uint8_t> x(batch * m.input().size());
        for (auto& q : x)
            q = static_cast<std::uint8_t>(r.between(0, m.input().top()));
        const auto values = net::reference::run(m, x, batch);
        REQUIRE(values);
        const auto& expected = values->back();
        const image_view<const std::uint8_t> images{x, batch, m.input().height, m.input().width,
                                                    m.input().channels};
        for (const isa set : test::supported_sets()) {
            INFO("set ", to_string(set), ", network ", i, ": ", test::describe(m));
            const auto p = runtime::prepare(m, {.set = set, .batch = batch});
            REQUIRE_MESSAGE(p, p.error().message());
            CHECK(p->isa() == set);
            REQUIRE(p->layers() == m.layers.size());
            CHECK(p->input() == m.input());
            CHECK(p->output() == m.output());
            std::vector<std::byte> arena(p->arena_bytes(batch, 2));
            const auto equals = [&]<class Y>(std::vector<Y> y) {
                const status done = p->run(images, std::span(y), arena, test::thread_executor{2});
                REQUIRE_MESSAGE(done, done.error().message());
                CHECK(std::equal(y.begin(), y.end(), expected.begin(),
                                 [](Y a, std::int32_t b) { return a == static_cast<Y>(b); }));
            };
            if (p->output().element == net::element_type::int32)
                equals(std::vector<std::int32_t>(expected.size()));
            else
                equals(std::vector<std::uint8_t>(expected.size()));
        }
    }
}

TEST_CASE("kernels that are measured on an instruction set are those that run there") {
    test::random r(5);
    std::size_t measured = 0;
    for (int i = 0; i < 5; ++i) {
        const net::model m = test::network_maker<format_list<shift3, int8_weights>>(r).make(6);
        bool choice = false;
        for (const isa set : test::supported_sets()) {
            const auto names = runtime::tune(m, {.set = set}, 1e-4);
            REQUIRE_MESSAGE(names, names.error().message());
            REQUIRE(names->size() == m.layers.size());
            const auto p = runtime::prepare(m, {.set = set, .layer_kernels = *names});
            REQUIRE_MESSAGE(p, p.error().message());
            for (std::size_t layer = 0; layer < p->layers(); ++layer)
                if (!(*names)[layer].empty()) {
                    CHECK(p->kernel_name(layer) == (*names)[layer]);
                    choice = true;
                    ++measured;
                }
        }
        const std::vector<std::string> unknown(m.layers.size(), "unknown");
        CHECK(runtime::prepare(m, {.layer_kernels = unknown}).has_value() != choice);
    }
    CHECK(measured > 0);
}

TEST_CASE("a format that the library is not built for is refused at its layer") {
    test::random r(4);
    const net::model m = test::network_maker<format_list<dense5>>(r).make(1);
    const auto p = runtime::prepare(m);
    if (!p) {
        CHECK(p.error().code == errc::unsupported);
        CHECK(p.error().index == 0);
    }
}
