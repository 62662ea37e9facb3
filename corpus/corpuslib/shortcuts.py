"""Shortcut tests: what classifiers reach that see no speech, only the long-term spectrum, or length, level and silence, or the depth of bits
and the bandwidth. A corpus that asks for more gives them chance. Each is a logistic regression, trained on train and tested on
test; each is given again after a band limit of 200 to 3400 Hz that is common to all classes."""
import csv
import os
import sys

import numpy as np
import soundfile

from . import stage

SIZE = 1024
LIMIT = (200.0, 3400.0)
ROUNDS, DECAY = 300, 1e-3
LEAST = 5                     # clips of a class in train and in test


def power(x):
    """Mean power of frames in each bin from 0 to 8 kHz, in decibels."""
    shaped = np.lib.stride_tricks.sliding_window_view(x, SIZE)[::SIZE // 2] * np.hanning(SIZE)
    return 10 * np.log10((np.abs(np.fft.rfft(shaped)) ** 2).mean(axis=0) + 1e-12)


def spectrum(x, low, high):
    """The long-term spectrum in 40 bands of equal ratio."""
    p = power(x)
    edges = np.geomspace(low, high, 41) / (stage.RATE / SIZE)
    return np.array([p[int(a):max(int(a) + 1, int(b))].mean() for a, b in zip(edges, edges[1:])])


def levels(x):
    """Length, level and silence."""
    energy = 10 * np.log10(stage.frames(x) + 1e-12)
    loud = np.percentile(energy, 95)
    quiet = energy < loud - 30
    edge = np.flatnonzero(~quiet)
    changes = np.count_nonzero(np.diff(quiet.astype(int)))
    return np.array([len(x) / stage.RATE, 10 * np.log10((x ** 2).mean() + 1e-12), 20 * np.log10(np.abs(x).max() + 1e-9),
                     *(np.percentile(energy, [1, 5, 20, 50]) - loud), quiet.mean(), changes, edge[0], len(energy) - edge[-1], x.mean() * 1e4])


def depth(x):
    """Depth of bits and bandwidth: the last bits of samples, where the spectrum ends, how much is above 4 and 6 kHz."""
    whole = np.rint(x * 32768).astype(int)
    p = power(x)
    top = np.percentile(p, 98)
    total = np.cumsum(10 ** (p / 10))
    ends = [np.searchsorted(total, total[-1] * part) for part in (0.95, 0.99, 0.999)]
    above = [np.flatnonzero(p > top - down).max() for down in (40, 50, 60)]
    return np.array([(whole & 1).mean(), (whole & 3 == 0).mean(), (whole & 15 == 0).mean(), len(np.unique(whole)) / len(whole), *ends, *above,
                     p[256:].mean() - top, p[384:448].mean() - top])


def features(path):
    """{(test, is limited): vector}."""
    x, _ = soundfile.read(path)
    limited = np.rint(stage.band(x, *LIMIT) * 32768) / 32768
    return {("spectrum", False): spectrum(x, 60, 7900), ("spectrum", True): spectrum(limited, *LIMIT),
            ("level", False): levels(x), ("level", True): levels(limited), ("depth", False): depth(x), ("depth", True): depth(limited)}


def regression(x, y, classes):
    """Weights [D+1, K] of a logistic regression with classes of equal weight."""
    x = np.hstack([x, np.ones((len(x), 1))])
    target = np.eye(classes)[y]
    share = (1.0 / np.bincount(y, minlength=classes).clip(1))[y]
    share /= share.sum()
    w, before = np.zeros((x.shape[1], classes)), None
    speed = np.zeros_like(w)
    rate = 4.0 / max(np.linalg.norm(x * np.sqrt(share)[:, None], 2) ** 2, 1e-9)
    for step in range(ROUNDS): # Nesterov's gradient
        ahead = w + step / (step + 3) * speed
        z = x @ ahead
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        before, w = w, ahead - rate * (x.T @ ((p - target) * share[:, None]) + DECAY * ahead)
        speed = w - before
    return w


def balanced_accuracy(train, train_y, test, test_y, classes):
    mean, width = train.mean(axis=0), train.std(axis=0) + 1e-9
    w = regression((train - mean) / width, train_y, classes)
    answer = (np.hstack([(test - mean) / width, np.ones((len(test), 1))]) @ w).argmax(axis=1)
    return float(np.mean([(answer[test_y == k] == k).mean() for k in range(classes)]))


def questions(rows):
    """[(track, question, rows, column)]: what is asked."""
    copies = [r for r in rows if r["track"] in ("V", "VR")]
    read = [r for r in rows if r["track"] == "R" or r["track"] == "VR"]
    out = [("V", "human or synthetic", copies, "label"), ("V", "which method", [r for r in copies if r["label"] == "spoof"], "source"),
           ("T", "which system", [r for r in rows if r["track"] == "T"], "source"), ("R", "human or synthetic", read, "label")]
    return [(track, question, [r for r in some if r["setting"] == "same"], column) for track, question, some, column in out]


def measured(rows, seen, column):
    """(classes, rows of test, {(test, limited): balanced accuracy}) or None where there are too few rows."""
    by = {}
    for row in rows:
        by.setdefault(row[column], {}).setdefault(row["split"], []).append(row)
    names = sorted(n for n, s in by.items() if min(len(s.get("train", [])), len(s.get("test", []))) >= LEAST)
    if len(names) < 2:
        return None
    parts = {s: [(row, k) for k, n in enumerate(names) for row in by[n][s]] for s in ("train", "test")}
    y = {s: np.array([k for _, k in part]) for s, part in parts.items()}
    out = {}
    for test in seen[parts["train"][0][0]["path"]]:
        x = {s: np.array([seen[row["path"]][test] for row, _ in part]) for s, part in parts.items()}
        out[test] = balanced_accuracy(x["train"], y["train"], x["test"], y["test"], len(names))
    return len(names), len(parts["test"]), out


def report(folder, out=sys.stdout):
    """Prints the table for the protocol in folder and writes it to shortcuts.csv."""
    with open(os.path.join(folder, "protocol.csv"), newline="", encoding="utf-8") as f:
        rows = [row for row in csv.DictReader(f) if row["split"] in ("train", "test")]
    seen = {row["path"]: features(os.path.join(folder, row["path"])) for row in rows if row["setting"] == "same"}
    lines = []
    print("\nshortcut tests: balanced accuracy on test, trained on train; limited: everything cut to 200-3400 Hz", file=out)
    print(f"{'track':<6}{'question':<20}{'classes':>8}{'clips':>7}{'chance':>8}{'test':>12}{'accuracy':>10}{'limited':>9}", file=out)
    for track, question, some, column in questions(rows):
        result = measured(some, seen, column)
        if result is None:
            print(f"{track:<6}{question:<20}  too few clips", file=out)
            continue
        classes, clips, accuracy = result
        for test in ("spectrum", "level", "depth"):
            line = {"track": track, "question": question, "classes": classes, "clips": clips, "chance": f"{1 / classes:.3f}", "test": test,
                    "accuracy": f"{accuracy[test, False]:.3f}", "limited": f"{accuracy[test, True]:.3f}"}
            lines.append(line)
            print(f"{track:<6}{question:<20}{classes:>8}{clips:>7}{line['chance']:>8}{test:>12}{line['accuracy']:>10}{line['limited']:>9}",
                  file=out)
    with open(os.path.join(folder, "shortcuts.csv"), "w", newline="", encoding="utf-8") as f:
        table = csv.DictWriter(f, list(lines[0]) if lines else ["track"], lineterminator="\n")
        table.writeheader()
        table.writerows(lines)
