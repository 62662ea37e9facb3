#!/usr/bin/env python3
"""Networks of full size with random weights, computed by torchaudio (WavLM: by the oracle of make_wav2vec2.py) and by Spoor
from a checkpoint file: the largest relative error of each hidden state. Not part of `make check`: it takes minutes, 8 GB
of memory and 3 GB of disk. Run after `make`: /usr/bin/python3 tests/torch/compare_wav2vec2.py build/release [NAME ...]
torchaudio's networks are saved under torchaudio's names, WavLM as a Hugging Face folder."""
import json
import os
import subprocess
import sys
import tempfile
import numpy as np
import torch
from make_wav2vec2 import build, hidden_states, hugging_face_name, sharpen
from vectors import save

torch.set_num_threads(1)
SECONDS = 4

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "conv_bias": False, "feat_extract_norm": "group", "do_stable_layer_norm": False, "num_conv_pos_embeddings": 128,
        "num_conv_pos_embedding_groups": 16, "layer_norm_eps": 1e-5}
LARGE = {**BASE, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
         "feat_extract_norm": "layer", "do_stable_layer_norm": True}
WAVLM = {"model_type": "wavlm", "num_buckets": 320, "max_bucket_distance": 800}
NETWORKS = {
    "wav2vec2-base": {**BASE, "model_type": "wav2vec2"},
    "xls-r-300m": {**LARGE, "model_type": "wav2vec2", "conv_bias": True},
    "hubert-base": {**BASE, "model_type": "hubert"},
    "hubert-large": {**LARGE, "model_type": "hubert"},
    "wavlm-base": {**BASE, **WAVLM},
    "wavlm-large": {**LARGE, **WAVLM},
}


def write_checkpoint(folder, c, net):
    state = {n: p.detach().numpy() for n, p in net.state_dict().items()}
    if c["model_type"] != "wavlm":
        path = os.path.join(folder, "checkpoint.safetensors")
        save(path, state, {})
        return path
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(c, f)
    save(os.path.join(folder, "model.safetensors"), {hugging_face_name(n): a for n, a in state.items()}, {})
    return folder


def compare(program, name, c):
    torch.manual_seed(7)
    net = build(c).eval()
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        sharpen(net)
        path = write_checkpoint(folder, c, net)
        x = torch.randn(1, 16000 * SECONDS)
        out = {"input": x.numpy()}
        for i, h in enumerate(hidden_states(net, x)):
            out[f"hidden.{i}"] = h.numpy()
        for i, h in enumerate(hidden_states(net.double(), x.double())):
            out[f"exact.{i}"] = h.numpy()
        del net
        vectors = os.path.join(folder, "vectors.safetensors")
        save(vectors, out, {})
        for precision in os.environ.get("PRECISIONS", "f32").split():
            print(f"== {name}, {SECONDS} s of noise, {precision}", flush=True)
            subprocess.run([program, path, vectors, precision], check=True)


if __name__ == "__main__":
    program = os.path.join(sys.argv[1], "bench_parity")
    for name in sys.argv[2:] or NETWORKS:
        compare(program, name, NETWORKS[name])
