"""Writes NumPy arrays as a safetensors file: the format is a length, a JSON header and the data."""

import json
import struct

TYPES = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "int8": "I8",
         "uint8": "U8", "bool": "BOOL"}


def write(path, arrays):
    header, data = {}, []
    end = 0
    for name in sorted(arrays):
        array = arrays[name]
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": TYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [end, end + len(raw)]}
        end += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
