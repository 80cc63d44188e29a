#!/usr/bin/env python3
"""Tests the program s3shift: imports networks of every kind of weights and compares what they answer with
a float computation in NumPy; and what it says to bad input.

    test.py PROGRAM FOLDER     FOLDER is emptied and filled
"""

import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import zlib

if sys.argv[1:] in (["-h"], ["--help"]):  # before what may be missing
    sys.exit(print(__doc__))

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np
import safetensors

program, folder = sys.argv[1], sys.argv[2]
shutil.rmtree(folder, ignore_errors=True)
os.makedirs(folder)
random = np.random.default_rng(1)


def path(name):
    return os.path.join(folder, name)


def s3(*arguments, code=0, says=""):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert code in (None, done.returncode), f"{arguments}: exit code {done.returncode}: {said}"
    assert says in said, f"{arguments} said {said!r}, not {says!r}"
    return said


def f32(array):
    return np.asarray(array, dtype=np.float32)


def conv(x, w, stride=1, padding=1, groups=1):
    """x [N][C][H][W], w [O][C/groups][kh][kw]"""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    parts = [np.einsum("nchwij,ocij->nohw", part, filters)
             for part, filters in zip(np.split(windows, groups, 1), np.split(w, groups))]
    return np.concatenate(parts, 1)


def norm(x, state, name):
    def channel(field):
        return state[f"{name}.{field}"].astype(float)[None, :, None, None]
    scaled = (x - channel("running_mean")) / np.sqrt(channel("running_var") + 1e-5)
    return scaled * channel("weight") + channel("bias")


def add_norm(state, name, channels):
    sign = np.where(random.random(channels) < 0.3, -1, 1)  # gamma may be negative
    state[f"{name}.weight"] = f32(sign * random.uniform(0.5, 1.5, channels))
    state[f"{name}.bias"] = f32(random.normal(0, 0.3, channels))
    state[f"{name}.running_mean"] = f32(random.normal(0, 0.3, channels))
    state[f"{name}.running_var"] = f32(random.uniform(5, 30, channels))


def heaviside(x):
    return (x > 0).astype(float)


def sign(x):
    return np.where(x >= 0, 1.0, -1.0)


def weights(kind, name, shape, state):
    """Puts weights of a kind into the state dict and returns their real values."""
    def latent():
        return f32(random.normal(size=shape))
    w = latent()
    exponents = random.integers(0, 3, shape)
    mask = random.random(shape) < 0.7
    if kind == "s3" or kind.startswith("denseshift"):
        count = 2 if kind == "s3" else 3
        suffix = (lambda k: f"t{count - k + 1}" if "authors" in kind else
                  f"shift{'' if k == 1 else k}")
        state[f"{name}.weight"] = w
        shift = np.zeros(shape)
        for k in range(count, 0, -1):  # the innermost has the largest number
            latents = state[f"{name}.weight_{suffix(k)}"] = latent()
            shift = heaviside(latents) * (shift + 1)
        value = sign(w) * 2.0 ** shift
        if kind == "s3":
            state[f"{name}.weight_val"] = latent()
            value = value * heaviside(state[f"{name}.weight_val"])
        return value
    if kind == "deepshift":
        state[f"{name}.shift"] = f32(-random.uniform(0, 4, shape))
        state[f"{name}.sign"] = f32(random.uniform(-1, 1, shape))
        return np.round(state[f"{name}.sign"]).clip(-1, 1) * 2.0 ** np.round(state[f"{name}.shift"])
    if kind == "realized":
        w = f32(sign(w) * mask * 2.0 ** exponents)
    elif kind == "inq":
        w = f32(sign(w) * mask * 2.0 ** (-2.0 - exponents))
    elif kind == "ternary":
        w = f32(sign(w) * mask * 0.137)
    elif kind == "ternary per channel":
        w = f32(sign(w) * mask) * f32(random.uniform(0.1, 1, (shape[0], 1, 1, 1)))
    state[f"{name}.weight"] = w
    return w.astype(float)


NETWORK = """input 12 12 3 mean=0.5,0.4,0.3 std=0.2,0.25,0.3   # a comment
conv first 3 16 kernel=3 padding=1
bn norm0
relu stem
conv second 16 16 kernel=3 padding=1
bn norm1
add stem
relu middle
conv third 16 32 kernel=3 padding=1 stride=2
bn norm2
relu
globalmean
linear fc 32 10
"""


