"""Oracle for AASIST with a back end for each task ("backends": "task"): one encoder, and behind it an AASIST's graphs and
linear head for each of three tasks; batch norm and an embedding layer of each back end's own where the case has them. Outputs,
the weighted sum of class-weighted cross-entropies and all gradients in training mode (in double, dropout off), running
statistics afterwards, outputs in evaluation mode.
Run: /usr/bin/python3 tests/torch/make_backends.py   (writes tests/torch/backends_*.safetensors)"""
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from aasist import AASIST
from make_aasist import NO_DROPOUT, ours
from vectors import save

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = ("project", "input_norm", "map_norm", "blocks", "map_attention")
TASKS = {"bonafide": [0.9, 0.1], "vq": [0.3, 0.3, 0.3, 0.1], "dec": [0.1, 0.45, 0.45]}
LAMBDA = {"bonafide": 0.5, "vq": 0.3, "dec": 0.2}


class Split(nn.Module):
    def __init__(self, given, width, pool_norm, embedding):
        super().__init__()
        make = lambda n: AASIST({**given, **NO_DROPOUT}, width, n)
        self.backs = nn.ModuleDict({k: make(len(w)) for k, w in TASKS.items()})
        self.first = next(iter(self.backs.values()))
        o = 5 * given["graph"][1]
        self.norms = nn.ModuleDict({k: nn.BatchNorm1d(o) for k in TASKS}) if pool_norm else {}
        self.embeds = nn.ModuleDict({k: nn.Linear(o, embedding) for k in TASKS}) if embedding else {}
        for k, w in TASKS.items():
            if embedding:
                self.backs[k].out_layer = nn.Linear(embedding, len(w))

    def forward(self, x):
        s, t = self.first.encode(x)
        vectors, logits = [], {}
        for k, back in self.backs.items():
            e = back.read(s, t)
            e = self.norms[k](e) if self.norms else e
            e = self.embeds[k](e) if self.embeds else e
            vectors.append(e)
            logits[k] = back.out_layer(e)
        return torch.cat(vectors, 1), logits


def named(net, pairs):
    """Ours: what is shared once, of the first back end; the rest under backends.TASK."""
    rows = {}
    for name, a in pairs:
        part, _, rest = name.partition(".")
        if a is None or "num_batches" in name or part == "first":
            continue
        task, _, rest = rest.partition(".")
        a = a.detach().numpy().copy()
        if part in ("norms", "embeds"):
            yield f"backends.{task}." + {"norms": "pool_norm", "embeds": "embed"}[part] + "." + rest, a
            continue
        if ".bn1." in rest:
            continue
        ourname, a = ours(rest, a, task)
        if ourname.split(".")[0] in SHARED:
            if task == next(iter(TASKS)):
                yield ourname, a
            continue
        ourname = ourname if ourname.startswith("heads.") else f"backends.{task}.{ourname}"
        if "#" in ourname:
            rows.setdefault(ourname.split("#")[0], {})[int(ourname[-1])] = a[0]
        else:
            yield ourname, a
    for name, r in rows.items():
        yield name, np.stack([r[0], r[1], r[2]])


def make(case, given, batch, frames, width, seed, pool_norm=False, embedding=0):
    torch.manual_seed(seed)
    net = Split(given, width, pool_norm, embedding)
    with torch.no_grad():
        for p in net.parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    net.float().double()
    x = torch.randn(batch, frames, width).double().requires_grad_()
    out = {"features": x.detach().numpy()}
    put = lambda prefix, pairs: out.update({prefix + n: a for n, a in named(net, pairs)})
    put("param.", net.state_dict().items())
    net.train()
    e, logits = net(x)
    toward = torch.randn(e.shape).double()
    out["toward"] = toward.numpy()
    loss = 0.1 * (e * toward).sum()
    for i, (k, w) in enumerate(TASKS.items()):
        target = torch.randint(0, len(w), (batch,))
        target[i] = -1  # a missing label
        out["target." + k] = target.numpy()
        loss = loss + LAMBDA[k] * F.cross_entropy(logits[k], target, torch.tensor(w).double(), ignore_index=-1)
        out["train." + k] = logits[k].detach().numpy()
    loss.backward()
    out["train.loss"] = loss.detach().numpy().reshape(1)
    out["train.embedding"] = e.detach().numpy()
    out["grad.features"] = x.grad.numpy()
    put("grad.", ((n, p.grad) for n, p in net.named_parameters()))
    put("after.", ((n, p) for n, p in net.state_dict().items() if "running" in n))
    net.eval()
    e, logits = net(x)
    out["eval.embedding"] = e.detach().numpy()
    for k in TASKS:
        out["eval." + k] = logits[k].detach().numpy()
    network = {"kind": "aasist", "backends": "task", "pool_norm": pool_norm, "embedding": embedding, **given, **NO_DROPOUT}
    save(os.path.join(HERE, f"backends_{case}.safetensors"), out,
         {"network": network, "tasks": [[k, len(w)] for k, w in TASKS.items()], "class_weights": TASKS, "weights": LAMBDA})


small = {"channels": [3, 3, 4], "graph": [5, 3], "attention": 6, "project": 9}
make("plain", small, 6, 13, 7, 11)
make("layers", {**small, "attention": 0}, 12, 11, 5, 12, pool_norm=True, embedding=4)
