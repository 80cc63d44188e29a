#if defined(__GNUC__) && !defined(__clang__)
// Eigen's products use GCC 12's AVX-512 intrinsics, which read variables that they leave undefined
// on purpose (PR 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <s3/interop/eigen.hpp>

#include <s3/train/init.hpp>
#include <s3/train/optimizer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

namespace {

using Eigen::MatrixXf;
using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class M>
M random_matrix(Eigen::Index rows, Eigen::Index cols, unsigned seed) {
    M m(rows, cols);
    std::mt19937 generator(seed);
    s3::fill_normal(s3::eigen::span(m), 1.0, generator);
    return m;
}

} // namespace

TEST_CASE("a step on Eigen matrices is the step on plain spans, in either storage order") {
    const auto run = []<class M>(M) {
        std::array<M, 4> latent, moment;
        std::array<std::vector<float>, 4> plain, plain_moment;
        for (unsigned k = 0; k < 4; ++k) {
            latent[k] = random_matrix<M>(7, 11, k);
            moment[k] = M::Zero(7, 11);
            const auto s = s3::eigen::span(latent[k]);
            plain[k].assign(s.begin(), s.end());
            plain_moment[k].resize(77);
        }
        const M gradient = random_matrix<M>(7, 11, 9);
        M weights = M::Zero(7, 11);
        std::vector<float> g(77), w(77);
        std::copy_n(gradient.data(), 77, g.begin());

        const auto p =
            s3::eigen::latents_of<s3::shift3>(latent[0], latent[1], latent[2], latent[3]);
        const auto m =
            s3::eigen::latents_of<s3::shift3>(moment[0], moment[1], moment[2], moment[3]);
        REQUIRE(p);
        REQUIRE(m);
        REQUIRE(s3::step(s3::sgd{}, *p, {*m}, s3::eigen::span(gradient), s3::eigen::span(weights)));
        const s3::latents<s3::shift3> q{plain[0], plain[1], {plain[2], plain[3]}};
        const s3::latents<s3::shift3> n{
            plain_moment[0], plain_moment[1], {plain_moment[2], plain_moment[3]}};
        REQUIRE(s3::step(s3::sgd{}, q, {n}, g, w));
        CHECK(std::vector<float>(weights.data(), weights.data() + 77) == w);
        for (std::size_t k = 0; k < 4; ++k)
            CHECK(std::vector<float>(latent[k].data(), latent[k].data() + 77) == plain[k]);
    };
    run(MatrixXf());
    run(RowMatrix());
}

TEST_CASE("a linear layer trained in Eigen alone fits a shift teacher") {
    constexpr Eigen::Index in = 12, out = 6, batch = 64;
    std::array<MatrixXf, 4> teacher, latent, moment;
    for (unsigned k = 0; k < 4; ++k) {
        teacher[k] = random_matrix<MatrixXf>(out, in, 20 + k);
        latent[k] = 0.3f * random_matrix<MatrixXf>(out, in, 30 + k);
        moment[k] = MatrixXf::Zero(out, in);
    }
    MatrixXf wanted(out, in), weights(out, in);
    const auto t =
        s3::eigen::latents_of<s3::shift3>(teacher[0], teacher[1], teacher[2], teacher[3]);
    const auto p = s3::eigen::latents_of<s3::shift3>(latent[0], latent[1], latent[2], latent[3]);
    const auto m = s3::eigen::latents_of<s3::shift3>(moment[0], moment[1], moment[2], moment[3]);
    REQUIRE(t);
    REQUIRE(p);
    REQUIRE(m);
    REQUIRE(s3::realize(*t, s3::eigen::span(wanted)));
    REQUIRE(s3::realize(*p, s3::eigen::span(weights)));
    const MatrixXf start = weights;
    const MatrixXf x = random_matrix<MatrixXf>(in, batch, 40);
    const MatrixXf y = wanted * x;
    const double before = (weights * x - y).squaredNorm();
    for (int step = 0; step < 200; ++step) {
        const MatrixXf gradient = (weights * x - y) * x.transpose() / float(batch);
        REQUIRE(s3::step(s3::sgd{.learning_rate = 0.02f, .momentum = 0.8f}, *p, {*m},
                         s3::eigen::span(gradient), s3::eigen::span(weights)));
    }
    CHECK((weights * x - y).squaredNorm() < 0.25 * before);
    CHECK(weights != start);
}

TEST_CASE("shapes that differ are errors by name, even if the sizes agree") {
    MatrixXf a(3, 4), b(3, 4), c(4, 3), d(3, 4);
    const auto p = s3::eigen::latents_of<s3::shift3>(a, b, c, d);
    REQUIRE(!p);
    CHECK(p.error().code == s3::errc::shape_mismatch);
    CHECK(std::string(p.error().argument) == "shift_1");
}

