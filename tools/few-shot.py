#!/usr/bin/python3
"""How well are sources named that a model was never trained on, after a few of their recordings were enrolled?

    tools/few-shot.py SPOOR MODEL MANIFEST [--work DIR] [--shots 1,2,3,5] [--draws 5] [--trace]

MODEL is calibrated for comparisons (spoor verify --calibrate). MANIFEST has columns path, split, label, source, page,
setting; rows of split dev with setting "unknown" are sources to enroll (those that the model does not know from
elsewhere), "same" and "cross" are known ones. For each number of shots and each draw (its number is the seed) so many
recordings of every unknown source that has more are enrolled; the others are tested. A test is right where the answer
among known and enrolled sources together is the source. Answers are computed here from embeddings that `spoor embed`
wrote and from the statistics in the model file; --trace runs spoor enroll and spoor trace for draw 0 and compares.

The thresholds of MODEL were fitted on all of dev. Rows "other half": pages are cut into two halves, thresholds are
fitted on each (spoor verify --calibrate) and used on the other, where only its own sources are enrolled; both together.
Needs NumPy."""
import argparse
import csv
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np


def read_model(path):
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        start, tensors = 8 + size, {}
        for name, t in header.items():
            if name.startswith("verify."):
                f.seek(start + t["data_offsets"][0])
                raw = f.read(t["data_offsets"][1] - t["data_offsets"][0])
                tensors[name[7:]] = np.frombuffer(raw, "<f4").astype(float).reshape(t["shape"])
    meta = json.loads(header["__metadata__"]["spoor"])
    return meta["verify"], tensors, [c for t in meta["tasks"] if t["name"] == "source" for c in t["classes"]]


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-300)


def whitened(x, tensors):
    dim = x.shape[1]
    inverse = np.zeros((dim, dim))
    inverse[np.tril_indices(dim)] = tensors["factor"]
    return unit((x - tensors["origin"]) @ inverse.T)


def threshold(verify, files, sources):
    rates, shot = verify["rates"], [s for s in verify["enrolled"] if s["files"] <= files][-1]
    at, rate = shot["thresholds"], verify["false_acceptance"] / sources
    if rate >= rates[0]:
        return at[0]
    i = 1
    while i + 1 < len(rates) and rates[i] > rate:
        i += 1
    t = math.log(rates[i - 1] / rate) / math.log(rates[i - 1] / rates[i])
    return at[i - 1] + t * (at[i] - at[i - 1])


class Corpus:
    def __init__(self, spoor, model, manifest, work):
        out = os.path.join(work, "embeddings.npy")
        if not os.path.exists(out):
            subprocess.run([spoor, "embed", "-m", model, "--manifest", manifest, "-o", out], check=True)
        self.x = np.load(out).astype(float)
        with open(manifest, newline="") as f:
            rows = {r["path"]: r for r in csv.DictReader(f)}
        with open(out[:-4] + ".ids.txt") as f:
            self.rows = [rows[line.rstrip("\n")] for line in f]
        spoof = np.array([r["label"] == "spoof" for r in self.rows])
        split = np.array([r["split"] for r in self.rows])
        setting = np.array([r["setting"] for r in self.rows])
        self.train = spoof & (split == "train")
        self.dev = {s: spoof & (split == "dev") & (setting == s) for s in ("unknown", "same", "cross")}
        self.human = np.array([r["label"] == "bonafide" for r in self.rows]) & (split == "dev")
        self.source = np.array([r["source"] for r in self.rows])
        self.page = np.array([r["page"] for r in self.rows])


def draws(c, members, shots, n):
    """For each draw: enrolled rows of each source, test rows, their source numbers."""
    names = sorted(s for s in set(c.source[members]) if np.sum(members & (c.source == s)) > shots)
    for seed in range(n):
        rng = np.random.default_rng(seed)
        enrolled, tests, truth = [], [], []
        for i, name in enumerate(names):
            rows = rng.permutation(np.flatnonzero(members & (c.source == name)))
            enrolled.append(rows[:shots])
            tests += list(rows[shots:])
            truth += [i] * (len(rows) - shots)
        yield names, enrolled, np.array(tests), np.array(truth)


def judge(score, accepted, tests, truth, known):
    best = score.argmax(1)
    right = accepted[tests] & (best[tests] == truth)
    return [right.mean(), (best[tests] == truth).mean()] + [accepted[k].mean() if k.any() else math.nan for k in known]


def measure(c, u, centre, members, known, shots, n, rule):
    """rule(score of all enrolled [rows, sources], best known [rows], sources) -> (scores, accepted)"""
    near = (u @ centre.T).max(1)
    rows, tested = [], 0
    for names, enrolled, tests, truth in draws(c, members, shots, n):
        e = unit(np.array([u[r].mean(0) for r in enrolled]))
        score, accepted = rule(u @ e.T, near, len(names))
        rows.append(judge(score, accepted, tests, truth, known))
        tested = len(tests)
    return np.array(rows), tested, len(names)


