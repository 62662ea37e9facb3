"""Oracle for the losses: PyTorch's cross-entropy (class weights, label smoothing, missing labels, soft targets) and the
multi-class N-pair loss of Sohn 2016 and One-Class Softmax of Zhang et al. 2021 written as their formulas, in double, with their gradients.
Run: /usr/bin/python3 tests/torch/make_losses.py   (writes tests/torch/losses.safetensors)"""
import os
import torch
import torch.nn.functional as F
from vectors import save

torch.manual_seed(3)
out = {}


def keep(name, loss, inputs):
    loss.backward()
    out[name + ".loss"] = loss.detach().numpy().reshape(1)
    for key, x in inputs.items():
        out[f"{name}.{key}"] = x.detach().numpy()
        if x.requires_grad:
            out[f"{name}.grad.{key}"] = x.grad.numpy()


def logits(b, c):
    return (3 * torch.randn(b, c)).float().double().requires_grad_()


for name, smoothing, weighted in [("ce", 0.0, False), ("ce_smooth", 0.2, False), ("ce_weights", 0.0, True), ("ce_both", 0.1, True)]:
    x, t = logits(9, 6), torch.randint(0, 6, (9,))
    t[2] = t[7] = -1
    w = (torch.rand(6) + 0.2).float().double() if weighted else torch.ones(6).double()
    keep(name, F.cross_entropy(x, t, w, ignore_index=-1, label_smoothing=smoothing), {"logits": x, "target": t, "weight": w})

x, p = logits(7, 5), torch.rand(7, 5).float().double()
p = (p / p.sum(1, keepdim=True)).float().double()
keep("soft", F.cross_entropy(x, p), {"logits": x, "target": p})

for name, l2 in [("npair", 0.0), ("npair_l2", 0.02)]:
    f, g = logits(6, 4), logits(6, 4)
    s = f @ g.T
    # (1/N) sum_i log(1 + sum_{j != i} exp(f_i.g_j - f_i.g_i)) + l2/2 * mean of the squared norms' sum
    away = torch.exp(s - s.diag()[:, None]) * (1 - torch.eye(6))
    keep(name, torch.log1p(away.sum(1)).mean() + l2 * 0.5 * (f.pow(2).sum() + g.pow(2).sum()) / 6, {"f": f, "p": g})

# One-Class Softmax of an embedding f against a centre w: cosines, margins 0.9 and 0.2, alpha 20, mean over the clips
for name, alpha in [("oc", 20.0), ("oc_soft", 3.0)]:
    f, w = logits(8, 5), logits(1, 5)
    human = torch.tensor([1, 0, 0, 1, 1, 0, 0, 1])
    cosine = F.cosine_similarity(f, w)
    margin = torch.where(human == 1, 0.9 - cosine, cosine - 0.2)
    keep(name, F.softplus(alpha * margin).mean(), {"f": f, "w": w, "human": human})
    out[name + ".cosine"] = cosine.detach().numpy()

# GE2E of Wan et al. 2018 on 4 classes with 3 clips each (row m * 4 + c): rows made as long as 1, centroids of the others for a
# row's own class, both losses, mean over the rows
for name, contrast in [("ge2e_softmax", False), ("ge2e_contrast", True)]:
    e, w, b = logits(12, 5), torch.tensor([4.0]).double().requires_grad_(), torch.tensor([-2.0]).double().requires_grad_()
    u = F.normalize(e).reshape(3, 4, 5)
    rows = []
    for m in range(3):
        for c in range(4):
            rest = u[[i for i in range(3) if i != m], c].mean(0)
            rows.append(torch.stack([w[0] * F.cosine_similarity(u[m, c], rest if k == c else u[:, k].mean(0), dim=0) + b[0]
                                     for k in range(4)]))
    s, own = torch.stack(rows), torch.arange(12) % 4
    if contrast:
        p = torch.sigmoid(s)
        loss = (1 - p[range(12), own] + (p - 2 * F.one_hot(own, 4)).max(1)[0]).mean()
    else:
        loss = F.cross_entropy(s, own)
    keep(name, loss, {"e": e, "w": w, "b": b})

save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "losses.safetensors"), out, {})