def small_network(kind):
    state = {"first.weight": f32(random.normal(0, 0.2, (16, 3, 3, 3)))}
    second = weights(kind, "second", (16, 16, 3, 3), state)
    third = weights(kind, "third", (32, 16, 3, 3), state)
    for i, channels in enumerate((16, 16, 32)):
        add_norm(state, f"norm{i}", channels)
    state["fc.weight"] = f32(random.normal(0, 0.5, (10, 32)))
    state["fc.bias"] = f32(random.normal(0, 0.5, 10))

    def forward(images):
        mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])
        x = ((images / 255.0 - mean) / std).transpose(0, 3, 1, 2)
        stem = np.maximum(norm(conv(x, state["first.weight"]), state, "norm0"), 0)
        x = np.maximum(norm(conv(stem, second), state, "norm1") + stem, 0)
        x = np.maximum(norm(conv(x, third, stride=2), state, "norm2"), 0)
        return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
    return state, forward


def relative_error(logits, wanted):
    logits = logits - logits.mean(0)
    wanted = wanted - wanted.mean(0)
    scale = (logits * wanted).sum() / (logits * logits).sum()
    return np.sqrt(((logits * scale - wanted) ** 2).sum() / (wanted ** 2).sum())


images = random.integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
images[::2] //= 3  # not all alike
np.save(path("images.npy"), images)
with open(path("network.txt"), "w") as file:
    file.write(NETWORK)


def importing(checkpoint, *more, network="network.txt", **expected):
    return s3("import", "--network", path(network), "--checkpoint", path(checkpoint), "--samples",
              path("images.npy"), "--out", path("model"), *more, **expected)


for kind, name in (("s3", "shift3"), ("denseshift", "dense3"),
                   ("denseshift, authors' names", "dense3"), ("deepshift", "shift4"),
                   ("realized", "shift3"), ("inq", "shift3"), ("ternary", "shift2"),
                   ("ternary per channel", "shift2")):
    state, forward = small_network(kind)
    safetensors.write(path("checkpoint"), state)
    errors = []
    for bits in ("8", "6", "4"):
        said = importing("checkpoint", "--bits", bits)
        row = next(line for line in said.splitlines() if line.startswith("second"))
        assert name in row and " 0.000%" in row, f"{kind}: {row}"
        s3("run", path("model"), path("images.npy"), "--logits", path("logits.npy"))
        s3("run", path("model"), path("images.npy"), "--logits", path("shifts.npy"), "--kernels",
           "shift_add", "--batch", "7")
        logits = np.load(path("logits.npy"))
        assert logits.dtype == np.int32 and (logits == np.load(path("shifts.npy"))).all()
        errors.append(relative_error(logits, forward(images)))
    print(f"{kind}: logits differ from float by " + ", ".join(f"{100 * e:.1f}%" for e in errors) +
          " at 8, 6, 4 bits")
    # Rounding alone, which grows with the step; a fold or range that is wrong gives about 100%.
    assert errors[0] < 0.1 and errors[1] < 0.3 and errors[0] < errors[1] < errors[2], errors

# The same network with its last layer in float: nothing but the activations is rounded.
def float_logits(*more, **options):
    row = next(line for line in importing("checkpoint", *more, **options).splitlines()
               if line.startswith("fc"))
    assert " float" in row and " 0.000%" in row, row
    s3("run", path("model"), path("images.npy"), "--logits", path("logits.npy"))
    logits = np.load(path("logits.npy"))
    assert logits.dtype == np.float32
    return logits


wanted = forward(images)
with open(path("float.txt"), "w") as file:
    file.write(NETWORK.replace("fc 32 10", "fc 32 10 format=float"))
logits = float_logits("--float-last")
assert np.abs(logits - wanted).max() < 0.05 * np.abs(wanted).max()
assert (logits == float_logits(network="float.txt")).all()
importing("checkpoint")

