// Views of NumPy arrays, in a program that runs Python.

#include <s3/interop/numpy.hpp>

#include <doctest/doctest.h>
#include <pybind11/embed.h>

#include <cstdint>
#include <string>

using namespace s3;
namespace py = pybind11;

TEST_CASE("NumPy arrays are views of the same memory, and what has no view is refused by name") {
    const py::scoped_interpreter python;
    const py::dict names;
    try {
        py::exec("import numpy as np", names);
    } catch (const py::error_already_set&) {
        MESSAGE("this Python has no NumPy");
        return;
    }
    const auto array = [&](const char* text) { return py::eval(text, names).cast<py::array>(); };
    const auto said = [](const auto& r) { return r ? "no error" : r.error().message(); };

    const py::array whole = array("np.arange(120, dtype='i4').reshape(2, 3, 4, 5)");
    const auto* const first = static_cast<const std::int32_t*>(whole.data());
    const auto images = numpy::images<std::int32_t>(whole);
    REQUIRE_MESSAGE(images, said(images));
    CHECK(images->data.data() == first);
    CHECK(images->order == image_order::nhwc);
    const auto called_nchw =
        numpy::images<const std::int32_t>(whole.attr("transpose")(0, 3, 1, 2), image_order::nchw);
    REQUIRE_MESSAGE(called_nchw, said(called_nchw));
    CHECK(called_nchw->order == image_order::nhwc); // the channels lie innermost
    CHECK(called_nchw->channels == 5);
    CHECK(numpy::span<const std::int32_t>(whole)->size() == 120);
    CHECK(numpy::span<const std::int32_t>(array("np.zeros((3, 0), 'i4')"))->empty());

    names["m"] = array("np.arange(24, dtype='i1').reshape(4, 6)");
    const auto* const rows = static_cast<const std::int8_t*>(array("m").data());
    const auto part = numpy::matrix<std::int8_t>(array("m[1::2, 2:5]"));
    REQUIRE_MESSAGE(part, said(part));
    CHECK(part->rows == 2);
    CHECK(part->stride == 12);
    CHECK(part->row(1) == rows + 3 * 6 + 2);
    const auto refused = [&](const char* text) {
        return said(numpy::matrix<std::int8_t>(array(text)));
    };
    CHECK(refused("m") == "no error");
    CHECK(refused("m.T") == "strides[1]: combination is not supported (got 6, needs 1)");
    CHECK(refused("m[:, ::2]").starts_with("strides[1]"));
    CHECK(refused("m[::-1]") == "strides[0]: combination is not supported (got -6, needs 6)");
    CHECK(refused("m[0]") == "shape: shape does not fit (got 1, needs 2)");
    CHECK(refused("m.astype('i4')") == "dtype: combination is not supported");
    CHECK(refused("m.astype('u1')").starts_with("dtype"));
    py::exec("m.flags.writeable = False", names);
    CHECK(refused("m").starts_with("flags"));
    CHECK(numpy::matrix<const std::int8_t>(array("m")));
    const auto said_of_ints = [&](const char* text) {
        return said(numpy::matrix<const std::int32_t>(array(text)));
    };
    CHECK(said_of_ints("np.zeros((2, 2), '>i4')").starts_with("dtype"));      // another byte order
    CHECK(said_of_ints("np.zeros(4, 'i1, 2i4')['f1']").starts_with("flags")); // not aligned
    CHECK(said_of_ints("np.zeros(4, np.dtype([('a', 'i4', 2), ('b', 'i2')], align=True))['a']") ==
          "no error");
}
