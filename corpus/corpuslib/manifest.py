"""The manifest: generators.toml and packages.toml, read and checked."""
import os
import re
import tomllib

SPLITS = ("train", "dev", "test")
SPARE = "spare"               # training sentences by sources that are held out: see plan.spares()
ROOT_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEEDED = {
    "package": {"name": str, "kind": str, "version": str, "sha256": str, "bytes": int, "unpacked": int},
    "human": {"name": str, "speaker": str, "language": str, "split": str, "licence": str, "packages": list, "files": list, "clips": int,
              "small_clips": int},
    "generator": {"name": str, "family": str, "architecture": str, "licence": str, "packages": list, "tracks": list, "seconds": (int, float)},
}
OPTIONAL = {
    "package": {"keep", "pool"},
    "human": {"texts", "join"},
    "generator": {"vocoder", "vq", "aux", "dec", "more_packages", "tools", "heldout", "command", "driver", "prepare", "options", "chunk",
                  "per_text", "small", "voices", "input", "extra"},
}


class ManifestError(Exception):
    """One sentence: what is wrong with the manifest, and where."""


def check_fields(kind, entry):
    name = entry.get("name", "?")
    for field, form in NEEDED[kind].items():
        if not isinstance(entry.get(field), form):
            raise ManifestError(f"{kind} {name}: {field} is missing or of the wrong type")
    for field in entry:
        if field not in NEEDED[kind] and field not in OPTIONAL[kind]:
            raise ManifestError(f"{kind} {name}: there is no field {field}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
        raise ManifestError(f"{kind} {name}: a name has small letters, digits, dots and hyphens")


def voice_list(entries):
    """[(voice, person or None)] of names, NAME=PERSON and ranges of numbers A-B."""
    out = []
    for entry in entries:
        numbers = re.fullmatch(r"(\d+)-(\d+)", entry)
        if numbers:
            out += [(str(i), None) for i in range(int(numbers[1]), int(numbers[2]) + 1)]
        else:
            voice, _, person = entry.partition("=")
            out.append((voice, person or None))
    return out


def voices(generator, language, split):
    """[(voice, person)] that the generator has for a language in a split; none is an empty list."""
    table = generator.get("voices", {})
    entries = table.get(language, table.get("*", {})).get(split, [])
    return [(voice, person or f"{generator['name']}/{voice}") for voice, person in voice_list(entries)]


def check_generator(generator, packages):
    name = generator["name"]
    for package in generator["packages"] + generator.get("more_packages", []):
        if package not in packages:
            raise ManifestError(f"generator {name}: package {package} is not in packages.toml")
    if ("command" in generator) == ("driver" in generator):
        raise ManifestError(f"generator {name}: needs a command or a driver, and not both")
    if not generator["tracks"] or not set(generator["tracks"]) <= {"V", "T", "R"}:
        raise ManifestError(f"generator {name}: tracks are V, T and R")
    if generator.get("heldout", "") not in ("", "dev", "test"):
        raise ManifestError(f"generator {name}: heldout is dev or test")
    if "V" not in generator["tracks"] and not generator.get("voices"):
        raise ManifestError(f"generator {name}: has no voices")
    for language, by_split in generator.get("voices", {}).items():
        if not set(by_split) <= set(SPLITS):
            raise ManifestError(f"generator {name}: voices.{language} has a split other than train, dev and test")
        if generator.get("heldout") and set(by_split) != {generator["heldout"]}:
            raise ManifestError(f"generator {name}: held out for {generator['heldout']}, and has voices of another split")


def check_persons(manifest):
    """A person is in one split, whichever system has the voice."""
    where = {}

    def put(person, split, who):
        if where.setdefault(person, (split, who))[0] != split:
            raise ManifestError(f"{who} has {person} in {split}, {where[person][1]} in {where[person][0]}: a speaker is in one split")

    for human in manifest["human"]:
        put(human["speaker"], human["split"], human["name"])
    for generator in manifest["generator"]:
        for language in generator.get("voices", {}):
            for split in SPLITS:
                for _, person in voices(generator, language, split):
                    put(person, split, generator["name"])


def check(manifest, folder):
    for kind in NEEDED:
        names = set()
        for entry in manifest[kind]:
            check_fields(kind, entry)
            if entry["name"] in names or (kind == "generator" and entry["name"] == "bonafide"):
                raise ManifestError(f"{kind} {entry['name']} is there twice")
            names.add(entry["name"])
    packages = {package["name"] for package in manifest["package"]}
    for package in manifest["package"]:
        if package["kind"] not in ("deb", "npm", "source") or not re.fullmatch(r"[0-9a-f]{64}", package["sha256"]):
            raise ManifestError(f"package {package['name']}: kind is deb, npm or source, sha256 has 64 digits")
        pool = package.get("pool", "")
        if (package["kind"] == "source") != bool(re.fullmatch(r"pool(/[A-Za-z0-9+~_-][A-Za-z0-9.+~_-]*)+", pool)):
            raise ManifestError(f"package {package['name']}: pool is the path of a source in the archive (pool/...), and of nothing else")
    for human in manifest["human"]:
        if human["split"] not in SPLITS or human.get("texts", "festvox") not in ("asterisk", "festvox", "tuxpaint"):
            raise ManifestError(f"human {human['name']}: unknown split or texts")
        for package in human["packages"]:
            if package not in packages:
                raise ManifestError(f"human {human['name']}: package {package} is not in packages.toml")
    for generator in manifest["generator"]:
        check_generator(generator, packages)
        if "driver" in generator and not os.path.exists(os.path.join(folder, "drivers", generator["driver"])):
            raise ManifestError(f"generator {generator['name']}: there is no drivers/{generator['driver']}")
    check_persons(manifest)


def load(folder=ROOT_FOLDER):
    """{package: [...], human: [...], generator: [...], sentences: {language: [...]}}, checked. Raises ManifestError."""
    manifest = {"human": [], "generator": [], "package": []}
    try:
        for name in ("generators.toml", "packages.toml"):
            with open(os.path.join(folder, name), "rb") as f:
                manifest.update(tomllib.load(f))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{folder}/{name}: {error}") from error
    check(manifest, folder)
    manifest["sentences"] = {}
    for name in sorted(os.listdir(os.path.join(folder, "sentences"))):
        with open(os.path.join(folder, "sentences", name), encoding="utf-8") as f:
            manifest["sentences"][name.removesuffix(".txt")] = [line.strip() for line in f if line.strip()]
    return manifest
