"""What a build leaves beside the clips: protocol.csv, sources.csv, SHA256SUMS, packages.txt."""
import contextlib
import csv
import hashlib
import os
import platform
import subprocess

import soundfile

from . import manifest

COLUMNS = ("path", "split", "label", "source", "family", "vocoder", "vq", "aux", "dec", "page", "setting", "language", "speaker", "text",
           "source_rate", "seconds", "track")
SYSTEM = ("ffmpeg", "libavcodec59", "libopus0", "libspeex1", "libmp3lame0", "libvorbisenc2", "libgsm1", "sox", "libsox3",
          "libopencore-amrnb0", "nodejs", "python3-numpy", "python3-soundfile", "libsndfile1", "libflac12")


def written(path, columns, rows):
    with open(path + ".new", "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, columns, lineterminator="\n", extrasaction="ignore")
        out.writeheader()
        out.writerows(rows)
    os.replace(path + ".new", path)


def order(row):
    return row["track"] != "V" and row["track"] != "VR", row["track"], row["source"], row["path"]


def plain_path(path):
    """Where a clip lies without the last stage."""
    return os.path.join("plain", os.path.relpath(path, "audio"))


FILES = (("protocol.csv", "plain.csv"), ("spare.csv", "plain-spare.csv"))


def write_protocol(folder, rows, plain):
    """protocol.csv and spare.csv, the same for plain clips where they are asked for; those of an earlier build are removed: its clips may be
    others by now."""
    spare = [dict(row, split="train", setting="same") for row in rows if row["split"] == manifest.SPARE]
    for (name, beside), part in zip(FILES, ([row for row in rows if row["split"] != manifest.SPARE], spare)):
        part.sort(key=order)
        written(os.path.join(folder, name), COLUMNS, part)
        if not plain:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, beside))
        else:
            paths = [plain_path(row["path"]) for row in part]
            lengths = [soundfile.info(os.path.join(folder, path)).duration for path in paths]
            written(os.path.join(folder, beside), COLUMNS,
                    [dict(row, path=path, seconds=f"{length:.3f}") for row, path, length in zip(part, paths, lengths)])


def write_sources(folder, states):
    """states: [{source, family, ..., state, why}]. A source that could not be made is in the list as absent."""
    columns = ("source", "family", "architecture", "vocoder", "licence", "packages", "heldout", "tracks", "train", "dev", "test", "spare", "short",
               "failed", "state", "why")
    written(os.path.join(folder, "sources.csv"), columns, states)


def versions(packages):
    lines = [f"{p['kind']}\t{p['name']}\t{p['version']}\t{p['sha256']}" for p in packages]
    try:
        found = subprocess.run(["dpkg-query", "-W", "-f", "system\t${Package}\t${Version}\n", *SYSTEM], capture_output=True, text=True,
                               check=False).stdout
        lines += sorted(set(found.splitlines()))
    except OSError:
        pass
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return "\n".join(lines + [f"processor\t{model}"]) + "\n"


def write_sums(folder, rows, packages, plain):
    with open(os.path.join(folder, "packages.txt"), "w", encoding="utf-8") as f:
        f.write(versions(packages))
    lines = []
    names = [name for name, _ in FILES] + ["sources.csv"] + sorted(row["path"] for row in rows)
    for name in names + ([name for _, name in FILES] + sorted(plain_path(row["path"]) for row in rows) if plain else []):
        with open(os.path.join(folder, name), "rb") as f:
            lines.append(f"{hashlib.file_digest(f, 'sha256').hexdigest()}  {name}\n")
    with open(os.path.join(folder, "SHA256SUMS.new"), "w", encoding="utf-8") as f:
        f.writelines(lines)
    os.replace(os.path.join(folder, "SHA256SUMS.new"), os.path.join(folder, "SHA256SUMS"))