# A network of every other kind of layer, and a sequence, whose arrays have no height.
GRAPH = """input 8 8 3
conv first 3 8 kernel=3 padding=1
bn norm0
hardswish a
conv deep 8 8 kernel=3 groups=8
bn norm1
silu
pad before=2x0 after=0x2
sigmoid wide
globalmean
conv squeeze 8 8 kernel=1
leakyrelu alpha=0.1
mul wide name=scaled
maxpool kernel=2
upsample
concat a scaled
conv last 24 12 kernel=1
tanh
globalmean
flatten
linear fc 12 10
"""


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def graph_network():
    state = {}
    for name, shape in (("first", (8, 3, 3, 3)), ("deep", (8, 1, 3, 3)), ("squeeze", (8, 8, 1, 1)),
                        ("last", (12, 24, 1, 1)), ("fc", (10, 12))):
        weights("realized", name, shape, state)
        state[f"{name}.weight"] *= 0.25
    for name in ("norm0", "norm1"):
        add_norm(state, name, 8)
        state[f"{name}.running_var"] /= 20

    def forward(images):
        x = (images / 255.0).transpose(0, 3, 1, 2)
        x = norm(conv(x, state["first.weight"]), state, "norm0")
        a = x * (x + 3).clip(0, 6) / 6
        x = norm(conv(a, state["deep.weight"], padding=0, groups=8), state, "norm1")
        wide = sigmoid(np.pad(x * sigmoid(x), ((0, 0), (0, 0), (2, 0), (0, 2))))
        x = conv(wide.mean((2, 3), keepdims=True), state["squeeze.weight"], padding=0)
        scaled = np.where(x < 0, x * 0.1, x) * wide
        x = scaled.reshape(-1, 8, 4, 2, 4, 2).max((3, 5)).repeat(2, 2).repeat(2, 3)
        x = conv(np.concatenate((x, a, scaled), 1), state["last.weight"], padding=0)
        return np.tanh(x).mean((2, 3)) @ state["fc.weight"].T
    return state, forward


SEQUENCE = """input 30 5
conv first 5 8 kernel=5 stride=2 padding=2
relu
conv deep 8 8 kernel=3 padding=1 groups=8
tanh
maxpool kernel=3
flatten
linear fc 40 6
"""


def sequence_network():
    state = {}
    for name, shape in (("first", (8, 5, 5)), ("deep", (8, 1, 3)), ("fc", (6, 40))):
        weights("realized", name, shape, state)
        state[f"{name}.weight"] *= 0.25

    def along(x, name, stride, padding, groups):  # x [N][C][L]
        x = np.pad(x[:, :, None], ((0, 0), (0, 0), (0, 0), (padding, padding)))
        w = state[name + ".weight"][:, :, None]
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))[:, :, :, ::stride]
        parts = [np.einsum("nchwij,ocij->now", part, filters)
                 for part, filters in zip(np.split(windows, groups, 1), np.split(w, groups))]
        return np.concatenate(parts, 1)

    def forward(steps):
        x = along((steps / 255.0).transpose(0, 2, 1), "first", 2, 2, 1)
        x = np.tanh(along(np.maximum(x, 0), "deep", 1, 1, 8))
        x = x.reshape(len(x), 8, 5, 3).max(3)
        return x.reshape(len(x), -1) @ state["fc.weight"].T
    return state, forward


for text, shape, make in ((GRAPH, (8, 8, 3), graph_network), (SEQUENCE, (30, 5), sequence_network)):
    with open(path("graph.txt"), "w") as file:
        file.write(text)
    state, compute = make()
    safetensors.write(path("graph"), state)
    inputs = random.integers(0, 256, (40, *shape), dtype=np.uint8)
    inputs[::2] //= 3
    np.save(path("inputs.npy"), inputs)
    s3("import", "--network", path("graph.txt"), "--checkpoint", path("graph"), "--samples",
       path("inputs.npy"), "--out", path("graph_model"))
    s3("run", path("graph_model"), path("inputs.npy"), "--logits", path("logits.npy"))
    error = relative_error(np.load(path("logits.npy")).reshape(40, -1), compute(inputs))
    print(f"inputs of {shape}: logits differ from float by {100 * error:.1f}%")
    assert error < 0.1
    np.save(path("one.npy"), inputs[0])
    s3("run", path("graph_model"), path("one.npy"))
    said = s3("inspect", path("graph_model"))
    assert text is SEQUENCE or all(w in said for w in ("table", "multiplication", "padding",
                                                       "concatenation", "upsampling"))
    said = json.loads(s3("export", path("graph_model"), "--out", path("graph.hpp"), "--json"))
    with open(path("graph.hpp")) as file:
        header = file.read()
    assert f"arena_bytes = {said['ram']['arena']};" in header
    assert f"weight_bytes = {said['flash']['weights']};" in header
    assert said["ram"]["input"] == inputs[0].size and said["flash"]["constants"] > 0

