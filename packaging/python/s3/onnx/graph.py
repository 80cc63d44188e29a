"""ONNX files and graphs: read, checked, and reduced to the nodes that compute the output, with what
is constant computed. All messages name the file, node or tensor.
"""

import math
import os

import numpy

from .._runtime import Error
from ..description import Unsupported, need

OPSETS = range(7, 22)  # of the default domain: what tests import


def package():
    """The onnx package, which is needed only here."""
    try:
        import onnx
        import onnx.external_data_helper
        import onnx.numpy_helper
    except ImportError:
        raise Error("ONNX files need the Python package onnx (Debian: python3-onnx)") from None
    return onnx


def load(model):
    """(ModelProto, name for messages) of a path or a ModelProto."""
    onnx = package()
    if isinstance(model, onnx.ModelProto):
        for tensor in _tensors_elsewhere(onnx, model):
            raise Error(f"the graph: tensor '{tensor.name}' lies in another file, whose folder only "
                        "a path tells: give the path of the model")
        return model, "the graph"
    try:
        path = os.fspath(model)
    except TypeError:
        raise Error(f"model: a path or an onnx.ModelProto is needed, not {type(model).__name__}") \
            from None
    from google.protobuf.message import DecodeError
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from None
    except DecodeError:
        raise Error(f"{path}: is not an ONNX file, or is truncated") from None
    _load_external_data(onnx, model, path)
    return model, path


def _tensors_elsewhere(onnx, model):
    helper = onnx.external_data_helper
    return [t for t in helper._get_all_tensors(model) if helper.uses_external_data(t)]


def _load_external_data(onnx, model, path):
    """Only from files in the model's own folder: a model that came from elsewhere reads no other."""
    helper = onnx.external_data_helper
    folder = os.path.dirname(os.path.abspath(path))
    for tensor in _tensors_elsewhere(onnx, model):
        name = {e.key: e.value for e in tensor.external_data}.get("location", "")
        file = os.path.realpath(os.path.join(folder, name))
        where = f"{path}: tensor '{tensor.name}' lies in the file '{name}'"
        if os.path.commonpath([file, os.path.realpath(folder)]) != os.path.realpath(folder):
            raise Error(f"{where}, which is outside the model's folder")
        try:
            helper.load_external_data_for_tensor(tensor, folder)
        except (OSError, ValueError) as error:
            raise Error(f"{where}, which cannot be read: {error}") from None
        tensor.data_location = onnx.TensorProto.DEFAULT


class Constant:
    """An array whose numbers are known. One that a DequantizeLinear gave also has its `integers`
    (zero point subtracted) and their `scale`, one number or one per index of `axis`."""

    def __init__(self, array, integers=None, scale=None, axis=None):
        self.array, self.integers, self.scale, self.axis = array, integers, scale, axis


class Node:
    """A node, its attributes as Python values, and what its messages call it."""

    def __init__(self, onnx, proto):
        self.op, self.domain = proto.op_type, proto.domain
        self.standard = proto.domain in ("", "ai.onnx")  # whether ONNX itself defines the operator
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.attributes = {a.name: _plain(onnx, a) for a in proto.attribute}
        self.name = proto.name

    def __str__(self):
        return f"{self.name or 'the node of ' + (self.outputs or ['nothing'])[0]} ({self.op})"

    def take(self, name, otherwise=None):
        return self.attributes.pop(name, otherwise)

    def finish(self):
        """Refuses attributes that nothing took."""
        for name, value in self.attributes.items():
            raise Unsupported(f"{name}={value!r}")


def _plain(onnx, attribute):
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value


class Graph:
    """`nodes` in order, `constants` by name, the input's name, element type and shape (the batch
    is 1 where it is open), the output's name, and the `readers` of each tensor: a node per input that
    is this tensor, and None where the tensor is the output."""

    def __init__(self, model, where, output=None):
        onnx = package()
        opset = {o.domain or "ai.onnx": o.version for o in model.opset_import}.get("ai.onnx", 0)
        if opset not in OPSETS:
            raise Error(f"{where}: opset {opset}: {OPSETS[0]} to {OPSETS[-1]} are known")
        self.opset, graph = opset, model.graph
        self.constants = {}
        for tensor in graph.initializer:
            try:
                self.constants[tensor.name] = Constant(onnx.numpy_helper.to_array(tensor))
            except (ValueError, TypeError, KeyError) as error:
                raise Error(f"{where}: tensor '{tensor.name}' is damaged, or of an unknown type: "
                            f"{error}") from None
        if graph.sparse_initializer:
            raise Error(f"{where}: it has sparse initializers")
        inputs = [i for i in graph.input if i.name not in self.constants]
        outputs = [o.name for o in graph.output]
        if output is None and len(outputs) != 1:
            raise Error(f"{where}: it has {len(outputs)} outputs ({', '.join(outputs)}): say which "
                        "is wanted, output=")
        self.output = outputs[0] if output is None else output
        self._keep_needed(onnx, graph, where)
        used = {name for node in self.nodes for name in node.inputs}
        inputs = [i for i in inputs if i.name in used or len(inputs) == 1]
        if len(inputs) != 1:
            raise Error(f"{where}: one input can be converted, not {len(inputs)}")
        self.input = inputs[0].name
        self._read_input(onnx, inputs[0].type.tensor_type, where)

    def _keep_needed(self, onnx, graph, where):
        made = {name: node for node in graph.node for name in node.output if name}
        if self.output not in made:
            raise Error(f"{where}: no node computes the output '{self.output}'")
        needed, open_names = set(), [self.output]
        while open_names:
            node = made.get(open_names.pop())
            if node is not None and id(node) not in needed:
                needed.add(id(node))
                open_names += node.input
        self.nodes = [Node(onnx, n) for n in graph.node if id(n) in needed]
        self.readers = {self.output: [None]}
        for node in self.nodes:
            for name in node.inputs:
                if not (node.op == "Shape" and node.standard):  # which reads no numbers
                    self.readers.setdefault(name, []).append(node)

    def _read_input(self, onnx, kind, where):
        types = {onnx.TensorProto.FLOAT: "float", onnx.TensorProto.UINT8: "uint8",
                 onnx.TensorProto.INT8: "int8"}
        if kind.elem_type not in types:
            name = onnx.TensorProto.DataType.Name(kind.elem_type)
            raise Error(f"{where}: input '{self.input}' is of {name}: float, uint8 and int8 are "
                        "known")
        self.input_type = types[kind.elem_type]
        dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?"
                for d in kind.shape.dim]
        wrong = [d for d in dims[1:] if not isinstance(d, int) or d < 1]
        if wrong or not 2 <= len(dims) <= 4:
            raise Error(f"{where}: input '{self.input}' has the shape "
                        f"[{', '.join(map(str, dims))}]: 2 to 4 dimensions are needed, and only the "
                        "first, the batch, may be open")
        self.input_shape = [dims[0] if isinstance(dims[0], int) and dims[0] > 0 else 1, *dims[1:]]


