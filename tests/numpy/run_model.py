#!/usr/bin/env python3
"""Computes a model file's network in NumPy, from the file's bytes alone, and compares.

    run_model.py <model.safetensors> <images> <outputs>

images: bytes, [batch][height][width][channel]. outputs: int32 where the last layer gives sums, else
bytes. Nothing here is shared with the library: formats, layout and arithmetic are written down a
second time, from their descriptions. All sums are int64; the exit status is 1 if an output differs.
"""

import json
import struct
import sys

if __name__ == "__main__" and sys.argv[1:] in (["-h"], ["--help"]):  # before what may be missing
    sys.exit(print(__doc__))

import numpy as np

LIMIT = 2**23  # of a rounded product


def read_safetensors(path):
    with open(path, "rb") as file:
        content = file.read()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    data = content[8 + size :]
    metadata = header.pop("__metadata__")
    types = {"U8": np.uint8, "I32": np.dtype("<i4"), "F32": np.dtype("<f4")}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], types[entry["dtype"]])
    return metadata, tensors


def codebook(bits, has_zero, is_shift):
    codes = np.arange(2**bits)
    if not is_shift:
        return np.where(codes < 2 ** (bits - 1), codes, codes - 2**bits)
    magnitude = codes % 2 ** (bits - 1)
    value = np.where(magnitude == 0, 0, 2 ** (magnitude - 1.0)) if has_zero else 2.0**magnitude
    return np.where(codes >= 2 ** (bits - 1), -value, value).astype(np.int64)


def read_filter(record):
    """[out channels][height][width][channels of a group]"""
    raw = record.tobytes()
    magic, version, bits, flags, _, rows, columns, height, width, scales = struct.unpack_from(
        "<3sBBBhQQIIQ", raw
    )
    assert magic == b"S3W" and version == 2
    stream = np.frombuffer(raw[64 + 4 * scales :], np.uint8)
    all_bits = np.unpackbits(stream, bitorder="little")[: rows * columns * bits]
    codes = all_bits.reshape(-1, bits).astype(np.int64) @ (1 << np.arange(bits))
    values = codebook(bits, flags & 1, flags & 2)[codes]
    return values.reshape(rows, height, width, columns // (height * width))


def scale_round(v, scale):
    """One float32 product, rounded half to even."""
    product = v.astype(np.float32) * np.asarray(scale, np.float32)
    return np.rint(np.clip(product, -LIMIT, LIMIT)).astype(np.int64)


def windows(x, window, stride, padding, dilation, pad_value):
    """[batch][out height][out width][window height][window width][channel]"""
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)), constant_values=pad_value)
    reach = [d * (w - 1) + 1 for d, w in zip(dilation, window)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def convolve(layer, values, infos, tensors, out):
    name = layer["name"]
    weight = read_filter(tensors[name + ".weight"])
    x, info = values[layer["input"]], infos[layer["input"]]
    rows, height, width, channels = weight.shape
    groups = layer["groups"]
    view = windows(x, (height, width), layer["stride"], layer["padding"], layer["dilation"],
                   info["zero_point"])
    sums = []
    for g, part in enumerate(np.split(weight, groups)):
        taps = view[..., g * channels : (g + 1) * channels]
        columns = taps.reshape(*taps.shape[:3], -1).astype(np.int64)
        sums.append(columns @ part.reshape(len(part), -1).T)
    v = np.concatenate(sums, axis=-1)
    assert np.abs(v).max(initial=0) < 2**31
    if name + ".bias" in tensors:
        v = v + tensors[name + ".bias"]
    if layer["raw"]:
        return v
    v = scale_round(v, tensors[name + ".scale"]) + out["zero_point"]
    if "residual" in layer:
        other = layer["residual"]
        v += scale_round(values[other] - infos[other]["zero_point"], layer["residual_scale"])
    return np.clip(v, layer["low"], layer["high"])


def pool(layer, values, infos, out):
    x, zero = values[layer["input"]], infos[layer["input"]]["zero_point"]
    largest = layer["kind"] == "max_pooling"
    view = windows(x, layer["window"], layer["stride"], layer["padding"], (1, 1),
                   -1 if largest else zero)
    if largest:
        return view.max(axis=(3, 4))
    sums = (view.astype(np.int64) - zero).sum(axis=(3, 4))
    q = scale_round(sums, layer["scale"]) + out["zero_point"]
    return np.clip(q, 0, 2 ** out["bits"] - 1)


def add(layer, values, infos, out):
    def term(which):
        v = layer[which]
        return scale_round(values[v] - infos[v]["zero_point"], layer[which + "_scale"])

    return np.clip(term("a") + term("b") + out["zero_point"], layer["low"], layer["high"])


def look_up(layer, values, tensors):
    return tensors[layer["name"] + ".table"].astype(np.int64)[values[layer["input"]]]


def multiply(layer, values, infos, out):
    a, b = (values[layer[which]] - infos[layer[which]]["zero_point"] for which in ("a", "b"))
    q = scale_round(a * b, layer["scale"]) + out["zero_point"]  # b may be one value per channel
    return np.clip(q, layer["low"], layer["high"])


def concatenate(layer, values, infos, out):
    parts = [
        scale_round(values[v] - infos[v]["zero_point"], scale)
        for v, scale in zip(layer["inputs"], layer["inputs_scale"])
    ]
    return np.clip(np.concatenate(parts, -1) + out["zero_point"], 0, 2 ** out["bits"] - 1)


def upsample(layer, values):
    x = values[layer["input"]]
    return x.repeat(layer["factor"][0], axis=1).repeat(layer["factor"][1], axis=2)


def pad(layer, values, infos):
    (top, left), (bottom, right) = layer["before"], layer["after"]
    return np.pad(values[layer["input"]], ((0, 0), (top, bottom), (left, right), (0, 0)),
                  constant_values=infos[layer["input"]]["zero_point"])


def run(path, images):
    metadata, tensors = read_safetensors(path)
    assert metadata["s3.model"] == "1"
    network = json.loads(metadata["s3.network"])
    infos = network["values"]
    first = infos[0]
    values = [images.reshape(-1, first["height"], first["width"], first["channels"]).astype(np.int64)]
    for layer, out in zip(network["layers"], infos[1:]):
        kind = layer["kind"]
        if kind == "convolution":
            values.append(convolve(layer, values, infos, tensors, out))
        elif kind == "addition":
            values.append(add(layer, values, infos, out))
        elif kind == "table":
            values.append(look_up(layer, values, tensors))
        elif kind == "multiplication":
            values.append(multiply(layer, values, infos, out))
        elif kind == "concatenation":
            values.append(concatenate(layer, values, infos, out))
        elif kind == "upsampling":
            values.append(upsample(layer, values))
        elif kind == "padding":
            values.append(pad(layer, values, infos))
        elif kind in ("max_pooling", "mean_pooling"):
            values.append(pool(layer, values, infos, out))
        else:
            raise ValueError(f"there is no layer '{kind}'")
    return values[-1], network["layers"][-1].get("raw", False)


def main():
    model, images, outputs = sys.argv[1:]
    computed, raw = run(model, np.fromfile(images, np.uint8))
    given = np.fromfile(outputs, "<i4" if raw else np.uint8)
    different = int((computed.ravel() != given).sum()) if computed.size == given.size else -1
    spread = len(np.unique(given))
    print(f"{model}: {computed.size} outputs ({spread} distinct), {different} differ")
    return 0 if different == 0 and spread > 1 else 1


if __name__ == "__main__":
    sys.exit(main())
