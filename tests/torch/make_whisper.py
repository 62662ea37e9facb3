#!/usr/bin/env python3
"""Oracle for Whisper's encoder (Radford et al. 2022), written from the paper's description with torch's functions
alone, computed in double. Run: /usr/bin/python3 tests/torch/make_whisper.py [whisper-tiny.bin]
Writes tests/torch/whisper_random.safetensors: a small random encoder, an input, every hidden state, and the gradients
of sum_l sum_i weight_l[i] hidden_l[i] for the parameters and the input; and log-mel spectra of a made-up signal.
With a ggml file of the real Whisper-tiny also tests/torch/whisper_real.safetensors: 600 values of the log-mel spectrum
of samples/1-person.flac and of each hidden state, at the places i * 7919 mod count, with the largest magnitude and the
root of the mean square of all values; and five of the mel filters of that file.
Parameter names are Hugging Face's, kernels are [O,K,C]."""
import os
import struct
import sys
import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from vectors import save

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


def log_mel(samples, filters):
    """[frames, mels] of samples [n]; filters [mels, 201]."""
    x = torch.as_tensor(samples, dtype=torch.float64)
    window = torch.hann_window(400, periodic=True, dtype=torch.float64)
    power = torch.stft(x, 400, 160, 400, window, center=True, pad_mode="reflect", return_complex=True).abs() ** 2
    bands = torch.as_tensor(filters, dtype=torch.float64) @ power[:, :-1]
    v = bands.clamp(min=1e-10).log10()
    return ((torch.maximum(v, v.max() - 8) + 4) / 4).T


