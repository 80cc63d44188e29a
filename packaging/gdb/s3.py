"""Pretty-printers of s3's types for gdb.

    (gdb) source /usr/share/s3-shift/gdb/s3.py      or, once, the same line in ~/.gdbinit

Results show their value, or the text of their error. Packed matrices and filters show their format,
shape and weights as integers; views and buffers their shape and first elements, as many of a row and
as many rows as gdb's setting `print elements` says. Nothing in the program is called, so that core
files work, too.
"""

import re

import gdb
import gdb.printing

TEXT = {"ok": "no error", "not_in_format": "value is not in the weight format",
        "not_finite": "value is not finite", "shape_mismatch": "shape does not fit",
        "bad_option": "option is out of range",
        "depth_exceeded": "sum could overflow the accumulator",
        "buffer_too_small": "buffer is too small", "reserved_code": "reserved code",
        "truncated": "data ends early", "foreign": "not the expected kind of data",
        "unsupported": "combination is not supported", "out_of_memory": "out of memory",
        "io": "input or output failed"}  # of s3::errc, as in core/error.hpp


# ---- The standard library's types, of libstdc++ or libc++

COMPOUND = gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION


def member(value, *names):
    """The first of these members that a value or one of its bases has, however deep, or None."""
    for field in value.type.strip_typedefs().fields():
        if field.name in names and not field.is_base_class:
            return value[field]
    for field in value.type.strip_typedefs().fields():
        if hasattr(field, "bitpos") and field.type.strip_typedefs().code in COMPOUND:
            found = member(value[field], *names)
            if found is not None:
                return found
    return None


def span(value):
    """Pointer and size of a std::span."""
    return member(value, "_M_ptr", "__data_"), int(member(value, "_M_extent_value", "__size_"))


def array(buffer):
    """Pointer and size of an s3::buffer."""
    pointer = member(buffer, "_M_head_impl", "__value_", "__ptr_")
    if pointer.type.strip_typedefs().code != gdb.TYPE_CODE_PTR:  # the deleter, which comes first
        pointer = find_pointer(buffer["data_"])
    return pointer, int(member(buffer, "size")) if int(pointer) else 0


def find_pointer(value):
    for field in value.type.strip_typedefs().fields():
        if not hasattr(field, "bitpos"):
            continue
        kind = field.type.strip_typedefs().code
        if kind == gdb.TYPE_CODE_PTR:
            return value[field]
        if kind in COMPOUND:
            found = find_pointer(value[field])
            if found is not None:
                return found
    return None


def string(value):
    """The text of a std::string, or None for one of libc++, unless gdb has printers for that."""
    pointer = member(value, "_M_p")
    if pointer is None:
        printer = gdb.default_visualizer(value)
        return printer and printer.to_string()
    return pointer.string(length=int(member(value, "_M_string_length")))


# ---- Elements

def row_text(elements, count):
    """The first of `count` elements, which are called by their number."""
    shown = min(count, gdb.parameter("print elements") or count)
    return "{" + ", ".join(str(elements(i)) for i in range(shown)) + ("..." if shown < count else "") + "}"


def element(value):
    """A number, bytes too."""
    return int(value) if value.type.strip_typedefs().code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR) else value


def element_type(value):
    """The T of an s3::…<T>."""
    return str(value.type.strip_typedefs().template_argument(0).strip_typedefs())


def name_of(format_):
    """The name of a weight format, and the function that gives the value of a code."""
    basic = format_.strip_typedefs()
    while not re.match(r"s3::(shift_format|integer_format|codebook)<", str(basic)):
        bases = [f.type.strip_typedefs() for f in basic.fields() if f.is_base_class]
        if not bases:
            return str(format_), None, None
        basic = bases[0]
    arguments = [int(a) for a in re.findall(r"-?\d+", str(basic).replace("true", "1").replace("false", "0"))[1:]]
    if "shift_format" in str(basic):
        bits, zero = arguments
        top = 1 << bits - 1

        def value(code):
            magnitude = code & top - 1
            size = 0 if zero and magnitude == 0 else 1 << magnitude - zero
            return -size if code & top else size
        return f"{'shift' if zero else 'dense'}{bits}", bits, value
    if "integer_format" in str(basic):
        bits, = arguments
        return f"int{bits}", bits, lambda code: code - (1 << bits if code >> bits - 1 else 0)
    bits = max((len(arguments) - 1).bit_length(), 2)
    return str(format_), bits, lambda code: arguments[code] if code < len(arguments) else "reserved"


class Rows:
    """What has rows of elements: a first line, and then the rows as children."""

    def rows(self):
        raise NotImplementedError

    def children(self):
        count, columns, at = self.rows()
        for r in range(count if columns else 0):  # of which gdb takes as many as it prints
            yield f"[{r}]", row_text(lambda i, r=r: at(r, i), columns)


# ---- The library's types

