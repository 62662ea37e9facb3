#!/usr/bin/env python3
"""Vectors for tests/eval and tests/openset: random small sets with many ties and what scikit-learn, SciPy and NumPy say
of them. Scores are whole eighths in one byte, so that they are exact everywhere. Little-endian, records back to back:

detection.bin: u32 sets; each u32 n, i8 score*8 [n], u8 target [n] (0 other, 1 target, 2 misclassified target),
    f64 {EER asvspoof, EER roc, EER sklearn, AUROC, FPR95 interpolated, FPR95 percentile, Cllr, min Cllr, AUPR of targets,
    AUPR of others, then for forensics, intelligence and asvspoof5: minDCF normalised, actDCF normalised; accuracy, FRR and
    FAR at 0.5; EERc, OSCR, CCR at FPR 0.01, 0.05, 0.10, ID accuracy}
classes.bin: u32 sets; each u32 n, u32 K, u32 m, i8 score*8 [n, K], u8 truth [n], u8 predicted [n], u8 labels [m],
    u8 confidence*64 [n], u8 correct [n], f64 {accuracy, balanced accuracy, top-3, macro, weighted, micro F1 over the labels,
    Brier, NLL, ECE, adaptive ECE}, f64 precision, recall, F1 [K, 3]
frechet.bin: u32 sets; each u32 n1, u32 n2, u32 dim, u32 kind (0 none, 1 Ledoit-Wolf, 2 fixed 0.25), i8 x1*8 [n1, dim],
    i8 x2*8 [n2, dim], f64 {distance, shrinkage of the first}
calibration.bin: u32 sets; each u32 n, u32 K, i8 logit*8 [n, K], u8 truth [n], f64 {T, NLL}; then
    u8 target [n], i8 score*8 [n], f64 {prior, scale, offset}
"""
import os
import struct
import numpy as np
from scipy.interpolate import interp1d
from scipy.linalg import sqrtm
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn import metrics as sk
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.isotonic import IsotonicRegression

HERE = os.path.dirname(os.path.abspath(__file__))


def eer_asvspoof(score, target):
    """argmin |FRR - FAR| over one threshold below all and one between each two distinct scores; whole-number ties."""
    fpr, tpr, _ = sk.roc_curve(target, score, drop_intermediate=False)
    p, q = int(target.sum()), int((1 - target).sum())
    miss = p - np.rint(tpr * p).astype(np.int64)[::-1]
    passed = np.rint(fpr * q).astype(np.int64)[::-1]
    i = np.argmin(np.abs(miss * q - passed * p))
    return (miss[i] / p + passed[i] / q) / 2


def eer_roc(score, target):
    fpr, tpr, _ = sk.roc_curve(target, score)
    return brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0)


def fpr95(score, target):
    fpr, tpr, _ = sk.roc_curve(target, score, drop_intermediate=False)
    exact = tpr == 0.95
    return fpr[exact].min() if exact.any() else np.interp(0.95, tpr, fpr)


def eer_sklearn(score, target):
    """fpr[argmin |fnr - fpr|] of roc_curve as it is called by default; the comparison in whole numbers."""
    fpr, tpr, _ = sk.roc_curve(target, score)
    p, q = int(target.sum()), int((1 - target).sum())
    gap = np.abs((p - np.rint(tpr * p).astype(np.int64)) * q - np.rint(fpr * q).astype(np.int64) * p)
    return fpr[np.argmin(gap)]


def min_cllr(score, target):
    p = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, target).predict(score)
    with np.errstate(divide="ignore"):
        llr = np.log(p) - np.log1p(-p) - np.log(target.sum() / (1 - target).sum())
    return (np.logaddexp(0, -llr[target == 1]).mean() + np.logaddexp(0, llr[target == 0]).mean()) / (2 * np.log(2))


def dcf(score, target, prior, c_miss, c_fa):
    """Least cost over the points of the ROC, and the cost at the Bayes threshold, both normalised."""
    fpr, tpr, _ = sk.roc_curve(target, score, drop_intermediate=False)
    cut = np.log(c_fa * (1 - prior) / (c_miss * prior))
    frr, far = np.mean(score[target == 1] < cut), np.mean(score[target == 0] >= cut)
    least = min(c_miss * prior, c_fa * (1 - prior))
    return [np.min(c_miss * prior * (1 - tpr) + c_fa * (1 - prior) * fpr) / least,
            (c_miss * prior * frr + c_fa * (1 - prior) * far) / least]


