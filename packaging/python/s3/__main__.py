"""The program s3shift: `python3 -m s3`, or `s3shift` where the package was installed by pip.

It is the same program as the one in C++, which starts this one for what needs PyTorch, and for ONNX
graphs, which s3.onnx reads and writes.
"""

import importlib
import importlib.util
import os
import signal
import sys

from . import _runtime
from ._runtime import Error


def trace(named, checkpoint, samples, mean, std):
    """(description, tensors) of the module that `named` names: FILE.py:FUNCTION or MODULE:FUNCTION
    is called for it, another file was written by torch.save. `checkpoint`, if it is not empty, is
    a file with the state dict that the module gets."""
    import torch

    from . import checkpoint as files
    from .convert import describe

    place, colon, name = named.rpartition(":")
    if colon and name.isidentifier():
        model = _attribute(place, name)()
    else:
        model = files.load(named)
    if isinstance(model, dict):
        raise Error(f"{named}: holds a state dict; name a function that makes the module, and give "
                    "this file as --checkpoint")
    if not isinstance(model, torch.nn.Module):
        raise Error(f"{named}: gives a {type(model).__name__}, not a torch.nn.Module")
    if checkpoint:
        state = {k: torch.from_numpy(v) for k, v in files.state_dict(checkpoint).items()}
        model.load_state_dict(state)
    return describe(model.eval(), samples, _numbers("--mean", mean), _numbers("--std", std))[:2]


def _numbers(option, text):
    try:
        return [float(number) for number in text.split(",")] if text else None
    except ValueError:
        raise Error(f"{option}: '{text}' is not a list of numbers") from None


def _attribute(place, name):
    if place.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))  # for what it imports
        spec = importlib.util.spec_from_file_location("s3shift_model", place)
        module = importlib.util.module_from_spec(spec)
        sys.modules["s3shift_model"] = module
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(place)
    if not hasattr(module, name):
        raise Error(f"{place}: has no function {name}")
    return getattr(module, name)


def state_dict(path):
    """The arrays of a state dict that torch.save wrote."""
    from .checkpoint import state_dict as read
    return {name: array for name, array in read(path).items() if array.dtype.kind == "f"}


def main():
    if sys.argv[1:2] in (["import"], ["export"]) and any(w.endswith(".onnx") for w in sys.argv[2:]):
        from .onnx.__main__ import main as graphs
        return graphs("s3shift")
    if not hasattr(_runtime, "program"):
        sys.exit("s3shift: this package was built without CLI11 and zlib, which the program needs")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the program is C++, which Python does not interrupt
    sys.exit(_runtime.program(["s3shift", *sys.argv[1:]], trace, state_dict))


if __name__ == "__main__":
    main()