# What is computed with numbers that are all known, such as shapes: by operator.
def _slice(node, x, starts=None, ends=None, axes=None, steps=None):
    starts = node.take("starts") if starts is None else starts.tolist()
    ends = node.take("ends") if ends is None else ends.tolist()
    axes = node.take("axes", range(len(starts))) if axes is None else axes.tolist()
    steps = [1] * len(starts) if steps is None else steps.tolist()
    index = [slice(None)] * x.ndim
    for axis, *limits in zip(axes, starts, ends, steps):
        index[axis] = slice(*limits)
    return x[tuple(index)]


def axes_of(node, given, rank):
    """The axes of an attribute (old opsets) or an input."""
    axes = node.take("axes") if given is None else given.reshape(-1).tolist()
    return None if axes is None else [a % rank for a in axes]


def reshaped(node, shape, target):
    """The shape that Reshape gives."""
    target = [int(t) for t in target]
    if not node.take("allowzero", 0):
        target = [shape[i] if t == 0 else t for i, t in enumerate(target)]
    if -1 in target:
        rest = math.prod(t for t in target if t != -1)
        target[target.index(-1)] = math.prod(shape) // max(rest, 1)
    need(math.prod(target) == math.prod(shape), f"from {[*shape]} to {target}")
    return target


def squeezed(node, shape, axes):
    axes = axes_of(node, axes, len(shape))
    axes = [i for i, s in enumerate(shape) if s == 1] if axes is None else axes
    return [s for i, s in enumerate(shape) if i not in axes]


def unsqueezed(node, shape, axes):
    axes = node.take("axes") if axes is None else axes.reshape(-1).tolist()
    axes, rest = [a % (len(shape) + len(axes)) for a in axes], list(shape)
    return [1 if i in axes else rest.pop(0) for i in range(len(shape) + len(axes))]


def _cast(onnx, node, x):
    return x.astype(onnx.mapping.TENSOR_TYPE_TO_NP_TYPE[node.take("to")])


def _constant(node):
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in node.attributes:
            value = node.take(name)
            return value if isinstance(value, numpy.ndarray) else numpy.asarray(
                value, "f4" if "float" in name else "i8")
    raise Unsupported("a constant that is no number")


def _full(node, shape):
    need(math.prod(map(int, shape)) <= 1 << 20, f"a constant of shape {shape.tolist()}")
    return numpy.full(shape, node.take("value", numpy.zeros(1, "f4"))[0])


FOLDED = {
    "Constant": _constant,
    "Identity": lambda node, x: x,
    "Gather": lambda node, x, i: numpy.take(x, i, axis=node.take("axis", 0)),
    "Concat": lambda node, *x: numpy.concatenate(x, axis=node.take("axis")),
    "Slice": _slice,
    "Reshape": lambda node, x, to: x.reshape(reshaped(node, x.shape, to)),
    "Squeeze": lambda node, x, axes=None: x.reshape(squeezed(node, x.shape, axes)),
    "Unsqueeze": lambda node, x, axes=None: x.reshape(unsqueezed(node, x.shape, axes)),
    "Transpose": lambda node, x: x.transpose(node.take("perm")),
    "Cast": lambda node, x: _cast(package(), node, x),
    "ConstantOfShape": lambda node, shape: _full(node, shape),
    "Add": lambda node, a, b: a + b,
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "Div": lambda node, a, b: a // b if a.dtype.kind in "iu" else a / b,
    "Sqrt": lambda node, x: numpy.sqrt(x),
    "Floor": lambda node, x: numpy.floor(x),
    "Reciprocal": lambda node, x: 1 / x,
    "Neg": lambda node, x: -x,
}