# What a model file's commands say.
said = s3("inspect", path("model"))
assert "Horowitz" in said and "estimated" in said
s3("bench", path("model"), "--seconds", "0.1", says="images/s")
# Kernels that are measured are kept in a file, and measured again where that is of another batch.
s3("bench", path("model"), "--seconds", "0.1", "--tune", path("kernels.json"))
with open(path("kernels.json")) as file:
    kept = json.load(file)
assert len(kept["kernels"]) == len(kept["layers"]) and any(kept["kernels"])
kept["kernels"] = ["no_such_kernel" if k else "" for k in kept["kernels"]]
with open(path("kernels.json"), "w") as file:
    json.dump(kept, file)
s3("bench", path("model"), "--tune", path("kernels.json"), code=1, says="options.kernel")
s3("bench", path("model"), "--seconds", "0.1", "--tune", path("kernels.json"), "--batch", "2")
# What is no file of kernels stays as it is: it may be the model itself.
with open(path("model"), "rb") as file:
    before = file.read()
s3("bench", path("model"), "--seconds", "0.1", "--tune", path("model"), code=1, says="not overwritten")
with open(path("model"), "rb") as file:
    assert file.read() == before
# On a terminal progress is drawn ten times a second at most, however short a pass is.
leader, terminal = pty.openpty()
with subprocess.Popen([program, "bench", path("model"), "--seconds", "0.5"], stderr=terminal,
                      stdout=subprocess.DEVNULL) as running:
    os.close(terminal)
    said = b""
    try:
        while more := os.read(leader, 65536):
            said += more
    except OSError:  # the end of a terminal
        pass
assert running.returncode == 0
drawn = said.count(b"milliseconds")
assert 2 <= drawn <= 8, f"bench drew {drawn} times in half a second"
s3("export", path("model"), "--out", path("model.hpp"), "--constants", "3000",
   says="weights that are code")
assert "namespace network" in open(path("model.hpp")).read()
np.save(path("labels.npy"), np.argmax(forward(images), 1))
s3("run", path("model"), path("images.npy"), "--labels", path("labels.npy"), says="accuracy")
images[0].tofile(path("one.raw"))
with open(path("one.ppm"), "wb") as file:
    file.write(b"P6 # a comment\n12 12\n255\n" + images[0].tobytes())
answer = s3("run", path("model"), path("one.raw"))
assert answer == s3("run", path("model"), path("one.ppm"))
for network in ("resnet8", "resnet18", "resnet20", "resnet50", "resnet56"):
    s3("import", "--network", network, "--description", says="linear fc")
for network in ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"):
    s3("import", "--network", network, "--description", says="linear classifier")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# A PNG image is the one that its bytes say; what ends early is refused.
rows = b"".join(b"\0" + row.tobytes() for row in images[0])
png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 12, 12, 8, 2, 0, 0, 0)) +
       chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
with open(path("one.png"), "wb") as file:
    file.write(png)
said = s3("run", path("model"), path("one.png"), "--logits", path("png.npy"), code=None)
if "built without stb" in said:
    print("PNG and JPEG are not tested: the program was built without stb")
else:
    s3("run", path("model"), path("one.png"), "--logits", path("png.npy"))
    s3("run", path("model"), path("one.ppm"), "--logits", path("ppm.npy"))
    assert (np.load(path("png.npy")) == np.load(path("ppm.npy"))).all()
    with open(path("short.png"), "wb") as file:
        file.write(png[:60])
    s3("run", path("model"), path("short.png"), code=1, says="short.png")