def nearest(score, near, _):
    return score, score.max(1) > near


def at_rate(known, rate):
    """Nearest centroid, but an enrolled source must be nearer than any known one by a margin that `rate` of the known
    recordings of this very set reach: the best that a threshold can do."""
    def rule(score, near, _):
        margin = score.max(1) - near
        return score, margin > np.quantile(margin[known], 1 - rate)
    return rule


def of_model(verify, shots):
    def rule(score, near, sources):
        score = score - 0.5 * near[:, None]
        return score, score.max(1) >= threshold(verify, shots, sources)
    return rule


def both(parts):
    """Halves as one: shares of tests by tests, of known recordings by recordings."""
    (a, n, s, k), (b, m, t, j) = parts
    rows = [(a[:, :2] * n + b[:, :2] * m) / (n + m)]
    rows += [(a[:, 2 + i:3 + i] * k[i] + b[:, 2 + i:3 + i] * j[i]) / (k[i] + j[i]) for i in (0, 1)]
    return np.hstack(rows), n + m, f"{s} and {t}"


def line(name, shots, rows, tested, sources):
    cells = [f"{m:.3f} ({lo:.3f}-{hi:.3f})" for m, lo, hi in zip(rows.mean(0), rows.min(0), rows.max(0))]
    print(f"| {name} | {shots} | " + " | ".join(cells) + f" | {tested} of {sources} |", flush=True)


def halves(c):
    """Two halves of dev's pages; sources that share a page stay together."""
    dev = c.dev["unknown"] | c.dev["same"] | c.dev["cross"]
    group = {}

    def root(x):
        while group.setdefault(x, x) != x:
            x = group[x]
        return x
    for i in np.flatnonzero(dev):
        if c.dev["unknown"][i]:
            group[root(("source", c.source[i]))] = root(("page", c.page[i]))
        else:
            root(("page", c.page[i]))
    key = np.array([str(root(("page", p))) for p in c.page])
    names = sorted(set(key[dev]), key=lambda k: (-np.sum(dev & (key == k)), k))
    return [np.isin(key, names[h::2]) for h in (0, 1)]


def pairs(c, u):
    """AUROC of same source against another over all pairs of synthetic dev recordings; then of pairs from two pages
    alone."""
    rows = np.flatnonzero(c.dev["unknown"] | c.dev["same"] | c.dev["cross"])
    i, j = np.triu_indices(len(rows), 1)
    score, same = (u[rows] @ u[rows].T)[i, j], c.source[rows][i] == c.source[rows][j]
    across = c.page[rows][i] != c.page[rows][j]

    def auroc(at):
        _, rank = np.unique(score[at], return_inverse=True)  # ties share a rank
        count = np.bincount(rank)
        middle = (np.cumsum(count) - count + (count + 1) / 2)[rank]
        n, m = same[at].sum(), (~same[at]).sum()
        return (middle[same[at]].sum() - n * (n + 1) / 2) / (n * m), n
    return auroc(np.ones(len(i), bool)) + auroc(across)


def crossed(c, args, work):
    """Verify sections fitted on each half, to be used on the other."""
    parts = halves(c)
    for h, part in enumerate(parts):
        manifest, model = os.path.join(work, f"half{h}.csv"), os.path.join(work, f"half{h}.safetensors")
        if not os.path.exists(model):
            with open(manifest, "w", newline="") as f:
                w = csv.DictWriter(f, c.rows[0].keys())
                w.writeheader()
                w.writerows(r for i, r in enumerate(c.rows) if r["split"] == "train" or part[i])
            subprocess.run([args.spoor, "verify", "--calibrate", "-m", args.model, "--manifest", manifest, "--root",
                            os.path.dirname(os.path.abspath(args.manifest)), "-o", model], check=True,
                           stdout=sys.stderr)
        yield read_model(model)[0], parts[1 - h]


