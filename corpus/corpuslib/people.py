"""Clips of human speech: found in the unpacked packages, decoded, joined where they are short, and cut to what generators are given."""
import glob
import gzip
import hashlib
import os
import re
import subprocess

import numpy as np
import soundfile

from . import stage

LONGEST = 4.5                 # seconds that generators are given
SHORTEST = 3.2
GAP = 0.1                     # between joined files
CLEAN = 25.0                  # dB between loud and quiet frames; music and noises have less


def texts(human, root):
    """{stem: words} of a [[human]] entry; a stem is the name of a file without ending below its folder."""
    kind, found = human.get("texts"), {}
    if kind == "asterisk":
        language = human["language"]
        with gzip.open(os.path.join(root, f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"), "rt",
                       encoding="utf-8-sig") as f:
            for line in f:
                stem, colon, words = line.partition(":")
                if colon and not line.startswith(";"):
                    found[stem.strip()] = words.strip()
    elif kind == "festvox":
        with open(os.path.join(root, os.path.dirname(human["files"][0]), "../etc/txt.done.data"), encoding="utf-8") as f:
            for name, words in re.findall(r'^\( (\S+) "(.*)" \)', f.read(), re.M):
                found[name] = words.replace("+", "")
    elif kind == "tuxpaint":
        for path in glob.glob(os.path.join(root, "usr/share/tuxpaint/stamps/**/*.txt"), recursive=True):
            with open(path, encoding="utf-8", errors="replace") as f:
                words = re.search(rf"^{human['language']}\.utf8=(.+)$", f.read(), re.M)
            if words:
                stem = os.path.relpath(path, os.path.join(root, "usr/share/tuxpaint/stamps"))
                found[stem.removesuffix(".txt") + "_desc_" + human["language"]] = words[1].strip()
    return found


def decoded(path):
    """(samples at 16 kHz, trimmed; the rate of the file)."""
    if not path.endswith((".gsm", ".g722")): # these have no header
        x, rate = stage.read(path)
        return stage.trimmed(stage.resampled(x, rate)), rate
    out = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", path, "-bitexact", "-ac", "1", "-ar", "16000",
                          "-f", "s16le", "-"], capture_output=True, timeout=60, check=True).stdout
    return stage.trimmed(np.frombuffer(out[:len(out) // 2 * 2], "<i2") / 32768.0), 8000 if path.endswith(".gsm") else 16000


def is_clean(x):
    energy = stage.frames(x)
    return len(energy) > 50 and np.percentile(energy, 95) > 1e-5 and \
        np.percentile(energy, 95) > np.percentile(energy, 8) * 10 ** (CLEAN / 10)


def listed(human, root):
    """[(stem, path)] in an order drawn from the name."""
    found = []
    for pattern in human["files"]:
        base = os.path.join(root, pattern.split("*")[0])
        for path in glob.glob(os.path.join(root, pattern), recursive=True):
            found.append((os.path.splitext(os.path.relpath(path, base))[0], path))
    found.sort()
    order = stage.drawn("files " + human["name"]).permutation(len(found))
    return [found[i] for i in order]


def candidates(human, root):
    """Yields (stems, samples, rate of the file), of one file or of several joined."""
    stems, parts = [], []
    for stem, path in listed(human, root):
        try:
            x, rate = decoded(path)
        except (subprocess.SubprocessError, OSError, ValueError, soundfile.LibsndfileError):
            continue
        if not human.get("join"):
            yield [stem], x, rate
            continue
        if len(x) < 0.6 * stage.RATE:
            continue
        stems.append(stem)
        parts += [x / max(np.sqrt((x ** 2).mean()), 1e-4) * 0.05, np.zeros(int(GAP * stage.RATE))]
        if sum(map(len, parts)) > LONGEST * stage.RATE:
            yield stems, np.concatenate(parts[:-1]), rate
            stems, parts = [], []


def clips(human, root, most, folder):
    """Writes up to `most` clips to folder. Returns [{id, in, speaker, language, split, text, words, page, rate}]."""
    words, out = texts(human, root), []
    for stems, x, rate in candidates(human, root) if most else []:
        if len(x) < SHORTEST * stage.RATE or not is_clean(x):
            continue
        key = hashlib.sha256(f"{human['name']}/{'+'.join(stems)}".encode()).hexdigest()[:14]
        size = min(len(x), int(LONGEST * stage.RATE))
        start = int(stage.drawn("window " + key).random() * (len(x) - size + 1))
        path = os.path.join(folder, key + ".wav")
        soundfile.write(path, np.rint(np.clip(x[start:start + size], -1, 1 - 2 ** -15) * 32768).astype(np.int16), stage.RATE)
        spoken = [words[stem] for stem in stems if words.get(stem)]
        out.append({"id": key, "in": path, "speaker": human["speaker"], "language": human["language"], "split": human["split"],
                    "text": f"{human['language']}/{'+'.join(stems)}", "page": human["name"], "rate": rate,
                    "words": " ".join(spoken) if len(spoken) == len(stems) else ""})
        if len(out) == most:
            break
    return out
