"""Oracle for AASIST and W2VAASIST (aasist.py): random networks, their outputs, loss and all gradients in training mode
(computed in double, dropout off), running statistics afterwards, outputs in evaluation mode; and, with the folder of the
published weights (AASIST.pth, AASIST-L.pth, AASIST_STOPA.pth) named, what these say about a waveform that tests make too.
Run: /usr/bin/python3 tests/torch/make_aasist.py [FOLDER]   (writes tests/torch/aasist_*.safetensors)
     /usr/bin/python3 tests/torch/make_aasist.py FOLDER RECORDING.wav...   (compares statistics, writes nothing)"""
import os
import sys
import wave
import numpy as np
import torch
import torch.nn.functional as F
from aasist import AASIST, WAVEFORM
from vectors import save

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
NO_DROPOUT = {"dropout": 0, "way_dropout": 0, "graph_dropout": 0, "pool_dropout": 0}


def ours(name, a, heads):
    """Our names and layouts: Conv2d [O,frames,bands,C]; attention vectors as rows, those of three kinds as one matrix."""
    part, _, rest = name.partition(".")
    linear = {"att_proj": "pair", "proj_with_att": "aggregate", "proj_without_att": "self", "bn": "norm", "proj_type1": "first",
              "proj_type2": "second", "att_projM": "master.pair", "proj_with_attM": "master.aggregate",
              "proj_without_attM": "master.self"}
    if part == "out_layer":
        return f"heads.{heads}.{rest}", a
    if part in ("LL", "first_bn", "first_bn1"):
        return {"LL": "project", "first_bn": "input_norm", "first_bn1": "map_norm"}[part] + "." + rest, a
    if part == "pos_S":
        return "positions", a[0]
    if part.startswith("master"):
        return f"branches.{int(part[-1]) - 1}.master", a[0, 0]
    if part == "encoder":
        block, _, layer, kind = rest.split(".")
        if a.ndim == 4:
            a = a.transpose(0, 3, 2, 1)
        layer = {"bn1": "norm1", "bn2": "norm2", "conv_downsample": "shortcut"}.get(layer, layer)
        return f"blocks.{block}.{layer}.{kind}", a
    if part == "attention":
        number, kind = rest.split(".")
        return f"map_attention.{ {'0': 'in', '2': 'norm', '3': 'out'}[number] }.{kind}", a[:, :, 0, 0] if a.ndim == 4 else a
    if part in ("pool_S", "pool_T"):
        return {"S": "spectral", "T": "temporal"}[part[-1]] + "_pool.score." + rest.split(".")[1], a
    if part.startswith("pool_h"):
        return f"branches.{int(part[-1]) - 1}." + {"S": "spectral", "T": "temporal"}[part[6]] + "_pool.score." + rest.split(".")[1], a
    layer, _, kind = rest.partition(".")
    if part.startswith("GAT"):
        base = {"S": "spectral", "T": "temporal"}[part[-1]]
    else:
        base = f"branches.{int(part[-2]) - 1}.layer{part[-1]}"
    if layer == "att_weight":
        return base + ".attention", a.T
    if layer == "att_weightM":
        return base + ".master.attention", a.T
    if layer.startswith("att_weight"):
        return f"{base}.attention#{ {'11': 0, '22': 1, '12': 2}[layer[-2:]] }", a.T
    return f"{base}.{linear[layer]}.{kind}", a


def put(out, prefix, named, net, heads="source"):
    rows = {}
    for n, a in named:
        if a is None or "num_batches" in n or (".bn1." in n and not net.c["preactivation"]):
            continue
        name, a = ours(n, a.detach().numpy().copy(), heads)
        if "#" in name:
            rows.setdefault(name.split("#")[0], {})[int(name[-1])] = a[0]
        else:
            out[prefix + name] = a
    for name, r in rows.items():
        out[prefix + name] = np.stack([r[0], r[1], r[2]])
    if net.wave and prefix in ("param.", "after."):
        out[prefix + "sinc.filters"] = net.filters.numpy().transpose(0, 2, 1)


def make(case, given, batch, frames, width, seed):
    torch.manual_seed(seed)
    net = AASIST({**given, **NO_DROPOUT}, width, 3)
    with torch.no_grad():
        for n, p in net.named_parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    net.float().double()  # float32 values, computed in double: the oracle adds no rounding of its own
    x = torch.randn(batch, frames, width).double().requires_grad_()
    source = torch.randint(0, 3, (batch,))
    out = {"features": x.detach().numpy(), "target.source": source.numpy()}
    put(out, "param.", net.state_dict().items(), net)
    net.train()
    e, logits = net(x)
    toward = torch.randn(e.shape).double()  # so that every part of the embedding has a gradient of its own
    out["toward"] = toward.numpy()
    loss = F.cross_entropy(logits, source) + 0.1 * (e * toward).sum()
    loss.backward()
    out["train.loss"] = loss.detach().numpy().reshape(1)
    out["train.embedding"], out["train.logits"] = e.detach().numpy(), logits.detach().numpy()
    out["grad.features"] = x.grad.numpy()
    put(out, "grad.", ((n, p.grad) for n, p in net.named_parameters()), net)
    put(out, "after.", ((n, p) for n, p in net.state_dict().items() if "running" in n), net)
    net.eval()
    e, logits = net(x)
    out["eval.embedding"], out["eval.logits"] = e.detach().numpy(), logits.detach().numpy()
    network = {"kind": "aasist", **given, **NO_DROPOUT}
    save(os.path.join(HERE, f"aasist_{case}.safetensors"), out, {"network": network, "tasks": [["source", 3]]})