TEST_CASE("spans hold maps of the host's memory, but not blocks and strided maps") {
    std::vector<float> memory(12);
    Eigen::Map<RowMatrix> map(memory.data(), 3, 4);
    CHECK(s3::eigen::span(map).data() == memory.data());
    CHECK(s3::eigen::rows(map).rows == 3);
    CHECK(s3::eigen::rows(map).columns == 4);
    static_assert(s3::eigen::contiguous<MatrixXf>);
    static_assert(s3::eigen::contiguous<Eigen::VectorXf>);
    static_assert(!s3::eigen::contiguous<Eigen::Block<MatrixXf>>);
    static_assert(!s3::eigen::contiguous<Eigen::Map<MatrixXf, 0, Eigen::OuterStride<>>>);
}

namespace {
template <class M>
concept has_matrix = requires(M&& m) {
    s3::eigen::matrix(std::forward<M>(m));
};
} // namespace

TEST_CASE("matrices, maps and blocks whose rows or columns are contiguous are views") {
    const auto said = [](const auto& r) { return r ? "no error" : r.error().message(); };
    RowMatrix by_rows = random_matrix<RowMatrix>(5, 7, 1);
    MatrixXf by_columns = by_rows;
    const auto same = [&](const auto& view, Eigen::Index row, Eigen::Index column, auto&& at) {
        REQUIRE_MESSAGE(view, said(view));
        REQUIRE(view->check("x"));
        for (std::size_t r = 0; r < view->rows; ++r)
            for (std::size_t c = 0; c < view->columns; ++c)
                CHECK(&view->row(r)[c] == &at(row + static_cast<Eigen::Index>(r),
                                              column + static_cast<Eigen::Index>(c)));
    };
    const auto rows = [&](Eigen::Index r, Eigen::Index c) -> float& { return by_rows(r, c); };
    const auto columns = [&](Eigen::Index r, Eigen::Index c) -> float& { return by_columns(c, r); };
    same(s3::eigen::matrix(by_rows), 0, 0, rows);
    same(s3::eigen::columns(by_columns), 0, 0, columns);
    same(s3::eigen::matrix(by_rows.block(1, 2, 3, 4)), 1, 2, rows);
    same(s3::eigen::columns(by_columns.block(1, 2, 3, 4)), 2, 1, columns);
    same(s3::eigen::matrix(by_rows.row(3)), 3, 0, rows);
    same(s3::eigen::matrix(by_columns.col(3)), 0, 3, [&](Eigen::Index r, Eigen::Index c) -> float& {
        return by_columns(r, c); // a row of one element each
    });
    CHECK(s3::eigen::matrix(by_rows.block(1, 2, 3, 4))->data.size() == 2 * 7 + 4);

    const RowMatrix& fixed = by_rows;
    static_assert(std::is_same_v<decltype(s3::eigen::matrix(fixed))::value_type,
                                 s3::matrix_view<const float>>);
    using outer = Eigen::OuterStride<>;
    const Eigen::Map<const RowMatrix, 0, outer> map(by_rows.data(), 2, 3, outer(14));
    static_assert(
        std::is_same_v<decltype(s3::eigen::matrix(map))::value_type, s3::matrix_view<const float>>);
    CHECK(s3::eigen::matrix(map)->row(1) == by_rows.data() + 14);
    CHECK(s3::eigen::matrix(Eigen::Map<RowMatrix>(nullptr, 0, 3))->check("x"));

    // What has gaps within its rows, or overlaps, is refused by name.
    CHECK(said(s3::eigen::matrix(by_columns)) ==
          "strides[1]: combination is not supported (got 5, needs 1)");
    CHECK(said(s3::eigen::columns(by_rows)) ==
          "strides[1]: combination is not supported (got 7, needs 1)");
    using both = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    const Eigen::Map<RowMatrix, 0, both> gaps(by_rows.data(), 2, 3, both(7, 2));
    CHECK(said(s3::eigen::matrix(gaps)) ==
          "strides[1]: combination is not supported (got 2, needs 1)");
    const Eigen::Map<RowMatrix, 0, outer> overlap(by_rows.data(), 3, 3, outer(2));
    CHECK(said(s3::eigen::matrix(overlap)) ==
          "strides[0]: combination is not supported (got 2, needs 3)");
    // Neither does what has no memory of its own, or would take it along.
    static_assert(has_matrix<MatrixXf&> && has_matrix<Eigen::Block<MatrixXf>>);
    static_assert(!has_matrix<MatrixXf> && !has_matrix<const MatrixXf>);
    static_assert(!has_matrix<decltype(by_rows + by_rows)>);
}