def run_trace(c, args, work, u, centre, verify):
    """The same answers from spoor itself: draw 0, five shots."""
    gallery = os.path.join(work, "gallery.safetensors")
    if os.path.exists(gallery):
        os.remove(gallery)
    root = os.path.dirname(os.path.abspath(args.manifest))
    names, enrolled, tests, truth = next(draws(c, c.dev["unknown"], 5, 1))
    for name, rows in zip(names, enrolled):
        subprocess.run([args.spoor, "enroll", "-m", args.model, "--gallery", gallery, name] +
                       [os.path.join(root, c.rows[i]["path"]) for i in rows], check=True, stdout=subprocess.DEVNULL)
    parts = {"test": tests, "known": np.flatnonzero(c.dev["same"] | c.dev["cross"]), "human": np.flatnonzero(c.human)}
    kind = np.concatenate([[name] * len(part) for name, part in parts.items()])
    rows = list(np.concatenate(list(parts.values())))
    files = "\n".join(os.path.join(root, c.rows[i]["path"]) for i in rows)
    out = subprocess.run([args.spoor, "trace", "-m", args.model, "--gallery", gallery, "--jsonl", "--list", "-"],
                         input=files, text=True, check=True, stdout=subprocess.PIPE).stdout
    answers = [json.loads(x) for x in out.splitlines()]
    e = unit(np.array([u[r].mean(0) for r in enrolled]))
    score = u @ e.T - 0.5 * (u @ centre.T).max(1)[:, None]
    apart = max(abs(a["enrolled"]["ranked"][0]["score"] - score[i].max()) for a, i in zip(answers, rows))
    limit = threshold(verify, 5, len(names))
    here = sum(score[i].max() >= limit for i in rows)
    near = np.array([a["enrolled"]["score"] >= a["enrolled"]["threshold"] for a in answers])
    named = np.array([a["verdict"] == "enrolled" for a in answers])
    human = np.array([a["verdict"] == "bonafide" for a in answers])
    right = np.zeros(len(rows), bool)
    right[:len(tests)] = [a["enrolled"]["ranked"][0]["name"] == names[t] for a, t in zip(answers, truth)]
    print(f"\nspoor trace, draw 0, 5 shots: scores differ from these by at most {apart:.1e}; at or above the threshold "
          f"{near.sum()} of {len(rows)}, here {here}.\n")
    print("| recordings | n | named rightly | with an enrolled name | called human | near enough, human or not "
          "| and right |")
    print("|---|---|---|---|---|---|---|")
    for k in ("test", "known", "human"):
        at = kind == k
        cells = [x[at].mean() for x in (named & right, named, human, near, near & right)]
        print(f"| {k} | {at.sum()} | " + " | ".join(f"{x:.3f}" for x in cells) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("spoor")
    p.add_argument("model")
    p.add_argument("manifest")
    p.add_argument("--work", help="folder that keeps embeddings (default: a temporary one)")
    p.add_argument("--shots", default="1,2,3,5")
    p.add_argument("--draws", type=int, default=5)
    p.add_argument("--trace", action="store_true")
    p.add_argument("--no-halves", action="store_true", help="without the rows of the other half")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or temporary
        os.makedirs(work, exist_ok=True)
        c = Corpus(args.spoor, args.model, args.manifest, work)
        verify, tensors, names = read_model(args.model)
        c.dev["unknown"] &= ~np.isin(c.source, names)  # the model may know a source from elsewhere
        known = [c.dev["same"], c.dev["cross"]]
        raw, white = unit(c.x), whitened(c.x, tensors)
        classes = sorted(set(c.source[c.train]))
        raw_centre = unit(np.array([raw[c.train & (c.source == s)].mean(0) for s in classes]))
        centre = unit(tensors["means"])
        half = [] if args.no_halves else list(crossed(c, args, work))
        print("| | shots | top-1 known + enrolled | top-1 enrolled alone | `same` taken | `cross` taken "
              "| tests of sources |")
        print("|---|---|---|---|---|---|---|")
        for shots in (int(s) for s in args.shots.split(",")):
            members = c.dev["unknown"]
            line("cosine, nearest centroid", shots,
                 *measure(c, raw, raw_centre, members, known, shots, args.draws, nearest))
            line("whitened, nearest centroid", shots,
                 *measure(c, white, centre, members, known, shots, args.draws, nearest))
            for name, u, m in (("cosine", raw, raw_centre), ("whitened", white, centre)):
                line(f"{name}, margin at 5 %", shots,
                     *measure(c, u, m, members, known, shots, args.draws, at_rate(known[0] | known[1], 0.05)))
            line("spoor", shots, *measure(c, white, centre, members, known, shots, args.draws, of_model(verify, shots)))
            parts = []
            for section, part in half:
                here = [k & part for k in known]
                parts.append(measure(c, white, centre, members & part, here, shots, args.draws,
                                     of_model(section, shots)) + ([k.sum() for k in here],))
            if half:
                line("spoor, other half", shots, *both(parts))
        for name, u in (("cosine", raw), ("whitened", white)):
            print("pairs, %s: AUROC %.3f (%d of one source), across pages %.3f (%d)" % ((name,) + pairs(c, u)))
        if args.trace:
            run_trace(c, args, work, white, centre, verify)


if __name__ == "__main__":
    main()
