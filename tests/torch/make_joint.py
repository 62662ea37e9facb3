"""Oracle for the joint head: the logits of codecs as sums over the attributes' values and a residual, the attributes' logits as sums
over codecs, and the loss of known, partly known and mixed clips, in double, with all gradients.
Run: /usr/bin/python3 tests/torch/make_joint.py   (writes tests/torch/joint.safetensors)"""
import os
import torch
from vectors import save

torch.manual_seed(11)
UNKNOWN, NONE = -1, -2
# classes: human speech, four codecs (of the last the decoder is not known), a vocoder that is no codec; value 0 is human speech
values = {"vq": [0, 1, 2, 1, 3, NONE], "dec": [0, 1, 2, 2, UNKNOWN, NONE]}
sizes = {"vq": 4, "dec": 3}
B, M, E, C = 7, 3, 5, 6  # plain rows, mixed rows


def leaf(*shape):
    return torch.randn(*shape).float().double().requires_grad_()


e, w, b = leaf(B + M, E), leaf(C, E), leaf(C)
a = {k: (leaf(n, E), leaf(n)) for k, n in sizes.items()}
z = e @ w.T + b
evidence = {k: e @ a[k][0].T + a[k][1] for k in a}
for k in values:
    for c, v in enumerate(values[k]):
        if v >= 0:
            z = z + torch.eye(C).double()[c] * evidence[k][:, v:v + 1]
p = z.softmax(1)


def share(k, v):
    """P(value v | class), for each class"""
    return torch.tensor([1.0 if own == v else 1 / (sizes[k] - 1) if own == UNKNOWN and v > 0 else 0.0 for own in values[k]]).double()


marginal = {k: torch.stack([p @ share(k, v) for v in range(sizes[k])], 1) for k in values}
marginal = {k: m / m.sum(1, keepdim=True) for k, m in marginal.items()}

# a codec; a codec; nothing but MVQ; both values; a value and a codec (the codec counts); values that no codec has together; nothing.
# Then mixed rows, of the last of which the partner is not known at all.
source = torch.tensor([1, 5, -1, -1, 0, -1, -1, 2, -1, 3])
vq = torch.tensor([1, -1, 1, 3, 0, 0, -1, -1, 1, 1])
dec = torch.tensor([1, -1, -1, 2, 0, 2, -1, 2, -1, 2])
partner = {"source": torch.tensor([4, 1, -1]), "vq": torch.tensor([3, 1, -1]), "dec": torch.tensor([-1, 1, -1])}
weight = torch.tensor([1.0, 0.5, 2.0, 1.5, 0.25, 3.0]).double()
lam = torch.tensor([0.75, 0.5, 0.875]).double()


def nll(row, s, q, d):
    """(loss, weight) of a clip, or None"""
    if s >= 0:
        return -torch.log(p[row, s]), weight[s]
    if q < 0 and d < 0:
        return None
    m = torch.ones(C).double() * (share("vq", q) if q >= 0 else 1) * (share("dec", d) if d >= 0 else 1)
    return None if m.sum() == 0 else (-torch.log((p[row] * m).sum()), torch.tensor(1.0).double())


plain = [x for x in (nll(i, source[i], vq[i], dec[i]) for i in range(B)) if x]
loss_plain = sum(l * k for l, k in plain) / sum(k for _, k in plain)
num, den = 0, 0
for i in range(M):
    one, two = nll(B + i, source[B + i], vq[B + i], dec[B + i]), nll(B + i, *(partner[k][i] for k in ["source", "vq", "dec"]))
    if one and two:
        num = num + lam[i] * one[0] * one[1] + (1 - lam[i]) * two[0] * two[1]
        den = den + lam[i] * one[1] + (1 - lam[i]) * two[1]
loss = 0.6 * loss_plain + 0.4 * num / den
loss.backward()

out = {"e": e, "source.weight": w, "source.bias": b, "z": z, "loss": loss.reshape(1), "weight": weight, "lambda": lam,
       "grad.e": e.grad, "grad.source.weight": w.grad, "grad.source.bias": b.grad, "target.source": source, "target.vq": vq,
       "target.dec": dec}
for k in values:
    out.update({f"{k}.weight": a[k][0], f"{k}.bias": a[k][1], f"grad.{k}.weight": a[k][0].grad, f"grad.{k}.bias": a[k][1].grad,
                f"marginal.{k}": marginal[k], f"evidence.{k}": evidence[k]})
for k in partner:
    out[f"partner.{k}"] = partner[k]
save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "joint.safetensors"), {k: v.detach().numpy() for k, v in out.items()},
     {"values": values})
print(float(loss))