def test_wave(n=64600):
    """Integer noise under a slow envelope; tests/model/test_import.c makes the same bits."""
    state, x = 12345, np.zeros(n)
    for i in range(n):
        state = (state * 1103515245 + 12345) % 2 ** 31
        x[i] = (state // 2 ** 16 - 2 ** 14) * (1 + i // 200 % 8)
    return torch.tensor(x / 2 ** 20, dtype=torch.float32)[None]


def release(case, preactivation, classes, seed):
    """A small network under the names of the authors' release, and what it says about the beginning of the test waveform."""
    torch.manual_seed(seed)
    net = AASIST({"input": "waveform", "channels": [2, 3, 3], "graph": [4, 3], "pool_ratios": [0.5, 0.7, 0.5],
                  "preactivation": preactivation}, 0, classes)
    with torch.no_grad():
        for n, p in net.named_parameters():
            if p.dim() == 1 and (preactivation or ".bn1." not in n):
                p.add_(0.1 * torch.randn_like(p))
        for n, p in net.named_buffers():
            if "running" in n:
                p.add_(0.1 * torch.rand_like(p))
    save(os.path.join(HERE, f"aasist_{case}.safetensors"), {n: p.numpy() for n, p in net.state_dict().items()}, {})
    e, logits = net.eval().double()(test_wave()[:, :6000].double())
    return {case + ".embedding": e.detach().numpy(), case + ".logits": logits.detach().numpy()}


def load(folder, name):
    weights = torch.load(os.path.join(folder, name + ".pth"), map_location="cpu")
    net = AASIST({"input": "waveform", **WAVEFORM["AASIST-L" if name == "AASIST-L" else "AASIST"]}, 0, len(weights["out_layer.bias"]))
    net.load_state_dict(weights, strict=True)
    return net.eval()


def real(folder):
    out, x = {"wave": test_wave()[0, :64].numpy()}, test_wave()
    for name in "AASIST", "AASIST-L", "AASIST_STOPA":
        e, logits = load(folder, name).double()(x.double())
        out[name + ".embedding"], out[name + ".logits"] = e.detach().numpy(), logits.detach().numpy()
    save(os.path.join(HERE, "aasist_real.safetensors"), out, {"files": ["AASIST", "AASIST-L", "AASIST_STOPA"]})


def check_statistics(folder, recordings):
    """Means of what each batch norm sees on real speech, beside those that were learned: where the order of operations were
    another, these would have nothing to do with each other."""
    waves = []
    for path in recordings: # 16 kHz, mono, 16 bits
        with wave.open(path) as f:
            x = np.frombuffer(f.readframes(f.getnframes()), np.int16) / np.float32(32768)
        waves.append(torch.tensor(np.resize(x, 64600), dtype=torch.float32))
    for name in "AASIST", "AASIST-L":
        net, seen = load(folder, name), {}
        for n, m in net.named_modules():
            if isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)) and not n.endswith("bn1"):
                m.register_forward_hook(lambda m, i, o, n=n: seen.setdefault(n, []).append(i[0].transpose(0, 1).flatten(1).mean(1)))
        with torch.no_grad():
            for w in waves:
                net(w[None])
        for n, m in net.named_modules():
            if n in seen:
                mean = torch.stack(seen[n]).mean(0)
                away = ((mean - m.running_mean) / m.running_var.sqrt()).abs().mean()
                print(f"{name} {n}: on average {away:.2f} standard deviations from the learned mean")


def main():
    if len(sys.argv) > 2:
        check_statistics(sys.argv[1], sys.argv[2:])
        return
    small = {"channels": [3, 3, 5], "graph": [6, 4], "attention": 7, "project": 13}
    make("features", small, 5, 17, 9, 1)
    make("preactivation", {**small, "channels": [4, 4], "preactivation": True, "attention": 0, "first_pool": 2, "block_pool": 2,
                           "pool_ratios": [0.9, 0.3, 0.6], "temperatures": [1, 3, 10]}, 4, 14, 6, 2)
    make("short", {**small, "project": 2, "channels": [3, 2]}, 6, 2, 4, 3)
    make("waveform", {"input": "waveform", "sinc": 14, "sinc_kernel": 21, "channels": [3, 4, 4], "graph": [5, 3],
                      "pool_ratios": [0.5, 0.7, 0.5]}, 4, 23, 11, 4)
    save(os.path.join(HERE, "aasist_release_want.safetensors"), {**release("release", False, 2, 5), **release("release_trained", True, 3, 6)}, {})
    if len(sys.argv) > 1:
        real(sys.argv[1])


if __name__ == "__main__":
    main()
