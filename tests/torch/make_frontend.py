#!/usr/bin/env python3
"""Vectors for tests/frontend: a test signal, and what torchaudio (or NumPy in double, for the MATLAB baselines of
ASVspoof) makes of it. Run: /usr/bin/python3 tests/torch/make_frontend.py (PyTorch 1.13, torchaudio 0.13).

Writes tests/frontend/data/: signal.f32, cases.json (name, configuration, samples used, rows, columns) and NAME.f32;
and tests/augment/data/notches.f64: SciPy's firwin for RawBoost's notches, each as centre, width, taps and 99 numbers
(coefficients divided by the largest, then zeros).
"""
import json
import os
import sys

import numpy as np
import scipy.fft
import scipy.signal
import torch
import torchaudio

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "frontend", "data")
RATE = 16000
cases = []


def signal():
    """A chirp, a few harmonics, noise that dies away, and a silence."""
    rng = np.random.default_rng(7)
    n = 7000
    t = np.arange(n) / RATE
    x = 0.3 * scipy.signal.chirp(t, 60, t[-1], 7900)
    x += sum(0.2 / h * np.sin(2 * np.pi * 140 * h * t + h) for h in range(1, 12))
    x += rng.normal(size=n) * 0.1 * np.exp(-t * 8)
    x[4000:4700] = 0
    return x.astype(np.float32)


def keep(name, config, features, n):
    features = np.ascontiguousarray(features, dtype=np.float32)
    features.tofile(os.path.join(OUT, name + ".f32"))
    cases.append(dict(name=name, config=config, samples=n, rows=features.shape[0], columns=features.shape[1]))


def mel(x, n_mels, f_min, f_max, scale, norm, n_fft=512, win=400, hop=160, power=2.0, window=torch.hann_window,
        center=True):
    transform = torchaudio.transforms.MelSpectrogram(
        RATE, n_fft=n_fft, win_length=win, hop_length=hop, f_min=f_min, f_max=f_max, n_mels=n_mels, power=power,
        window_fn=window, center=center, pad_mode="reflect", norm=norm, mel_scale=scale)
    return transform(torch.from_numpy(x)).T


def trimf(f, a, b, c):
    return np.maximum(0, np.minimum((f - a) / (b - a), (c - f) / (c - b)))


