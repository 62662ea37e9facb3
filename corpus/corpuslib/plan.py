"""What is to be made: the clips of each generator, cut into jobs. The same manifest and the same human clips give the same plan."""
import hashlib
import json
import os
import re

from . import manifest as manifests
from . import stage

R_MOST = 120                  # letters of a text of track R that are spoken
R_LEAST = 20
V_CHUNK, T_CHUNK = 40, 40


def wanted(manifest, names, small, extras=False):
    """The generators to build: those named, or all but the extras; --small leaves those out that have small = 0. With extras: these too."""
    out = []
    for generator in manifest["generator"]:
        if generator.get("extra"):
            chosen = extras or generator["name"] in names
        else:
            chosen = generator["name"] in names or not (names or (small and generator.get("small") == 0))
        if chosen:
            out.append(generator)
    return out


def packages(manifest, generators, small):
    """Names of the packages that people and generators need."""
    need = set()
    for human in manifest["human"]:
        if human["small_clips" if small else "clips"]:
            need |= set(human["packages"])
    for generator in generators:
        need |= set(generator["packages"])
        if not small:
            need |= set(generator.get("more_packages", []))
    return [package for package in manifest["package"] if package["name"] in need]


def item(generator, track, key, **fields):
    name = hashlib.sha256(f"{generator['name']}|{track}|{key}|{fields['voice']}".encode()).hexdigest()[:14]
    return dict(fields, id=name, track=track)


def copies(generator, people):
    """Track V: every human clip of the splits that the generator has."""
    out = []
    for clip in people:
        if generator.get("heldout", clip["split"]) == clip["split"]:
            out.append(item(generator, "V", clip["id"], voice="", crop=clip["id"], words="", made=clip.get("made", ""), **{
                key: clip[key] for key in ("in", "speaker", "language", "split", "text", "page")}))
    return out


def spoken(generator, language, split, index, count, key, words, page, track):
    """The item of one text by the count-th of its voices."""
    available = manifests.voices(generator, language, split)
    voice, person = available[(index + count) % len(available)]
    return item(generator, track, key, voice=voice, speaker=person, language=language, split=split, text=key, words=words, page=page,
                crop=key, **{"in": None})


def spoken_languages(generator, manifest):
    """Of the sentences, those that it has a voice for."""
    return [x for x in manifest["sentences"] if x in generator.get("voices", {}) or (x == "en" and "*" in generator["voices"])]


def split_of(index):
    return ("train", "train", "train", "dev", "test")[index % 5]


def sentences(generator, manifest, small):
    """Track T: every sentence of each language that it has a voice for; of five sentences three are train, one dev, one test."""
    out, share = [], generator.get("small", 1.0) if small else 1.0
    languages = spoken_languages(generator, manifest)
    if small and "en" in languages: # the packages of other voices are left out
        languages = ["en"]
    for language in languages:
        taken = dict.fromkeys(manifests.SPLITS, 0)
        for index, words in enumerate(manifest["sentences"][language]):
            split = split_of(index)
            available = manifests.voices(generator, language, split)
            if not available:
                continue
            n = taken[split]
            taken[split] += 1
            if int((n + 1) * share) == int(n * share):
                continue
            for count in range(1 if small else min(generator.get("per_text", 1), len(available))):
                step = n * (1 if small else generator.get("per_text", 1))
                out.append(spoken(generator, language, split, step, count, f"sentences-{language}/{index}", words,
                                  f"sentences-{language}", "T"))
    return out


def spares(generator, manifest, small):
    """The training sentences by a source of track T that is held out: no part of the protocol (spare.csv), for a model that is to know as
    many sources as can be had."""
    out = []
    if small or "T" not in generator["tracks"] or "heldout" not in generator:
        return out
    for language in spoken_languages(generator, manifest):
        for index, words in enumerate(manifest["sentences"][language]):
            if split_of(index) == "train" and manifests.voices(generator, language, generator["heldout"]):
                said = spoken(generator, language, generator["heldout"], len(out), 0, f"sentences-{language}/{index}", words,
                              f"sentences-{language}", "T")
                out.append(dict(said, split=manifests.SPARE))
    return out


def readings(generator, people, small):
    """Track R: the words of human clips, in their language, by a voice of their split."""
    out = []
    if small and generator.get("more_packages"):
        return out
    for index, clip in enumerate(people):
        words = clip["words"]
        if len(words) > R_MOST:
            words = words[:R_MOST].rsplit(" ", 1)[0]
        words = re.sub(r"[^\w\s,.;:!?'-]", " ", words)
        if len(words) >= R_LEAST and clip["language"] != "en" and manifests.voices(generator, clip["language"], clip["split"]):
            out.append(spoken(generator, clip["language"], clip["split"], index, 0, clip["text"], words, clip["page"], "R"))
    return out


def version_of(generator, folder, versions):
    """What the bytes of a generator's clips depend on, beside the clips."""
    made_by = {key: generator.get(key) for key in ("command", "driver", "options", "input", "prepare")}
    digest = hashlib.sha256(json.dumps([stage.VERSION, stage.LENGTH, made_by, versions], sort_keys=True).encode())
    drivers = os.path.join(folder, "drivers")
    for name in sorted(os.listdir(drivers)):
        named = name in generator.get("command", "") + generator.get("prepare", "") or name == generator.get("driver")
        if named or (name.endswith(".js") and "driver" in generator):
            with open(os.path.join(drivers, name), "rb") as f:
                digest.update(f.read())
    return digest.hexdigest()


def chunks(items, size, offset=0):
    """[(place in the plan, items)]"""
    return [(offset + first, items[first:first + size]) for first in range(0, len(items), size)]


def jobs(generators, people, manifest, small, folder):
    """[{name, generator, items, key, seed}]: key is another where the clips may be other ones."""
    pinned = {package["name"]: package["sha256"] for package in manifest["package"]}
    out = []
    for generator in generators:
        items = []
        if "V" in generator["tracks"]:
            items += copies(generator, people)
        if "T" in generator["tracks"]:
            items += sentences(generator, manifest, small)
        if "R" in generator["tracks"]:
            items += readings(generator, people, small)
        need = generator["packages"] + ([] if small else generator.get("more_packages", []))
        version = version_of(generator, folder, [pinned[name] for name in need])
        chunk = generator.get("chunk", V_CHUNK if "V" in generator["tracks"] else T_CHUNK)
        for first, part in chunks(items, chunk) + chunks(spares(generator, manifest, small), chunk, len(items)):
            what = [[x.get(k) for k in ("id", "crop", "words", "voice", "language", "split", "made")] for x in part]
            key = hashlib.sha256((version + json.dumps(what)).encode()).hexdigest()
            number = f"{first // chunk:03d}" if part[0]["split"] != manifests.SPARE else f"spare-{(first - len(items)) // chunk:03d}"
            out.append({"name": f"{generator['name']}-{number}", "generator": generator, "items": part, "key": key,
                        "seed": int(hashlib.sha256(f"{generator['name']} {first}".encode()).hexdigest()[:4], 16)})
    return out