def open_set(score, target, right):
    known, unknown = score[target == 1], score[target == 0]
    named = right[target == 1] == 1
    cuts = np.r_[np.unique(score), np.inf]
    ccr = np.array([np.mean(named & (known >= c)) for c in cuts])
    fpr = np.array([np.mean(unknown >= c) for c in cuts])
    # whole numbers: the first of equal gaps, by rising threshold
    gap = np.abs((len(known) - np.rint(ccr * len(known))) * len(unknown) - np.rint(fpr * len(unknown)) * len(known))
    i = np.argmin(gap)
    eerc = (1 - ccr[i] + fpr[i]) / 2
    pairs = (known[:, None] > unknown[None]) + 0.5 * (known[:, None] == unknown[None])
    at = []
    for x in (0.01, 0.05, 0.10):
        up = np.r_[0, fpr[::-1]], np.r_[0, ccr[::-1]]
        last = np.searchsorted(up[0], x, side="right") - 1
        if last + 1 == len(up[0]):
            at.append(up[1][last])
        else:
            part = (x - up[0][last]) / (up[0][last + 1] - up[0][last])
            at.append(up[1][last] + part * (up[1][last + 1] - up[1][last]))
    return [eerc, (pairs * named[:, None]).mean(), *at, named.mean()]


def detection(rng):
    out = [struct.pack("<I", 1000)]
    choice = np.random.default_rng(11)
    for i in range(1000):
        n = int(rng.integers(2, 90))
        spread = int(rng.integers(1, 60))
        target = (rng.random(n) < rng.uniform(0.2, 0.8)).astype(np.uint8)
        target[0], target[1] = 1, 0
        raw = np.clip(np.rint(rng.normal(0, spread, n) + target * rng.uniform(-0.5, 3) * spread), -128, 127).astype(np.int8)
        s = raw / 8.0
        t, o = s[target == 1], s[target == 0]
        cut = np.percentile(t, 5)
        want = [eer_asvspoof(s, target), eer_roc(s, target), sk.roc_auc_score(target, s), fpr95(s, target),
                np.mean(o >= cut), (np.logaddexp(0, -t).mean() + np.logaddexp(0, o).mean()) / (2 * np.log(2)),
                min_cllr(s, target), sk.average_precision_score(target, s), sk.average_precision_score(1 - target, -s)]
        want.insert(2, eer_sklearn(s, target))
        for profile in ((0.01, 1, 1), (0.10, 1, 1), (0.95, 1, 10)):
            want += dcf(s, target, *profile)
        want += [np.mean((s >= 0.5) == target), np.mean(t < 0.5), np.mean(o >= 0.5)]
        right = (choice.random(n) < choice.uniform(0.3, 1)).astype(np.uint8)
        want += open_set(s, target, right)
        flag = np.where((target == 1) & (right == 0), 2, target).astype(np.uint8)
        out += [struct.pack("<I", n), raw.tobytes(), flag.tobytes(), np.array(want, "<f8").tobytes()]
    return b"".join(out)


def ece(conf, correct, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (conf > low) & (conf <= high) if low > 0 else conf <= high
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - conf[inside].mean())
    return total


def ece_adaptive(conf, correct, bins=15):
    order = np.argsort(conf, kind="stable")
    c = conf[order]
    mean = np.array([correct[conf == v].mean() for v in c])
    return sum(abs((m - v).sum()) for m, v in zip(np.array_split(mean, bins), np.array_split(c, bins))) / len(conf)


def classes(rng):
    out = [struct.pack("<I", 1000)]
    for i in range(1000):
        k, n = int(rng.integers(3, 9)), int(rng.integers(1, 60))
        used = int(rng.integers(1, k + 1))
        truth = rng.integers(0, used, n).astype(np.uint8)
        raw = np.clip(np.rint(rng.normal(0, 8, (n, k)) + 12 * np.eye(k)[truth]), -100, 100).astype(np.int8)
        s = raw / 8.0
        predicted = np.argmax(raw, axis=1).astype(np.uint8)
        labels = np.sort(rng.permutation(k)[: int(rng.integers(1, k + 1))]).astype(np.uint8)
        if not np.isin(truth, labels).any() and not np.isin(predicted, labels).any():
            labels = np.unique(truth).astype(np.uint8)
        f1 = [sk.f1_score(truth, predicted, labels=labels, average=a, zero_division=0) for a in ("macro", "weighted", "micro")]
        if not np.isin(truth, labels).any():
            f1[1] = np.nan
        p = softmax(s, axis=1)
        # scikit-learn takes the higher index of equal scores first; turned round, the lower
        top3 = sk.top_k_accuracy_score(k - 1 - truth.astype(int), s[:, ::-1], k=3, labels=np.arange(k)) if k > 3 else 1.0
        conf64 = rng.integers(0, 65, n).astype(np.uint8)
        correct = (rng.random(n) < conf64 / 64).astype(np.uint8)
        each = sk.precision_recall_fscore_support(truth, predicted, labels=np.arange(k), zero_division=0)
        present = np.unique(truth)
        balanced = sk.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
        if n > 1 and len(present) > 1:
            import warnings
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert abs(balanced - sk.balanced_accuracy_score(truth, predicted)) < 1e-12
        want = [sk.accuracy_score(truth, predicted), balanced, top3, *f1, ((p - np.eye(k)[truth]) ** 2).sum(1).mean(),
                sk.log_loss(truth, p, labels=np.arange(k)), ece(conf64 / 64, correct), ece_adaptive(conf64 / 64, correct)]
        out += [struct.pack("<III", n, k, len(labels)), raw.tobytes(), truth.tobytes(), predicted.tobytes(), labels.tobytes(),
                conf64.tobytes(), correct.tobytes(), np.array(want, "<f8").tobytes(),
                np.stack(each[:3], axis=1).astype("<f8").tobytes()]
    return b"".join(out)


