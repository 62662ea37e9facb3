#!/usr/bin/python3
"""Clips made from their own mel spectrogram by the method of Griffin and Lim: griffin_lim.py JOB. 80 bands from 0 to 8 kHz,
window 1024, hop 256 at 16 kHz; magnitudes from the pseudo-inverse of the bands; phases from 32 rounds."""
import json
import sys
import zlib

import numpy as np
import soundfile

SIZE, HOP, ROUNDS = 1024, 256, 32
WINDOW = np.hanning(SIZE + 1)[:-1]


def bands(count=80, top=8000.0):
    mel = np.linspace(0.0, 2595 * np.log10(1 + top / 700), count + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    f = np.linspace(0, 8000, SIZE // 2 + 1)
    rise = (f[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - f[None]) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def spectrum(x):
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(x, SIZE)[::HOP] * WINDOW)


def samples(spec):
    frames = np.fft.irfft(spec) * WINDOW
    size = (len(frames) - 1) * HOP + SIZE
    x, weight = np.zeros(size), np.zeros(size)
    for i, frame in enumerate(frames):
        x[i * HOP:i * HOP + SIZE] += frame
        weight[i * HOP:i * HOP + SIZE] += WINDOW ** 2
    return x / np.maximum(weight, 1e-3)


with open(sys.argv[1]) as f:
    job = json.load(f)
to_mel = bands()
from_mel = np.linalg.pinv(to_mel)
for item in job["items"]:
    x, _ = soundfile.read(item["in"])
    x = np.concatenate([np.zeros(SIZE), x, np.zeros(SIZE + HOP)])
    magnitude = np.maximum(0, np.abs(spectrum(x)) @ to_mel.T @ from_mel.T)
    phase = np.random.default_rng(zlib.crc32(item["id"].encode())).uniform(-np.pi, np.pi, magnitude.shape)
    spec = magnitude * np.exp(1j * phase)
    for _ in range(ROUNDS):
        again = spectrum(samples(spec))
        spec = magnitude * again / np.maximum(np.abs(again), 1e-12)
    y = samples(spec)
    soundfile.write(item["out"], 0.5 * y / max(np.abs(y).max(), 1e-9), 16000, subtype="FLOAT", format="WAV")