def layer(p, i, x, heads):
    name = f"layers.{i}."
    get = lambda part: p.get(name + part)
    b, t, d = x.shape
    norm = lambda part, y: F.layer_norm(y, (d,), get(part + ".weight"), get(part + ".bias"), 1e-5)
    linear = lambda part, y: F.linear(y, get(part + ".weight"), get(part + ".bias"))
    split = lambda y: y.view(b, t, heads, d // heads).transpose(1, 2)
    y = norm("self_attn_layer_norm", x)
    q, k, v = (split(linear(f"self_attn.{n}_proj", y)) for n in "qkv")
    weights = (q @ k.transpose(-1, -2) / (d // heads) ** 0.5).softmax(-1)
    x = x + linear("self_attn.out_proj", (weights @ v).transpose(1, 2).reshape(b, t, d))
    return x + linear("fc2", F.gelu(linear("fc1", norm("final_layer_norm", x))))


def hidden_states(p, x, heads, layers):
    """x [B, frames, mels] -> layers + 1 states [B, T, d]."""
    kernel = lambda name: p[name + ".weight"].transpose(1, 2)
    conv = lambda name, y, stride: F.gelu(F.conv1d(y, kernel(name), p[name + ".bias"], stride, 1))
    x = conv("conv2", conv("conv1", x.transpose(1, 2), 1), 2).transpose(1, 2)
    x = x + p["embed_positions.weight"][:x.shape[1]]
    out = [x]
    for i in range(layers):
        x = layer(p, i, x, heads)
        if i + 1 == layers:
            x = F.layer_norm(x, (x.shape[-1],), p["layer_norm.weight"], p["layer_norm.bias"], 1e-5)
        out.append(x)
    return out


def shapes(mels, d, ff, positions, layers):
    yield "conv1.weight", (d, 3, mels)
    yield "conv1.bias", (d,)
    yield "conv2.weight", (d, 3, d)
    yield "conv2.bias", (d,)
    yield "embed_positions.weight", (positions, d)
    for i in range(layers):
        for part, shape in (("self_attn_layer_norm", (d,)), ("self_attn.q_proj", (d, d)), ("self_attn.k_proj", (d, d)),
                            ("self_attn.v_proj", (d, d)), ("self_attn.out_proj", (d, d)), ("final_layer_norm", (d,)),
                            ("fc1", (ff, d)), ("fc2", (d, ff))):
            yield f"layers.{i}.{part}.weight", shape
            if part != "self_attn.k_proj":
                yield f"layers.{i}.{part}.bias", shape[:1]
    yield "layer_norm.weight", (d,)
    yield "layer_norm.bias", (d,)


def random_case():
    g = torch.Generator().manual_seed(11)
    mels, d, heads, ff, positions, layers, clips, frames = 5, 12, 3, 20, 16, 3, 2, 21
    p = {}
    for name, shape in shapes(mels, d, ff, positions, layers):
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        v = torch.randn(shape, generator=g) * (1.5 / fan ** 0.5 if fan > 1 else 0.3)
        if "norm.weight" in name:
            v = v + 1
        p[name] = v.double().requires_grad_(name != "embed_positions.weight")
    x = torch.randn((clips, frames, mels), generator=g).double().requires_grad_()
    states = hidden_states(p, x, heads, layers)
    weights = [torch.randn(s.shape, generator=g).double() for s in states]
    sum((w * s).sum() for w, s in zip(weights, states)).backward()
    arrays = {"input": x.detach(), "grad.input": x.grad}
    for name, v in p.items():
        arrays["param." + name] = v.detach()
        if v.grad is not None:
            arrays["grad." + name] = v.grad
    for i, (s, w) in enumerate(zip(states, weights)):
        arrays[f"hidden.{i}"], arrays[f"weight.{i}"] = s.detach(), w
    rng = np.random.default_rng(3)
    n = 3170
    signal = 0.3 * np.sin(2 * np.pi * np.cumsum(np.linspace(100, 7000, n)) / 16000) + 0.01 * rng.normal(size=n)
    signal[1200:1700] = 0
    signal = signal.astype(np.float32)
    arrays["samples"] = signal
    for m in (80, 128):
        filters = torchaudio.functional.melscale_fbanks(201, 0.0, 8000.0, m, 16000, "slaney", "slaney").T
        arrays[f"mel.{m}"] = log_mel(signal, filters)
        arrays[f"mel.{m}.short"] = log_mel(signal[:333], filters)
    meta = {"num_mel_bins": mels, "d_model": d, "encoder_attention_heads": heads, "encoder_ffn_dim": ff,
            "max_source_positions": positions, "encoder_layers": layers}
    save(os.path.join(HERE, "whisper_random.safetensors"), {k: np.asarray(v) for k, v in arrays.items()}, meta)


def read_ggml(path):
    """Parameters by our names, mel filters, hyper-parameters of a ggml Whisper file."""
    data = open(path, "rb").read()
    at = 0

    def take(form):
        nonlocal at
        v = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return v

    assert take("I")[0] == 0x67676D6C
    hyper = take("11i")
    mels, bins = take("2i")
    filters = np.frombuffer(data, "<f4", mels * bins, at).reshape(mels, bins).copy()
    at += filters.nbytes
    for _ in range(take("i")[0]):
        length, = take("i")
        at += length
    p = {}
    while at < len(data):
        rank, length, kind = take("3i")
        dims = take(f"{rank}i")[::-1]
        name = data[at:at + length].decode()
        at += length
        v = np.frombuffer(data, "<f2" if kind else "<f4", int(np.prod(dims)), at).reshape(dims)
        at += v.nbytes
        p[name] = torch.as_tensor(v.astype(np.float64))
    return p, filters, hyper


def our_names(ggml):
    swap = [("positional_embedding", "embed_positions.weight"), ("blocks.", "layers."),
            (".attn_ln.", ".self_attn_layer_norm."), (".attn.query.", ".self_attn.q_proj."),
            (".attn.key.", ".self_attn.k_proj."), (".attn.value.", ".self_attn.v_proj."),
            (".attn.out.", ".self_attn.out_proj."), (".mlp_ln.", ".final_layer_norm."),
            (".mlp.0.", ".fc1."), (".mlp.2.", ".fc2."), ("ln_post.", "layer_norm.")]
    p = {}
    for name, v in ggml.items():
        if name.startswith("encoder."):
            name = name[len("encoder."):]
            for old, new in swap:
                name = name.replace(old, new)
            if name in ("conv1.weight", "conv2.weight"):
                v = v.transpose(1, 2)
            p[name] = v.reshape(-1) if name.endswith(".bias") else v
    return p


def real_case(path):
    import soundfile
    ggml, filters, hyper = read_ggml(path)
    p = our_names(ggml)
    samples, rate = soundfile.read(os.path.join(HERE, "..", "..", "samples", "1-person.flac"), dtype="float64")
    assert rate == 16000
    mel = log_mel(samples, filters)
    with torch.no_grad():
        states = hidden_states(p, mel[None], hyper[3], hyper[4])
    arrays = {}
    for name, v in [("mel", mel)] + [(f"hidden.{i}", s[0]) for i, s in enumerate(states)]:
        v = v.numpy()
        arrays[name] = v.reshape(-1)[np.arange(600) * 7919 % v.size]
        arrays[name + ".shape"] = np.array(v.shape)
        arrays[name + ".size"] = np.array([np.abs(v).max(), np.sqrt((v ** 2).mean())])
    bands = filters[[0, 17, 40, 63, 79]]
    arrays["filters"] = bands
    save(os.path.join(HERE, "whisper_real.safetensors"), arrays, {"sample": "samples/1-person.flac"})


random_case()
if len(sys.argv) > 1:
    real_case(sys.argv[1])