def fit_logistic(s, target, prior):
    """Prior-weighted logistic regression with Platt's targets, by BFGS on standardised scores."""
    nt, no = target.sum(), (1 - target).sum()
    w = np.where(target == 1, prior / nt, (1 - prior) / no)
    t = np.where(target == 1, (nt + 1) / (nt + 2), 1 / (no + 2))
    z, shift = (s - s.mean()) / s.std(), np.log(prior / (1 - prior))

    def value(ab):
        x = ab[0] * z + ab[1] + shift
        d = w * (1 / (1 + np.exp(-x)) - t)
        return (w * (t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x))).sum(), np.array([(d * z).sum(), d.sum()])

    ab = minimize(value, [0.0, 0.0], jac=True, method="BFGS", options={"gtol": 1e-11}).x
    return (ab[0] / s.std(), ab[1] - ab[0] * s.mean() / s.std()) if ab[0] > 0 else (0.0, 0.0)


def calibration(rng):
    out = [struct.pack("<I", 60)]
    for i in range(60):
        n, k = int(rng.integers(30, 80)), int(rng.integers(2, 7))
        truth = rng.integers(0, k, n).astype(np.uint8)
        raw = np.clip(np.rint(rng.normal(0, 12, (n, k)) + rng.uniform(2, 14) * np.eye(k)[truth]), -128, 127).astype(np.int8)

        def nll(log_beta):
            return -log_softmax(np.exp(log_beta) * raw / 8.0, axis=1)[np.arange(n), truth].mean()

        best = minimize_scalar(nll, bounds=(np.log(0.01), np.log(100)), method="bounded", options={"xatol": 1e-9})
        target = (rng.random(n) < 0.4).astype(np.uint8)
        target[0], target[1] = 1, 0
        score = np.clip(np.rint(rng.normal(0, 12, n) + target * rng.uniform(2, 20)), -128, 127).astype(np.int8)
        prior = [0.5, 0.1, 0.9][i % 3]
        fitted = fit_logistic(score / 8.0, target.astype(float), prior)
        out += [struct.pack("<II", n, k), raw.tobytes(), truth.tobytes(),
                np.array([np.exp(-best.x), best.fun], "<f8").tobytes(), target.tobytes(), score.tobytes(),
                np.array([prior, *fitted], "<f8").tobytes()]
    return b"".join(out)


def frechet_fit(x, kind):
    s = np.cov(x, rowvar=False).reshape(x.shape[1], -1)
    amount = [0.0, float(ledoit_wolf_shrinkage(x)), 0.25][kind]
    return x.mean(0), (1 - amount) * s + amount * np.trace(s) / len(s) * np.eye(len(s)), amount


def root(s):
    value, vector = np.linalg.eigh(s)
    return vector * np.sqrt(np.maximum(value, 0)) @ vector.T


def frechet(rng):
    out = [struct.pack("<I", 60)]
    for i in range(60):
        dim, kind = int(rng.integers(1, 9)), i % 3
        sets = []
        for _ in range(2):
            n = int(rng.integers(2, 40))
            mix = rng.normal(0, 1, (dim, dim)) * rng.uniform(0.2, 1, dim)
            sets.append(np.clip(np.rint(8 * (rng.normal(0, 1, (n, dim)) @ mix + rng.normal(0, 1, dim))), -128, 127).astype(np.int8))
        (m1, s1, amount), (m2, s2, _) = (frechet_fit(x / 8.0, kind) for x in sets)
        cross = np.linalg.svd(root(s2) @ root(s1), compute_uv=False).sum()
        want = ((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * cross
        if min(len(x) for x in sets) > 2 * dim:  # the formula as it is published
            assert abs(cross - np.trace(sqrtm(s1 @ s2).real)) < 1e-6 * max(1, cross)
        out += [struct.pack("<IIII", len(sets[0]), len(sets[1]), dim, kind), sets[0].tobytes(), sets[1].tobytes(),
                np.array([want, amount], "<f8").tobytes()]
    return b"".join(out)


def main():
    for folder, name, make, seed in (("eval", "detection", detection, 1), ("eval", "classes", classes, 2),
                                     ("eval", "frechet", frechet, 4),
                                     ("openset", "calibration", calibration, 3)):
        with open(os.path.join(HERE, "..", folder, name + ".bin"), "wb") as f:
            f.write(make(np.random.default_rng(seed)))


if __name__ == "__main__":
    main()
