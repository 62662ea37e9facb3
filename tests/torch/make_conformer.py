"""Oracle for the Conformer classifier: the same network in PyTorch, with random weights, its outputs, loss and all
gradients in training mode (computed in double), its running statistics afterwards, and its outputs in evaluation mode.
Run: /usr/bin/python3 tests/torch/make_conformer.py   (writes tests/torch/conformer_*.safetensors)
Written from reference descriptions: Gulati et al. 2020, Rosello et al. 2023, Shaw et al. 2018, Okabe et al. 2018, Truong et al.
2024 (TCM)."""
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from vectors import save

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


class FeedForward(nn.Module):
    def __init__(self, d, mult):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(d), nn.Linear(d, mult * d), nn.Linear(mult * d, d)

    def forward(self, x):
        return self.down(F.silu(self.up(self.norm(x))))


class Attention(nn.Module):
    def __init__(self, d, heads, reach):
        super().__init__()
        self.heads, self.reach = heads, reach
        self.norm = nn.LayerNorm(d)
        self.query, self.key, self.value = (nn.Linear(d, d, bias=False) for _ in range(3))
        self.out = nn.Linear(d, d)
        self.positions = nn.Parameter(torch.randn(2 * reach + 1, d // heads))

    def forward(self, x):
        b, t, d = x.shape
        x = self.norm(x)
        split = lambda y: y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        i = torch.arange(t)
        table = self.positions[(i[:, None] - i[None, :]).clamp(-self.reach, self.reach) + self.reach]
        logits = (q @ k.transpose(-1, -2) + torch.einsum("bhid,ijd->bhij", q, table)) * (d // self.heads) ** -0.5
        return self.out((logits.softmax(-1) @ v).transpose(1, 2).reshape(b, t, d))


def sinusoids(rows, d):
    """[rows, d]: sine in even columns, cosine in odd ones, wavelengths 2 pi 10000^(2i/d)."""
    angle = torch.arange(rows).double()[:, None] * 10000.0 ** (-torch.arange(0, d, 2).double() / d)
    return torch.stack([angle.sin(), angle.cos()], -1).reshape(rows, -1)[:, :d]


class TemporalChannelAttention(nn.Module):
    """Frames, class token first, and one token per head (a mean over time of the head's channels) attend to one another; the
    class token gains the means of the others."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.norm, self.head_norm = nn.LayerNorm(d), nn.LayerNorm(d // heads)
        self.query, self.key, self.value = (nn.Linear(d, d, bias=False) for _ in range(3))
        self.out, self.head = nn.Linear(d, d), nn.Linear(d // heads, d)

    def forward(self, x):
        b, t, d = x.shape
        h = self.heads
        x = self.norm(x)
        tokens = torch.stack([self.head(part.mean(1)) for part in x.chunk(h, -1)], 1)
        tokens = F.gelu(self.head_norm(tokens.unflatten(-1, (h, d // h)))).flatten(2) + sinusoids(h, d)
        x = torch.cat([x, tokens], 1)
        split = lambda y: y.view(b, t + h, h, d // h).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        weights = (q @ k.transpose(-1, -2) * (d // h) ** -0.5).softmax(-1)
        y = self.out((weights @ v).transpose(1, 2).reshape(b, t + h, d))
        first = y[:, 0] + y[:, t:].mean(1) + y[:, 1:t].mean(1)
        return torch.cat([first[:, None], y[:, 1:t]], 1)


class ConvModule(nn.Module):
    def __init__(self, d, mult, kernel):
        super().__init__()
        inner = d * mult
        self.kernel = kernel
        self.norm, self.up, self.down = nn.LayerNorm(d), nn.Linear(d, 2 * inner), nn.Linear(inner, d)
        self.depthwise, self.batch_norm = nn.Conv1d(inner, inner, kernel, groups=inner), nn.BatchNorm1d(inner)

    def forward(self, x):
        x = F.glu(self.up(self.norm(x)), dim=-1).transpose(1, 2)
        left = self.kernel // 2
        x = self.depthwise(F.pad(x, (left, self.kernel - 1 - left)))
        return self.down(F.silu(self.batch_norm(x)).transpose(1, 2))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["dim"]
        self.ff1, self.ff2 = FeedForward(d, c["ff_mult"]), FeedForward(d, c["ff_mult"])
        self.attention = (TemporalChannelAttention(d, c["heads"]) if c.get("attention") == "tcm"
                          else Attention(d, c["heads"], c["max_distance"]))
        self.conv, self.norm = ConvModule(d, c["conv_mult"], c["kernel"]), nn.LayerNorm(d)

    def forward(self, x):
        x = x + 0.5 * self.ff1(x)
        x = x + self.attention(x)
        x = x + self.conv(x)
        x = x + 0.5 * self.ff2(x)
        return self.norm(x)


class StemLayer(nn.Module):
    def __init__(self, channels_in, s):
        super().__init__()
        k = s["kernel"]
        self.conv = nn.Conv2d(channels_in, s["channels"], k, s["stride"], (k[0] // 2, k[1] // 2), bias=False)
        self.norm = nn.BatchNorm2d(s["channels"])

    def forward(self, x):
        return F.silu(self.norm(self.conv(x)))


class AttentivePool(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.hidden, self.score = nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x):
        w = self.score(torch.tanh(self.hidden(x))).softmax(1)
        mean = (w * x).sum(1)
        return torch.cat([mean, ((w * x * x).sum(1) - mean ** 2 + 1e-5).sqrt()], -1)


class Conformer(nn.Module):
    def __init__(self, c, input_dim, tasks):
        super().__init__()
        self.c = c
        channels, bands = 1, input_dim
        self.stem = nn.ModuleList()
        for s in c.get("stem", []):
            self.stem.append(StemLayer(channels, s))
            channels = s["channels"]
            bands = (bands + 2 * (s["kernel"][1] // 2) - s["kernel"][1]) // s["stride"][1] + 1
        if c.get("feature_norm"):
            self.feature_norm = nn.BatchNorm1d(input_dim)
        self.project, self.project_norm = nn.Linear(channels * bands, c["dim"]), nn.BatchNorm2d(1)
        if c["pooling"] == "class-token":
            self.class_token = nn.Parameter(torch.rand(c["dim"]))
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["depth"]))
        if c["pooling"] == "attentive":
            self.pool = AttentivePool(c["dim"])
        pooled = c["dim"] * (1 if c["pooling"] == "class-token" else 2)
        if c.get("pool_norm"):
            self.pool_norm = nn.BatchNorm1d(pooled)
        if c["embedding"]:
            self.embed = nn.Linear(pooled, c["embedding"])
        self.heads = nn.ModuleDict({n: nn.Linear(c["embedding"] or pooled, k) for n, k in tasks.items()})

    def forward(self, x):
        if self.c.get("feature_norm"):
            x = self.feature_norm(x.transpose(1, 2)).transpose(1, 2)
        if len(self.stem):
            x = x[:, None]
            for layer in self.stem:
                x = layer(x)
            x = x.permute(0, 2, 3, 1).flatten(2)
        x = F.selu(self.project_norm(self.project(x)[:, None]))[:, 0]
        if self.c.get("attention") == "tcm":
            x = x + sinusoids(x.shape[1], x.shape[2])
        if self.c["pooling"] == "class-token":
            x = torch.cat([self.class_token.expand(x.shape[0], 1, -1), x], 1)
        for b in self.blocks:
            x = b(x)
        if self.c["pooling"] == "class-token":
            x = x[:, 0]
        elif self.c["pooling"] == "stats":
            x = torch.cat([x.mean(1), (x.var(1, unbiased=False) + 1e-5).sqrt()], -1)
        else:
            x = self.pool(x)
        if self.c.get("pool_norm"):
            x = self.pool_norm(x)
        e = self.embed(x) if self.c["embedding"] else x
        return e, {n: h(e) for n, h in self.heads.items()}


class Pooled(nn.Module):
    """Mean, deviation and, of columns up to c["neighbours"] apart, correlations over the frames."""

    def __init__(self, c, bands, tasks):
        super().__init__()
        self.near = c["neighbours"]
        size = 2 * bands + sum(bands - d for d in range(1, self.near + 1))
        self.pool_norm = nn.BatchNorm1d(size)
        self.embed = nn.Linear(size, c["embedding"])
        self.heads = nn.ModuleDict({n: nn.Linear(c["embedding"], k) for n, k in tasks.items()})

    def forward(self, x):
        deviation = (x.var(1, unbiased=False) + 1e-5).sqrt()
        away = x - x.mean(1, keepdim=True)
        covariance = away.transpose(1, 2) @ away / x.shape[1]
        r = covariance / (deviation[:, :, None] * deviation[:, None, :])
        x = torch.cat([x.mean(1), deviation] + [r.diagonal(d, 1, 2) for d in range(1, self.near + 1)], -1)
        e = self.embed(self.pool_norm(x))
        return e, {n: h(e) for n, h in self.heads.items()}


def n_pair(f, p, l2):
    """Sohn 2016: row-wise softmax cross-entropy of f p^T with the diagonal as target, plus the norm penalty."""
    return F.cross_entropy(f @ p.T, torch.arange(len(f))) + l2 * 0.5 * (f.pow(2).sum() + p.pow(2).sum()) / len(f)


def to_ours(name, a):
    """Our layouts: Conv2d [O,KH,KW,C], depthwise [C,K]; names without the wrapper of the stem's convolution."""
    if name.endswith("depthwise.weight"):
        a = a[:, 0]
    if ".conv.weight" in name and name.startswith("stem."):
        name, a = name.replace(".conv.weight", ".weight"), a.transpose(0, 2, 3, 1)
    return name, a


def make(case, c, batch, frames, bands, seed, spread=0.0):
    """spread: how much clips differ. Where a batch norm sees pooled vectors, clips of one distribution leave gradients that
    cancel to the rounding of float32 in any implementation (PyTorch in float32: 2.7e-6 of blocks.0.norm.weight)."""
    torch.manual_seed(seed)
    tasks = {"source": 5, "bonafide": 2}
    net = (Pooled if c.get("kind") == "pooled" else Conformer)(c, bands, tasks)
    with torch.no_grad():
        for n, p in net.named_parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    net.float().double()  # float32 values, computed in double: the oracle adds no rounding of its own
    x = torch.randn(batch, frames, bands)
    if spread > 0:
        x += spread * torch.randn(batch, 1, bands)
    x = x.double().requires_grad_()
    source = torch.randint(0, 5, (batch,))
    bonafide = torch.randint(0, 2, (batch,))
    bonafide[0] = -1
    weights = (torch.rand(5) + 0.5).double()
    out = {"features": x.detach().numpy(), "target.source": source.numpy(), "target.bonafide": bonafide.numpy(),
           "weights.source": weights.numpy()}
    for n, p in net.state_dict().items():
        if "num_batches" not in n:
            name, a = to_ours(n, p.numpy().copy())
            out["param." + name] = a
    net.train()
    e, logits = net(x)
    half = batch // 2
    loss = (F.cross_entropy(logits["source"], source, weights, label_smoothing=0.1)
            + 0.5 * F.cross_entropy(logits["bonafide"], bonafide, ignore_index=-1)
            + 0.3 * n_pair(e[:half], e[half:2 * half], 0.02))
    loss.backward()
    out["train.loss"] = loss.detach().numpy().reshape(1)
    out["train.embedding"] = e.detach().numpy()
    for n, l in logits.items():
        out["train.logits." + n] = l.detach().numpy()
    out["grad.features"] = x.grad.numpy()
    for n, p in net.named_parameters():
        name, a = to_ours(n, p.grad.numpy())
        out["grad." + name] = a
    for n, p in net.state_dict().items():
        if "running" in n:
            out["after." + n] = p.numpy()
    net.eval()
    e, logits = net(x)
    out["eval.embedding"] = e.detach().numpy()
    for n, l in logits.items():
        out["eval.logits." + n] = l.detach().numpy()
    save(os.path.join(HERE, f"conformer_{case}.safetensors"), out,
         {"network": c, "tasks": [[n, k] for n, k in tasks.items()]})


base = {"dim": 12, "depth": 2, "heads": 2, "ff_mult": 4, "conv_mult": 2, "kernel": 5, "max_distance": 4, "embedding": 0}
make("token", {**base, "pooling": "class-token"}, 6, 13, 10, 1)
make("stats", {**base, "pooling": "stats", "depth": 1, "kernel": 4, "heads": 3, "feature_norm": True, "pool_norm": True, "embedding": 7}, 5, 9, 8, 2, spread=1.0)
make("stem", {**base, "pooling": "attentive", "depth": 1, "max_distance": 20, "embedding": 16,
              "stem": [{"channels": 4, "kernel": [3, 3], "stride": [2, 2]}, {"channels": 3, "kernel": [3, 5], "stride": [1, 2]}]},
     4, 21, 16, 3)
make("wide", {**base, "dim": 24, "heads": 4, "depth": 1, "kernel": 31, "max_distance": 512, "pooling": "class-token"}, 4, 40, 20, 4)
make("tcm", {**base, "heads": 3, "attention": "tcm", "pooling": "class-token"}, 6, 11, 10, 5)
make("correlations", {"kind": "pooled", "neighbours": 3, "pool_norm": True, "embedding": 7}, 6, 12, 9, 6, spread=1.0)
