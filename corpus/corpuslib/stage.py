"""The last stage, the same for every class: mono, 16 kHz, one bandwidth, trimming by one rule, a crop of one length, one level, one floor
of noise, 16 bits. Nothing in it knows what it works on; chance is drawn from names."""
import hashlib

import numpy as np
import soundfile

RATE = 16000
LENGTH = 3 * RATE
PLAIN = 64600                 # samples of a clip without the last stage, at most: a window of the field's models
LOW, HIGH = 60.0, 7000.0      # Hz
LEVEL = -26.0                 # dB below full scale, of the whole clip
FLOOR = -75.0                 # dB below full scale, of white noise; it takes the place of dither
SILENCE = 35.0                # dB below the loud parts (the 95th percentile of frames of 10 ms)
PAD = RATE // 20              # kept before and after
VERSION = 1
MOST_SECONDS = 300
MOST_CHANNELS = 8


class TooShort(Exception):
    pass


def drawn(name):
    """A generator of random numbers that depends on a name alone."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def lowpass(cutoff, half):
    """Taps of a windowed sinc; cutoff in cycles a sample."""
    n = np.arange(-half, half + 1)
    return 2 * cutoff * np.sinc(2 * cutoff * n) * np.kaiser(2 * half + 1, 9.0)


def convolved(x, taps):
    """x filtered by symmetric taps, of the same length, without delay."""
    half, size = len(taps) // 2, 1
    while size < len(x) + len(taps):
        size *= 2
    y = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(taps, size), size)
    return y[half:half + len(x)]


def resampled(x, rate):
    if rate == RATE:
        return x
    common = np.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    widest = max(up, down)
    half = 24 * widest
    taps = lowpass(0.5 * 0.95 / widest, half) * up
    out = -(-len(x) * up // down)
    reach = half // up + 1
    padded = np.concatenate([np.zeros(reach), x, np.zeros(reach + 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    y = np.empty(out)
    for phase in range(min(up, out)): # the outputs that use the same taps
        at = np.arange(phase, out, up) * down
        centre, rest = at // up, int(at[0] % up)
        index = half + rest + (np.arange(2 * reach + 1) - reach) * -up
        used = (index >= 0) & (index < len(taps))
        y[phase::up] = (windows[centre][:, used] * taps[index[used]]).sum(axis=1)
    return y


def band(x, low, high):
    edge = lowpass(high / RATE, 256)
    taps = edge.copy()
    if low:
        wide = lowpass(low / RATE, 1024)
        taps = np.pad(edge, 1024 - 256) - np.convolve(edge, wide)[256:-256]
    return convolved(x, taps)


def frames(x):
    """Energies of frames of 10 ms."""
    size = RATE // 100
    n = len(x) // size
    return (x[:n * size].reshape(n, size) ** 2).mean(axis=1)


def trimmed(x):
    """x without what is before the first and after the last frame that is not silent."""
    energy = frames(x)
    if len(energy) == 0:
        return x
    loud = np.percentile(energy, 95)
    heard = np.flatnonzero(energy > loud * 10 ** (-SILENCE / 10))
    if loud <= 0 or len(heard) == 0:
        return x[:0]
    size = RATE // 100
    return x[max(0, heard[0] * size - PAD):(heard[-1] + 1) * size + PAD]


def read(path):
    """(samples, rate): mono, finite."""
    with soundfile.SoundFile(path) as f:
        if not 4000 <= f.samplerate <= 192000 or f.frames > MOST_SECONDS * f.samplerate or f.channels > MOST_CHANNELS:
            raise ValueError(f"a rate of {f.samplerate} Hz, a length of {f.frames} samples or {f.channels} channels are out of range")
        x = f.read(dtype="float64", always_2d=True).mean(axis=1)
        rate = f.samplerate
    if not np.isfinite(x).all():
        raise ValueError("samples that are no numbers")
    return x, rate


def staged(x, rate, crop, name):
    """16-bit samples of one clip; crop and name are what chance depends on: where it is cut, and its noise. Raises TooShort."""
    x = trimmed(band(resampled(x, rate), LOW, HIGH))
    if len(x) < LENGTH:
        raise TooShort(f"{len(x) / RATE:.2f} s after trimming")
    start = int(drawn("crop " + crop).random() * (len(x) - LENGTH + 1))
    x = x[start:start + LENGTH]
    x = x * 10 ** (LEVEL / 20) / max(np.sqrt((x ** 2).mean()), 1e-9)
    peak = np.abs(x).max()
    if peak > 0.98:
        x *= 0.98 / peak
    x = x + drawn("noise " + name).normal(0, 10 ** (FLOOR / 20), LENGTH)
    return np.clip(np.rint(x * 32768), -32768, 32767).astype(np.int16)


def plain(x, rate):
    """16-bit samples of a clip as its generator left it: 16 kHz, without silence at its ends, its begin, -3 dB at the peak."""
    x = trimmed(resampled(x, rate))[:PLAIN]
    return np.rint(x * (32767 * 10 ** (-3 / 20) / max(np.abs(x).max(), 1e-9))).astype(np.int16)


def finish(source, target, crop, name, beside=None):
    """Reads a clip as a generator left it and writes it as a clip of the corpus, and without the last stage to `beside`. Returns the rate
    it had."""
    x, rate = read(source)
    soundfile.write(target, staged(x, rate, crop, name), RATE, subtype="PCM_16", format="FLAC")
    if beside:
        soundfile.write(beside, plain(x, rate), RATE, subtype="PCM_16", format="FLAC")
    return rate
