// The new layer runs as its definition says, in a list of layers that checks it.

#include <s3/net/program.hpp>
#include <s3/net/reference.hpp>

int main() {
    s3::net::model m;
    m.values.resize(2);
    m.values[0].width = 100;
    m.values[0].channels = 3;
    m.values[1] = m.values[0];
    m.layers.push_back({"clamp", s3::net::clamp{0, 20, 200}});
    std::vector<std::uint8_t> x(300), y(300);
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<std::uint8_t>(i);
    const auto p = s3::net::prepare<s3::format_list<s3::shift3>>(m);
    const auto expected = s3::net::reference::run(m, x, 1);
    if (!p || !expected || !s3::net::run(*p, {x, 1, 1, 100, 3}, std::span(y)))
        return 1;
    for (std::size_t i = 0; i < y.size(); ++i)
        if (y[i] != expected->back()[i] || y[i] < 20 || y[i] > 200)
            return 1;
    m.layers[0].operation = s3::net::clamp{0, 200, 20};
    return s3::net::prepare<s3::format_list<s3::shift3>>(m) ? 1 : 0;
}
