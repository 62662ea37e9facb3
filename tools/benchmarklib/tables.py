"""The tables of the benchmark, as Markdown, from the reports of `spoor eval --scores` on labelled score files."""
import csv
import hashlib
import json
import os

import results                                   # tools/results.py: figures of a report, and cells with intervals

from .scores import TRACKS, Answers, Refused
from .steps import BANDED, CONDITIONS, SYSTEMS

REPLICATES = "500"
BEGIN, END = "<!-- begin: tools/benchmark -->", "<!-- end: tools/benchmark -->"


class System:
    """A row: its title and the score files of its seeds, [{condition: path}]; conditions of the sample are "sample CONDITION"."""

    def __init__(self, title, files, cpu=None, banded=False):
        self.title, self.files, self.cpu, self.banded = title, files, cpu, banded
        self.reports = {}                        # (seed's place, condition, track): report
        self.derived, self.scored = set(), None

    def cell(self, condition, track, path):
        found = [self.reports.get((i, condition, track)) for i in range(len(self.files))]
        if None in found:
            return "-"
        return results.cell([results.figure(report, path) for report in found])


def of_folder(system, folders, cpu):
    """A system of the benchmark's own, of a folder for each seed."""
    names = {"clean": "full"}
    if system not in BANDED:
        names.update({"sample " + c: c for c in ("clean",) + CONDITIONS})
    return System(SYSTEMS[system][0], [{c: os.path.join(folder, n + ".tsv") for c, n in names.items()} for folder in folders], cpu,
                  system in BANDED)


def wanted(systems):
    """[(system, place of the seed, condition, track)]: the reports that the tables need."""
    out = []
    for system in systems:
        for i, files in enumerate(system.files):
            for condition in files:
                for track in TRACKS if condition == "clean" else ("all",):
                    out.append((system, i, condition, track))
    return out


def evaluate(steps, protocol, systems):
    """Fills the reports of all systems; what was computed for the same scores before is taken from the cache."""
    cache = os.path.join(steps.base, "reports")
    os.makedirs(cache, exist_ok=True)
    answers = {}
    for system in systems:
        for i, files in enumerate(system.files):
            for condition, path in files.items():
                got = Answers(path, protocol)
                answers[system, i, condition] = got
                system.derived |= set(got.derived)
                if condition == "clean":
                    system.scored = len(got.rows)

    def one(job):
        system, i, condition, track = job
        place = hashlib.sha256(f"{system.title} {i} {condition} {track}".encode()).hexdigest()[:16]
        scores = os.path.join(cache, place + ".tsv")
        if not answers[system, i, condition].write(scores, protocol, track):
            return job, None
        with open(scores, "rb") as f:
            name = hashlib.sha256(f.read() + REPLICATES.encode()).hexdigest()[:24]
        report = os.path.join(cache, name + ".json")
        if not os.path.exists(report):
            folder = os.path.join(cache, place)
            os.makedirs(folder, exist_ok=True)
            made = os.path.join(folder, "report.json")           # the same scores may be evaluated twice at a time
            steps.run(folder, [steps.spoor, "eval", "--scores", scores, "--json", "--by", "page", "--replicates", REPLICATES], made)
            os.replace(made, report)
        with open(report, encoding="utf-8") as f:
            return job, json.load(f)
    jobs = wanted(systems)
    print(f"evaluating {len(jobs)} sets of scores", file=steps.say, flush=True)
    for (system, i, condition, track), report in steps.parallel(one, jobs):
        system.reports[i, condition, track] = report


# ---- the tables ----