def asvspoof_lfcc(x, win, hop, n_fft, filters, keep_n, f_max, emphasis, halve):
    """The MATLAB baselines, in double: buffer(..., 'nodelay'), symmetric Hamming, trimf bank, log10(. + eps), dct."""
    x = x.astype(np.float64)
    x = np.append(x[0], x[1:] - emphasis * x[:-1])
    frames = max(1, -(-(len(x) - (win - hop)) // hop))
    x = np.append(x, np.zeros(frames * hop + win - len(x)))
    framed = np.stack([x[t * hop:t * hop + win] for t in range(frames)]) * np.hamming(win)
    power = np.abs(np.fft.rfft(framed, n_fft)) ** 2
    f = np.linspace(0, RATE / 2, n_fft // 2 + 1)
    corners = np.linspace(0, f_max, filters + 2)
    bank = np.stack([trimf(f, *corners[i:i + 3]) for i in range(filters)], axis=1)
    static = scipy.fft.dct(np.log10(power @ bank + np.finfo(float).eps), norm="ortho", axis=1)[:, :keep_n]
    def delta(c):
        padded = np.concatenate([c[:1], c, c[-1:]])
        return (padded[2:] - padded[:-2]) / (2 if halve else 1)
    return np.concatenate([static, delta(static), delta(delta(static))], axis=1)


def notches():
    rows = []
    for centre, width, taps in [(1000, 100, 99), (3000, 1000, 11), (150, 200, 51), (6500, 444.4, 37), (30, 900, 75),
                                (7990, 300, 63)]:
        low, high = centre - width / 2, centre + width / 2
        low, high = 0.001 if low <= 0 else low, RATE / 2 - 0.001 if high >= RATE / 2 else high
        h = scipy.signal.firwin(taps, [low, high], window="hamming", fs=RATE)
        rows.append([centre, width, taps] + list(h / h[np.argmax(np.abs(h))]) + [0] * (99 - taps))
    folder = os.path.join(OUT, "..", "..", "augment", "data")
    os.makedirs(folder, exist_ok=True)
    np.array(rows, dtype=np.float64).tofile(os.path.join(folder, "notches.f64"))


def main():
    os.makedirs(OUT, exist_ok=True)
    x = signal()
    x.tofile(os.path.join(OUT, "signal.f32"))
    n = len(x)

    keep("mel_slaney", {"kind": "log-mel"},
         torch.log(mel(x, 80, 20.0, 7600.0, "slaney", "slaney").clamp(min=1e-10)), n)
    keep("mel_htk", {"kind": "log-mel", "n_mels": 40, "mel_scale": "htk", "norm": None, "f_min": 0, "f_max": 8000,
                     "power": 1, "window": "hamming", "win_length": 512, "hop_length": 128, "log_floor": 1e-6,
                     "log_floor_mode": "add"},
         torch.log(mel(x, 40, 0.0, 8000.0, "htk", None, win=512, hop=128, power=1.0, window=torch.hamming_window)
                   + 1e-6), n)
    keep("mel_htk_area_10", {"kind": "log-mel", "n_mels": 23, "mel_scale": "htk", "f_max": 7000, "log": "log10",
                             "log_floor": 1e-8},
         torch.log10(mel(x, 23, 20.0, 7000.0, "htk", "slaney").clamp(min=1e-8)), n)
    keep("mel_inside", {"kind": "log-mel", "n_mels": 64, "norm": None, "n_fft": 1024, "win_length": 800,
                        "hop_length": 320, "center": False},
         torch.log(mel(x, 64, 20.0, 7600.0, "slaney", None, 1024, 800, 320, center=False).clamp(min=1e-10)), n)

    deltas = torch.log(mel(x, 20, 20.0, 7600.0, "slaney", "slaney").clamp(min=1e-10)).T
    first = torchaudio.functional.compute_deltas(deltas, win_length=5)
    keep("mel_deltas", {"kind": "log-mel", "n_mels": 20, "deltas": 2, "delta_span": 2},
         torch.cat([deltas, first, torchaudio.functional.compute_deltas(first, win_length=5)]).T, n)

    emphasised = np.append(x[:1], x[1:] - np.float32(0.97) * x[:-1])
    full = torch.log(mel(emphasised, 30, 20.0, 7600.0, "slaney", "slaney").clamp(min=1e-10)).double()
    normal = (full - full.mean(0)) / torch.sqrt(full.var(0, unbiased=False) + 1e-5)
    keep("mel_emphasis_normal_stack", {"kind": "log-mel", "n_mels": 30, "preemphasis": 0.97, "normalise": "mean-var",
                                       "stack": 3},
         normal[:len(normal) // 3 * 3].reshape(-1, 90), n)

    short = np.pad(x[:100], 256, mode="reflect")
    keep("mel_shorter_than_window", {"kind": "log-mel"},
         torch.log(mel(short, 80, 20.0, 7600.0, "slaney", "slaney", center=False).clamp(min=1e-10)), 100)

    spectrogram = torchaudio.transforms.Spectrogram(n_fft=320, hop_length=160, power=2.0)(torch.from_numpy(x)).T
    keep("linear", {"kind": "linear-spectrogram", "n_fft": 320, "win_length": 320},
         torch.log(spectrogram.clamp(min=1e-10)), n)
    keep("linear_part", {"kind": "linear-spectrogram", "n_fft": 320, "win_length": 320, "f_min": 1000, "f_max": 4020},
         torch.log(spectrogram.clamp(min=1e-10))[:, 20:81], n)

    lfcc = torchaudio.transforms.LFCC(
        RATE, n_filter=30, n_lfcc=20, log_lf=True,
        speckwargs=dict(n_fft=512, win_length=320, hop_length=160, window_fn=torch.hamming_window))
    keep("lfcc_torchaudio", {"kind": "lfcc", "n_filter": 30, "preemphasis": 0, "periodic": True, "center": True,
                             "log": "ln", "log_floor": 1e-6, "deltas": 0},
         lfcc(torch.from_numpy(x)).T, n)
    keep("lfcc_asvspoof2019", {"kind": "lfcc"}, asvspoof_lfcc(x, 320, 160, 512, 20, 20, 8000, 0.97, False), n)
    keep("lfcc_asvspoof2021", {"kind": "lfcc", "n_fft": 1024, "win_length": 480, "hop_length": 240, "preemphasis": 0,
                               "n_filter": 70, "n_lfcc": 19, "f_max": 4000, "delta_norm": True},
         asvspoof_lfcc(x, 480, 240, 1024, 70, 19, 4000, 0, True), n)

    notches()
    with open(os.path.join(OUT, "cases.json"), "w") as f:
        json.dump(cases, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    sys.exit(main())
