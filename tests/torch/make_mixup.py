"""Oracle for RegMixup of embeddings in PyTorch, double: mean and deviation over time, a linear layer to the embedding, mixtures
of pairs of embeddings, a linear head, cross-entropy of the plain rows plus eta times that of the mixed ones.
Run: /usr/bin/python3 tests/torch/make_mixup.py   (writes tests/torch/mixup.safetensors)"""
import os
import torch
import torch.nn.functional as F
from vectors import save

torch.manual_seed(11)
B, T, D, E, C, ETA = 6, 7, 4, 5, 3, 0.5


def made(*shape):
    return torch.randn(*shape).float().double()


x = made(B, T, D)
embed_w, embed_b, head_w, head_b = [p.requires_grad_() for p in (made(E, 2 * D), made(E), made(C, E), made(C))]
target = torch.tensor([0, 2, 1, 1, 0, 2])
other = torch.tensor([3, 0, 5, 1, 4, 2])
lam = torch.rand(B).float().double()
pooled = torch.cat([x.mean(1), torch.sqrt(x.var(1, unbiased=False) + 1e-5)], 1)
e = F.linear(pooled, embed_w, embed_b)
mixed = lam[:, None] * e + (1 - lam)[:, None] * e[other]
rows = F.linear(torch.cat([e, mixed]), head_w, head_b)
both = lam * F.cross_entropy(rows[B:], target, reduction="none") + (1 - lam) * F.cross_entropy(rows[B:], target[other], reduction="none")
loss = F.cross_entropy(rows[:B], target) + ETA * both.mean()
loss.backward()
out = {"x": x, "target": target, "other": other, "lambda": lam, "loss": loss.reshape(1), "rows": rows, "embedding": e,
       "embed.weight": embed_w, "embed.bias": embed_b, "heads.a.weight": head_w, "heads.a.bias": head_b,
       "grad.embed.weight": embed_w.grad, "grad.embed.bias": embed_b.grad, "grad.heads.a.weight": head_w.grad,
       "grad.heads.a.bias": head_b.grad}
save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mixup.safetensors"), {k: v.detach().numpy() for k, v in out.items()},
     {})