def table(systems, head, figures, mark=None):
    """figures: [(heading, condition, track, where in the report)]; a system without any of them has no row."""
    lines = [f"| {head} | " + " | ".join(f[0] for f in figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for system in systems:
        cells = [system.cell(*f[1:]) for f in figures]
        if set(cells) != {"-"}:
            lines.append(f"| {system.title}{mark(system) if mark else ''} | " + " | ".join(cells) + " |")
    return lines


def source(figure, condition="clean", track="all"):
    return condition, track, ("source", "all", figure)


def detection(kind, figure, condition="clean", track="all"):
    return condition, track, (kind, "all", figure)


def counted(protocol):
    """What is in the sets."""
    lines = ["| set | known sources: clips (sources) | unknown sources: clips (sources) | human clips | recordings and sentences | speakers |",
             "|---|---|---|---|---|---|"]
    for split in ("train", "dev", "test"):
        for track, tracks in TRACKS.items():
            rows = [r for r in protocol.rows if r["split"] == split and (not tracks or r["track"] in tracks)]
            if split != "test" and tracks or not rows:
                continue
            parts = [[r for r in rows if r["label"] == "spoof" and protocol.known(r) == k] for k in (True, False)]
            cells = [f"{len(p)} ({len({r['source'] for r in p})})" for p in parts]
            cells += [str(sum(r["label"] == "bonafide" for r in rows)), str(len({r["text"] for r in rows})), str(len({r["speaker"] for r in rows}))]
            name = split if not tracks else f"{split}, track {track}"
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def closed(systems):
    figures = [(f"{title} {t}", *source(f, track=t)) for t in ("all", "V", "T", "R")
               for title, f in (("accuracy", "accuracy"), ("macro-F1", "macro_f1"))]
    return table(systems, "known sources of test", figures)


def open_set(systems):
    figures = [(title, *detection("known", f)) for title, f in (("AUROC", "auroc"), ("FPR95", "fpr95"), ("EERc", "eerc"), ("OSCR", "oscr"))]
    figures += [(f"AUROC {t}", *detection("known", "auroc", track=t)) for t in ("V", "T")]
    return table(systems, "known against unknown sources", figures)


def bonafide(systems):
    figures = [(f"{title} {t}", *detection("bonafide", f, track=t)) for t in ("V", "R", "all") for title, f in (("EER", "eer"), ("AUROC", "auroc"))]
    return table(systems, "human against synthetic", figures)


def taxonomy(systems):
    figures = []
    for task in ("family", "vocoder"):
        for title, group in (("known", "same"), ("unseen", "unknown")):
            figures += [(f"{task} macro-F1, {title}", "clean", "all", (task, group, "macro_f1")),
                        (f"{task} accuracy, {title}", "clean", "all", (task, group, "accuracy"))]
    lines = table(systems, "attributes of sources", figures, lambda s: " *" if s.derived else "")
    return lines + (["", "* follows from the sources that are named."] if any(s.derived for s in systems) else [])


def limited(systems):
    figures = [("source accuracy V", *source("accuracy", "clean", "V")), ("source accuracy T", *source("accuracy", "clean", "T")),
               ("macro-F1 all", *source("macro_f1")), ("known AUROC", *detection("known", "auroc")), ("OSCR", *detection("known", "oscr")),
               ("bona fide AUROC V", *detection("bonafide", "auroc", "clean", "V")),
               ("bona fide AUROC R", *detection("bonafide", "auroc", "clean", "R")),
               ("family macro-F1, known", "clean", "all", ("family", "same", "macro_f1"))]
    return table(systems, "200 to 3400 Hz alone", figures)


def degraded(systems, path):
    figures = [(c, "sample " + c, "all", path) for c in ("clean",) + CONDITIONS]
    return table(systems, "on a sample of test", figures)


def shortcuts(corpus):
    """The shortcut tests that the corpus was built with; an empty list where it has none."""
    try:
        with open(os.path.join(corpus, "shortcuts.csv"), newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
    except OSError:
        return []
    lines = ["| track | question | classes | chance | hears only | balanced accuracy | after 200 to 3400 Hz |", "|---|---|---|---|---|---|---|"]
    hears = {"spectrum": "long-term spectrum", "level": "length, level, silence", "depth": "depth of bits, bandwidth"}
    for r in rows:
        cells = [r["track"], r["question"], r["classes"], r["chance"], hears.get(r["test"], r["test"]), r["accuracy"], r["limited"]]
        lines.append("| " + " | ".join(cells) + " |")
    return lines if rows else []


def budget(systems):
    lines = ["| system | seconds of training on one core | clips of test scored |", "|---|---|---|"]
    return lines + [f"| {s.title} | {'-' if s.cpu is None else f'{s.cpu:.0f}'} | {'-' if s.scored is None else s.scored} |" for s in systems]


def document(systems, protocol, corpus, seeds):
    """All tables under their headings."""
    build = f"a build of {len(protocol.rows)} clips (`protocol.csv` {protocol.hash[:12]}); " \
            f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
    banded, systems = [s for s in systems if s.banded], [s for s in systems if not s.banded]
    parts = [("What was measured", [f"On {build}.", ""] + counted(protocol)),
             ("Closed set: which known source", closed(systems)), ("Open set: a known source or not", open_set(systems)),
             ("Human or synthetic", bonafide(systems)), ("Taxonomy: how the source is built", taxonomy(systems)),
             ("After a common band limit", limited(banded)),
             ("Robustness: source accuracy", degraded(systems, ("source", "all", "accuracy"))),
             ("Robustness: known AUROC", degraded(systems, ("known", "all", "auroc"))),
             ("Robustness: bona fide AUROC", degraded(systems, ("bonafide", "all", "auroc"))),
             ("Shortcut tests of this build", shortcuts(corpus)), ("Budget", budget(systems + banded))]
    return "\n\n".join(f"### {title}\n\n" + "\n".join(lines) for title, lines in parts if len(lines) > 2) + "\n"


def put(path, text):
    """Puts the tables between the marks of a document."""
    try:
        with open(path, encoding="utf-8") as f:
            before, found, rest = f.read().partition(BEGIN)
    except OSError as e:
        raise Refused(f"{path} cannot be read ({e.strerror})") from e
    _, ends, after = rest.partition(END)
    if not found or not ends:
        raise Refused(f"{path} has no lines {BEGIN} and {END} for the tables to stand between")
    with open(path + ".part", "w", encoding="utf-8") as f:
        f.write(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    os.replace(path + ".part", path)
