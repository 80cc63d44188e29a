"""Writes NumPy arrays as a safetensors file: the format is a length, a JSON header and the data."""

import json
import struct

TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32",
         "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16",
         "uint8": "U8", "bool": "BOOL"}


def write(path, arrays):
    """Raises ValueError for arrays of a type that such files do not have."""
    header, data = {}, []
    end = 0
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype.name not in TYPES:
            raise ValueError(f"{path}: {name} holds {array.dtype.name}, which no safetensors file can")
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": TYPES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [end, end + len(raw)]}
        end += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))
