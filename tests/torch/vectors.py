"""Writes named arrays and a JSON description as a safetensors file (numpy and json alone)."""
import json
import numpy as np


def save(path, arrays, meta):
    header, blobs, offset = {"__metadata__": {"test": json.dumps(meta)}}, [], 0
    for name, a in arrays.items():
        a = np.ascontiguousarray(a, dtype=np.int64 if a.dtype.kind == "i" else np.float32)
        header[name] = {"dtype": "I64" if a.dtype == np.int64 else "F32", "shape": list(a.shape),
                        "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
        blobs.append(a.tobytes())
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))