# JSON has the numbers of the tables.
said = json.loads(s3("run", path("model"), path("images.npy"), "--labels", path("labels.npy"), "--json"))
assert said["images"] == len(images) == len(said["classes"])
assert said["accuracy"] == np.mean(said["classes"] == np.load(path("labels.npy")))
said = json.loads(s3("inspect", path("model"), "--json"))
assert [row["layer"] for row in said["layers"]] == [row["layer"] for row in said["kernels"]]
assert sum(row["bytes"] for row in said["layers"]) == said["bytes"]
for count in ("1", "2"):
    said = json.loads(s3("bench", path("model"), "--seconds", "0.1", "--threads", count, "--json"))
    assert 0 < said["best_ms"] <= said["median_ms"] <= said["p99_ms"] and said["threads"] == int(count)
    assert all(row["microseconds"] >= 0 for row in said["layers"])

# A model is the same as itself, and differs a little from one of fewer bits.
importing("checkpoint", "--bits", "4")
os.replace(path("model"), path("model4"))
importing("checkpoint")
same = json.loads(s3("compare", path("model"), path("model"), path("images.npy"), "--json"))
assert same["same_class"] == 1 and same["largest_difference"] == 0
other = json.loads(s3("compare", path("model"), path("model4"), path("images.npy"), "--labels",
                      path("labels.npy"), "--json"))
assert 0 < other["relative_difference"] < 0.5 and other["models"][0]["accuracy"] > 0.5
s3("compare", path("model"), path("model4"), path("images.npy"), says="The same class for")
# Each of the two has kernels of its own.
s3("compare", path("model"), path("model4"), path("images.npy"), "--tune", path("two.json"))
for name, bits in (("two.json", 8), ("two.json.other", 4)):
    with open(path(name)) as file:
        assert json.load(file)["layers"][1]["bits"] == bits, name
# JSON is UTF-8, names of files need not be.
if sys.platform == "linux":
    odd = os.fsencode(path("odd")) + b"\xff"
    shutil.copy(path("model"), odd)
    said = json.loads(s3("compare", odd, path("model"), path("images.npy"), "--json"))
    assert said["models"][0]["model"] == path("odd") + "\ufffd", said

# A plain checkpoint has no shift weights until it is told which to round to.
plain, compute = small_network("realized")
for name in ("second", "third"):
    plain[f"{name}.weight"] = f32(random.normal(0, 0.2, plain[f"{name}.weight"].shape))
safetensors.write(path("plain"), plain)
importing("plain", code=1, says="--format")
rows = importing("plain", "--format", "shift4").splitlines()
for name, format in (("first", "int8"), ("second", "shift4"), ("third", "shift4"), ("fc", "int8")):
    assert any(row.split()[:2] == [name, format] for row in rows), rows
# Kernels of one format are not those of another, though the layers' names are the same.
for format in ("shift2", "shift5", "int8"):
    importing("plain", "--format", format)
    s3("bench", path("model"), "--seconds", "0.1", "--tune", path("formats.json"))
    with open(path("formats.json")) as file:
        layers = json.load(file)["layers"]
    assert next(row["format"] for row in layers if row["name"] == "second") == format, layers
importing("plain", "--format", "shift4")

# What the checkpoint and the samples say of a network of ours need not be said again.
def resnet8():
    text = s3("import", "--network", "resnet8", "--description", "--classes", "7")
    state = {}
    for line in text.splitlines():
        word, name, *rest = (line.split() + [""])[:4]
        if word in ("conv", "linear"):
            width = int(re.search(r"kernel=(\d+)", line).group(1)) if word == "conv" else 0
            shape = [int(line.split()[3]), int(line.split()[2])] + [width] * (2 if width else 0)
            state[f"{name}.weight"] = f32(random.normal(0, 0.2, shape))
        elif word == "bn":
            add_norm(state, name, state[last_conv].shape[0])
        if word == "conv":
            last_conv = f"{name}.weight"
    return state


safetensors.write(path("eight"), resnet8())
np.save(path("small.npy"), random.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8))
ours = ("import", "--network", "resnet8", "--checkpoint", path("eight"), "--samples", path("small.npy"),
        "--format", "shift3", "--out", path("eight_model"))
