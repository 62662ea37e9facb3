"""Writes tests/torch/openset.safetensors: small train sets, points, and what every open-set scorer says of the points, from
the formulas of docs/openset.md in float64 (numpy, scikit-learn, SciPy). Run: python3 tests/torch/make_openset.py"""
import os
import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.covariance import EmpiricalCovariance, shrunk_covariance
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from vectors import save

SETS = [  # clips, width, classes, points, k, shrinkage, vim_dim, bank per class, temperature, log probabilities
    (60, 12, 4, 25, 3, 0.1, 4, 5, 1.0, False),
    (40, 7, 3, 15, 10, 0.5, 0, 2, 0.7, True),
    (20, 30, 2, 15, 2, 0.3, 0, 50, 2.0, False),
    (24, 9, 5, 10, 1, 0.0, 8, 3, 1.0, False),
    (1, 5, 1, 6, 6, 0.1, 2, 50, 1.0, False),
    (12, 4, 3, 8, 4, 1.0, 1, 4, 1.0, False),
]


def unit(f):
    n = np.linalg.norm(f, axis=-1, keepdims=True)
    return np.divide(f, n, out=np.zeros_like(f), where=n > 0)


def bank_of(label, most):
    chosen = []
    for c in sorted(set(label[label >= 0])):
        mine = np.flatnonzero(label == c)
        keep = min(most, len(mine))
        chosen += [i for j, i in enumerate(mine) if (j + 1) * keep // len(mine) > j * keep // len(mine)]
    return np.sort(np.array(chosen))


def scores(train, points, k, shrinkage, vim_dim, most, temperature):
    f, z, y = (train[n] for n in ("f", "z", "y"))
    f, z, y = f[y >= 0], z[y >= 0], y[y >= 0]
    pf, pz = points
    dim = f.shape[1]
    out = {"energy": temperature * logsumexp(pz / temperature, axis=1), "max_logit": pz.max(1)}
    p = softmax(pz / temperature, axis=1)
    out["msp"] = p.max(1)
    out["entropy"] = (p * np.log(p)).sum(1)
    out["softmax_energy"] = temperature * logsumexp(softmax(pz, axis=1) / temperature, axis=1)
    c, pc = logsumexp(z, axis=1), logsumexp(pz, axis=1)
    offset = c.min() if c.mean() < 0 else 0
    c, g = c - offset, pc - offset
    bank = unit(f) * c[:, None]
    out["nsd"] = np.array([g[i] * np.mean([unit(pf)[i] @ b for b in bank]) for i in range(len(pf))])  # the full form
    rows = bank_of(y, most)
    half = unit(f[rows]).astype(np.float32).astype(np.float16).astype(np.float64)
    k = min(k, len(rows))
    similarity = unit(pf) @ half.T
    out["knn_cosine"] = np.sort(similarity, axis=1)[:, -k]
    members = half * np.linalg.norm(f[rows], axis=1)[:, None]
    out["knn_euclidean"] = -NearestNeighbors(n_neighbors=k).fit(members).kneighbors(pf)[0][:, -1]
    out["nnguide"] = g * np.sort(similarity * c[rows], axis=1)[:, -k:].mean(1)
    means = {v: f[y == v].mean(0) for v in set(y)}
    within = EmpiricalCovariance(assume_centered=True).fit(np.stack([a - means[v] for a, v in zip(f, y)])).covariance_
    if np.trace(within) == 0:
        within = np.eye(dim)
    precision = np.linalg.inv(shrunk_covariance(within, max(shrinkage, 1e-6)))
    out["mahalanobis"] = -np.min([np.einsum("ij,jk,ik->i", pf - m, precision, pf - m) for m in means.values()], axis=0)
    origin = f.mean(0)
    rank = min(vim_dim or max(1, min(dim // 2, len(f) // 2)), dim - 1)
    principal = np.linalg.eigh(np.cov(f.T, bias=True) if len(f) > 1 else np.zeros((dim, dim)))[1][:, ::-1][:, :rank]
    residual = lambda x: np.linalg.norm((x - origin) - (x - origin) @ principal @ principal.T, axis=1)
    top = z.max(1).sum() if z.max(1).sum() > 0 else (z.max(1) - z.mean(1)).sum()
    own = residual(f).sum()
    alpha = top / own if own > 1e-6 * np.linalg.norm(f - origin, axis=1).sum() else 0
    out["vim"] = pc - alpha * residual(pf)
    return out


def gate(r, n, m):
    """An L2 logistic regression with both classes weighing a half; C is the inverse of 0.01 over the weights' sum of 1."""
    t = (np.arange(n) % 3 > 0).astype(int)
    s = r.normal(size=(n, m)) * [10, 1, 0.1] + [5, -1, 0] + np.outer(t, [8, 0.5, -0.1])
    s = s.astype(np.float32).astype(np.float64)
    x = (s - s.mean(0)) / s.std(0)
    w = np.where(t == 1, 0.5 / t.sum(), 0.5 / (n - t.sum()))
    fit = LogisticRegression(C=100, solver="newton-cg", tol=1e-12, max_iter=10000).fit(x, t, sample_weight=w)
    return {"gate.score": s, "gate.target": t, "gate.llr": fit.decision_function(x)}


def main():
    r = np.random.default_rng(20)
    arrays, meta = {}, []
    for i, (n, dim, classes, count, k, shrinkage, vim_dim, most, temperature, logs) in enumerate(SETS):
        y = np.arange(n) % classes
        centre = 3 * r.normal(size=(classes, dim))
        mix = r.normal(size=(dim, dim)) / np.sqrt(dim)
        f = centre[y] + r.normal(size=(n, dim)) @ mix
        pf = np.concatenate([centre[r.integers(classes, size=count // 2)] + r.normal(size=(count // 2, dim)) @ mix,
                             4 * r.normal(size=(count - count // 2, dim))])
        pf[0], pf[1] = 0, f[0]  # no direction; a clip of the train set itself
        if n > 20:
            f[4] = 0
            y[3::11] = -1
        w = r.normal(size=(dim, classes))
        z, pz = f @ w + 2, pf @ w + 2
        if logs:
            z, pz = z - logsumexp(z, 1)[:, None] - 0.3, pz - logsumexp(pz, 1)[:, None] - r.uniform(0, 2, size=(count, 1))
        f, z, pf, pz = (a.astype(np.float32).astype(np.float64) for a in (f, z, pf, pz))
        out = scores({"f": f, "z": z, "y": y}, (pf, pz), k, shrinkage, vim_dim, most, temperature)
        arrays |= {f"{i}.embedding": f, f"{i}.logits": z, f"{i}.label": y, f"{i}.points": pf, f"{i}.point_logits": pz}
        arrays |= {f"{i}.{name}": v for name, v in out.items()}
        meta.append({"k": k, "shrinkage": shrinkage, "vim_dim": vim_dim, "bank": most, "temperature": temperature})
    arrays |= gate(r, 40, 3)
    save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "openset.safetensors"), arrays, {"sets": meta})


main()