class PackedMatrix(Rows):
    def __init__(self, value):
        self.value = value
        self.name, self.bits, self.decode = name_of(value.type.strip_typedefs().template_argument(0))
        self.shape = int(value["rows_"]), int(value["columns_"])
        self.stream, size = span(value["borrowed_"])
        self.bytes = size
        if int(self.stream) == 0:
            self.stream, self.bytes = array(value["stream_"])

    def code(self, i):
        bit = i * self.bits
        low = int(self.stream[bit // 8])
        if bit % 8 + self.bits > 8:
            low |= int(self.stream[bit // 8 + 1]) << 8
        return low >> bit % 8 & (1 << self.bits) - 1

    def rows(self):
        if self.decode is None:
            return 0, 0, None
        return *self.shape, lambda r, c: self.decode(self.code(r * self.shape[1] + c))

    def to_string(self):
        text = f"{self.name} {self.shape[0]} x {self.shape[1]}, {self.bytes} bytes"
        if int(self.value["exponent_offset_"]):
            text += f", times 2^{int(self.value['exponent_offset_'])}"
        scale, count = array(self.value["scale_"])
        if count:
            text += ", scale " + (str(scale[0]) if count == 1 else row_text(lambda i: scale[i], count))
        return text


class PackedFilter(PackedMatrix):
    def __init__(self, value):
        super().__init__(value["matrix"])
        self.filter = value["shape"]

    def to_string(self):
        shape = " x ".join(str(int(self.filter[n])) for n in ("out_channels", "height", "width", "in_channels"))
        return f"filter {shape}: " + super().to_string()


class MatrixView(Rows):
    def __init__(self, value):
        self.value = value
        self.type = element_type(value)
        self.data, self.size = span(value["data"])
        self.shape = int(value["rows"]), int(value["columns"])
        self.stride = int(value["stride"])

    def rows(self):
        rows, columns = self.shape
        if rows and columns and (rows - 1) * self.stride + columns > self.size:
            return 0, 0, None  # which check() refuses, too
        return rows, columns, lambda r, c: element(self.data[r * self.stride + c])

    def to_string(self):
        rows, columns = self.shape
        text = f"{self.type} {rows} x {columns}"
        if self.stride != columns:
            text += f", stride {self.stride}"
        if rows and columns and (rows - 1) * self.stride + columns > self.size:
            text += f", of {self.size} elements, which are too few"
        return text


class ImageView:
    def __init__(self, value):
        self.value = value
        self.type = element_type(value)
        self.data, self.size = span(value["data"])
        self.shape = [int(value[n]) for n in ("batch", "height", "width", "channels")]

    def children(self):
        n, h, w, c = self.shape
        if n * h * w * c <= self.size:
            yield "elements", row_text(lambda i: element(self.data[i]), n * h * w * c)

    def to_string(self):
        n, h, w, c = self.shape
        order = str(self.value["order"]).rsplit("::", 1)[-1]
        text = f"{self.type} {n} x {h} x {w} x {c}, {order}"
        if n * h * w * c > self.size:
            text += f", of {self.size} elements, which are too few"
        return text


class Buffer:
    def __init__(self, value):
        self.type = element_type(value)
        self.data, self.size = array(value)

    def to_string(self):
        return f"{self.type} [{self.size}] " + row_text(
            lambda i: element(self.data[i]), self.size)


class Error:
    """The text of error::message()."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        own = [f.name for f in self.value.type.strip_typedefs().fields()]
        if "description" in own and string(self.value["description"]):
            return string(self.value["description"])
        code = str(self.value["code"]).rsplit("::", 1)[-1]
        if code == "ok":
            return "no error"
        text = self.value["argument"].string()
        if int(self.value["index"]) >= 0:
            text += f"[{int(self.value['index'])}]"
        text += ": " + TEXT.get(code, "unknown error")
        parts = []
        if bool(self.value["has_value"]):
            parts.append(f"got {float(self.value['value']):.10g}")
        bound = str(self.value["bounded_by"]).rsplit("::", 1)[-1]
        if bound != "none":
            word = "must divide" if bound == "divides" else bound
            parts.append(f"{word} {float(self.value['bound']):.10g}")
        return text + (f" ({', '.join(parts)})" if parts else "")


class Result:
    def __init__(self, value):
        self.value = value
        self.error = value["error_"]
        self.optional = None
        if any(f.name == "value_" for f in value.type.strip_typedefs().fields()):
            self.optional = value["value_"]

    def has_value(self):
        if self.optional is None:  # result<void>
            return str(member(self.error, "code")).rsplit("::", 1)[-1] == "ok"
        return bool(member(self.optional, "_M_engaged", "__engaged_"))

    def to_string(self):
        if self.has_value():
            return "success" if self.optional is None else "value"
        return "error " + Error(self.error).to_string()

    def children(self):
        if self.optional is not None and self.has_value():
            type_ = self.value.type.strip_typedefs().template_argument(0)
            yield "value", member(self.optional, "_M_value", "__val_").cast(type_)


def printers():
    all_ = gdb.printing.RegexpCollectionPrettyPrinter("s3")
    for name, template, printer in (("packed_matrix", True, PackedMatrix), ("packed_filter", True, PackedFilter),
                                    ("matrix_view", True, MatrixView), ("image_view", True, ImageView),
                                    ("buffer", True, Buffer), ("result", True, Result),
                                    ("error", False, Error), ("described_error", False, Error)):
        all_.add_printer(name, f"^s3::{name}" + ("<.*>$" if template else "$"), printer)
    return all_


gdb.printing.register_pretty_printer(None, printers(), replace=True)