s3(*ours, code=1, says="--mean")
s3(*ours, "--mean", "0.5,0.5,0.5", code=1, says="--std")
s3(*ours, "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
said = json.loads(s3("inspect", path("eight_model"), "--json"))
assert said["input"]["shape"] == [16, 16, 3] and said["layers"][-1]["output"] == [1, 1, 7]
# A description has all that itself, and a network of PyTorch's has its sizes.
for name, value in (("--mean", "0,0,0"), ("--std", "1,1,1"), ("--classes", "3"), ("--size", "12"),
                    ("--channels", "3")):
    importing("checkpoint", name, value, code=1, says=f"{name}: is for networks of ours")
for name in ("--classes", "--size", "--channels"):
    s3("import", "--torch", "net.py:trained", name, "3", code=2, says=name)

# What PyTorch made goes to the Python package, with the whole command line; without one it is said
# what reads it. (tests/python/test_network.py has that package.)
with open(path("python"), "w") as file:
    file.write('#!/bin/sh\nshift 2\necho "python: $*"\nexit 3\n')
os.chmod(path("python"), 0o755)
for first in (b"PK\3\4", b"\x80\2"):
    with open(path("net.pt"), "wb") as file:
        file.write(first + 100 * b"\0")
    os.environ["S3_PYTHON"] = path("python")
    said = importing("net.pt", "--bits", "6", code=3, says="python: import --network")
    assert said.endswith(" --bits 6\n"), said
    os.environ["S3_PYTHON"] = path("nothing")
    importing("net.pt", code=1, says="cannot be started")
with open(path("bare"), "w") as file:  # a Python that has no package s3
    file.write(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
os.chmod(path("bare"), 0o755)
os.environ["S3_PYTHON"] = path("bare")
s3("import", "--torch", "net.py:trained", "--samples", path("images.npy"), "--out", path("model"),
   code=1, says="export_checkpoint.py")
s3("import", "--torch", "net.py:trained", "--network", "resnet8", code=2, says="excludes")

# So do ONNX graphs.
s3("import", "net.onnx", "--out", "m", code=1, says="s3-shift")
os.environ["S3_PYTHON"] = path("python")
s3("import", "net.onnx", "--out", "m", code=3, says="python: import net.onnx --out m")
s3("export", path("model"), "--out", "net.onnx", code=3, says="python: export")
s3("import", code=2, says="--network or --torch")
# Names that are missing have neighbours.
with open(path("near.txt"), "w") as file:
    file.write(NETWORK.replace("conv second", "conv secund"))
importing("checkpoint", network="near.txt", code=1, says="of these names: second,")

# The manual and the completion know the commands and their options.
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "s3shift.1")) as file:
    manual = file.read().replace("\\-", "-")
commands = re.findall(r"^  ([a-z]+) ", s3("--help").split("Subcommands:")[1], re.M)
assert commands == ["import", "inspect", "run", "compare", "bench", "export"], commands
for command in commands:
    assert f"s3shift {command} " in manual, command
    for option in re.findall(r"--[a-z-]+", s3(command, "--help")):
        assert option in manual or option == "--help", f"the manual lacks {option}"
typed = subprocess.run(["bash", "-c", f"""source {here}/completion.bash
    COMP_WORDS=({program} com); COMP_CWORD=1; _s3shift {program}; echo ${{COMPREPLY[@]}}
    COMP_WORDS=({program} bench --th); COMP_CWORD=2; _s3shift {program}; echo ${{COMPREPLY[@]}}"""],
    capture_output=True, text=True)
assert typed.stdout.split() == ["compare", "--threads"], typed

