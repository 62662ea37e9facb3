"""Oracle for the optimisers: ten updates of torch.optim.Adam and AdamW (weight decay on the matrix alone) with clipping of
the gradient by its global norm, with one learning rate and (adamg, adamwg) with 0.3 of it for the bias, which is trained
from the fourth update on. The gradients are given; the weights after every update are the answer.
Run: /usr/bin/python3 tests/torch/make_optimiser.py   (writes tests/torch/optimiser.safetensors)"""
import os
import torch
from vectors import save

torch.manual_seed(7)
STEPS, START, CLIP, DECAY = 10, 3, 3.0, 0.1
matrix, bias = torch.randn(7, 5), torch.randn(9)
scale = torch.tensor([1.0, 0.01, 5.0, 1e-4, 1.0, 0.3, 20.0, 1.0, 1e-3, 2.0])
grads = [(torch.randn(7, 5) * s, torch.randn(9) * s) for s in scale]
rates = [0.01 * (i + 1) / 4 if i < 4 else 0.01 for i in range(STEPS)]
out = {"matrix": matrix, "bias": bias, "rates": torch.tensor(rates, dtype=torch.float64)}
for i, (a, b) in enumerate(grads):
    out[f"grad.matrix.{i}"], out[f"grad.bias.{i}"] = a, b
for kind in ("adam", "adamw", "adamg", "adamwg"):
    groups = kind.endswith("g")
    w, b = torch.nn.Parameter(matrix.clone()), torch.nn.Parameter(bias.clone())
    make = torch.optim.AdamW if "w" in kind else torch.optim.Adam
    o = make([{"params": [w], "weight_decay": DECAY}, {"params": [b], "weight_decay": 0.0}], lr=0.01, betas=(0.9, 0.98),
             eps=1e-7)
    norms = []
    for i in range(STEPS):
        for group in o.param_groups:
            group["lr"] = rates[i] * (0.3 if groups and group["params"][0] is b else 1)
        w.grad, b.grad = grads[i][0].clone(), None if groups and i < START else grads[i][1].clone()
        norms.append(torch.nn.utils.clip_grad_norm_([w, b], CLIP).item())
        o.step()
        out[f"{kind}.matrix.{i}"], out[f"{kind}.bias.{i}"] = w.detach().clone(), b.detach().clone()
    out[f"{kind}.norms"] = torch.tensor(norms, dtype=torch.float64)
save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimiser.safetensors"), {k: v.numpy() for k, v in out.items()}, {})
