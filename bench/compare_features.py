#!/usr/bin/env python3
"""How far features are from others of the same recordings: two folders of `spoor extract`, float32, one shard each.
Usage: compare_features.py DIR EXACT_DIR [BLOCKS]
Prints for each of BLOCKS equal blocks of columns (hidden states side by side) the root mean square of the difference over
that of EXACT_DIR. Entries are in the order of the list, so both folders must be whole and of the same list."""
import json
import os
import sys
import numpy as np


def rows(folder):
    index = json.load(open(os.path.join(folder, "index.json")))
    assert index["type"] == "float32" and not os.path.exists(os.path.join(folder, "0001.bin")), folder
    width = index["dim"]
    records = np.fromfile(os.path.join(folder, "0000.idx"), "<u8").reshape(-1, 8)
    data = np.fromfile(os.path.join(folder, "0000.bin"), "<f4")
    parts = [data[offset // 4:offset // 4 + frames * width] for offset, frames in records[:, 4:6].tolist() if frames]
    return np.concatenate(parts).reshape(-1, width).astype(np.float64)


got, exact = rows(sys.argv[1]), rows(sys.argv[2])
blocks = int(sys.argv[3]) if len(sys.argv) > 3 else 1
for a, b in zip(np.split(got, blocks, 1), np.split(exact, blocks, 1)):
    print("%.1e" % np.sqrt(((a - b) ** 2).sum() / (b ** 2).sum()), end=" ")
print()