# A state dict of torch.save as safetensors, by the script that needs PyTorch and NumPy alone.
script = [sys.executable, "-B", os.path.join(here, "export_checkpoint.py")]
if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0:
    making = """import sys, torch
state = {"module.half": torch.ones(2, 3).half(), "steps": torch.tensor([1, -2]).short()}
torch.save({"state_dict": state}, sys.argv[1])
torch.save({"complex": torch.ones(2, dtype=torch.complex64)}, sys.argv[2])"""
    subprocess.run([sys.executable, "-c", making, path("state.pt"), path("complex.pt")], check=True)
    subprocess.run([*script, path("state.pt"), path("state")], check=True)
    with open(path("state"), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        assert file.read() == f32(np.ones(6)).tobytes() + np.array([1, -2], "<i2").tobytes()
    assert {name: row["dtype"] for name, row in header.items()} == {"half": "F32", "steps": "I16"}
    done = subprocess.run([*script, path("complex.pt"), path("state")], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith("complex holds complex64, which no "
                                                         "safetensors file can\n"), done.stderr
else:
    print("export_checkpoint.py is not tested: there is no PyTorch")

# Output that is not written is a failure: to a pipe that nobody reads, without the signal that would
# end the program there.
for arguments in (["run", path("model"), path("images.npy")], ["inspect", path("model")],
                  ["run", path("model"), path("images.npy"), "--json"], ["--help"],
                  ["import", "--network", "resnet8", "--description"]):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([program, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True,
                          restore_signals=False)
    os.close(writing)
    assert done.returncode == 1 and "standard output" in done.stderr, (arguments, done)

# No number below zero is a huge one.
for name in ("--classes", "--size", "--channels", "--count"):
    s3("import", "--network", "resnet8", "--description", name, "-5", code=2, says=f"{name}: -5")
for command in (["run", path("model")], ["compare", path("model"), path("model")]):
    s3(*command, path("images.npy"), "--count", "-1", code=2, says="--count: -1")
s3("export", path("model"), "--out", path("m.hpp"), "--constants", "-5", code=2, says="--constants: -5")
for seconds in ("nan", "-1", "inf"):
    s3("bench", path("model"), "--seconds", seconds, code=2, says=f"--seconds: {seconds}")

# Wrong usage and bad input.
s3("--help", says="import")
s3(code=2)
s3("run", code=2)
s3("import", "--network", "resnet8", "--bits", "5", code=2)
s3("import", "--network", path("network.txt"), "--checkpoint", path("checkpoint"), "--out",
   path("model"), code=1, says="calibration without data")
s3("import", "--network", path("nothing"), "--checkpoint", "c", "--samples", "s", "--out", "m",
   code=1, says="cannot be opened")
s3("inspect", path("images.npy"), code=1, says="safetensors")
with open(path("model"), "rb") as whole, open(path("short"), "wb") as short:
    short.write(whole.read()[:-1])
s3("inspect", path("short"), code=1, says="safetensors")
with open(path("labels-idx1"), "wb") as file:  # one label less than it says
    file.write(bytes([0, 0, 8, 1, 0, 0, 0, len(images)]) + bytes(len(images) - 1))
s3("run", path("model"), path("images.npy"), "--labels", path("labels-idx1"), code=1,
   says="do not fit the sizes")
with open(path("other.npy"), "wb") as f:  # a header of 2 MB ends no program by its depth
    header = ("{'descr': '" + 2_000_000 * "x" + "', 'fortran_order': False, 'shape': (1,), }").encode()
    f.write(b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little") + header)
s3("run", path("model"), path("other.npy"), code=1, says="descr")
np.save(path("other.npy"), images[:, :5])
s3("run", path("model"), path("other.npy"), code=1, says="5x12x3")


def description(text, says):
    with open(path("bad.txt"), "w") as file:
        file.write(text)
    importing("checkpoint", network="bad.txt", code=1, says=says)


description("", "no input line")
description("conv a 3 4 kernel=3", "line 1")
description(NETWORK.replace("kernel=3", "kernl=3", 1), "line 2: 'conv' needs kernel=")
description(NETWORK.replace("kernel=3", "kernel=0", 1), "line 2")
description(NETWORK.replace("relu stem", "rule stem"), "line 4: there is no layer 'rule'")
description(NETWORK.replace("add stem", "add steam"), "line 7: no earlier line is named 'steam'")
description(NETWORK.replace("add stem", "add input"), "line 7: the two values have different")
description(NETWORK.replace("third 16", "third 17"), "line 9 (third): the image has 16 channels")
description(NETWORK.replace("globalmean\n", ""), "must be flattened")
description(NETWORK.replace("second 16 16", "absent 16 16"), "no such tensor")
description(NETWORK.replace("second 16 16", "first 16 16"), "name of an earlier line")
description(NETWORK.replace("bn norm1", "relu\nbn norm1"), "'bn' must follow")
description(NETWORK.replace("32 kernel=3", "32 format=float kernel=3"), "line 9 (third): only a")

state, _ = small_network("realized")
for value, says in ((np.nan, "not finite"), (0.3, "not of a shift format")):
    state["third.weight"][1, 2, 0, 0] = value
    safetensors.write(path("bad"), state)
    importing("bad", code=1, says=says)
state["third.weight"] = state["third.weight"][:, :8]
safetensors.write(path("bad"), state)
importing("bad", code=1, says="line 9 (third)")
print("s3shift: all checks passed")
