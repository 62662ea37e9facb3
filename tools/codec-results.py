#!/usr/bin/python3
"""The tables of docs/results.md on neural codecs and on re-synthesis, as Markdown, from finished trainings.

    tools/codec-results.py SPOOR CORPUS RUNS [TABLE ...]

CORPUS has pages.csv and resynth.csv; RUNS what docs/results.md says how to train:
  RUNS/BY-SEED/STAGE                   the models of recipes/codec/models.yaml, drawn by BY: vq, aux, dec
  RUNS/joint-SEED, RUNS/separate-SEED  recipes/codec/joint.yaml --set unseen.folds=0; lm-joint, lm-separate, lm-vq: with codec language models in
                                       training; lm-joint-unseen: with what the recipe has for unseen.folds
  RUNS/resynth-SEED/STAGE              recipes/codec/resynth.yaml
TABLE: counts, models, attributes, joint, open, resynth (default: all), or one of the last five with -silence, where leading, trailing and long inner
silences are taken out of the test recordings first. A cell is the mean over the seeds that are there (lowest-highest) [95 % interval of the first]; n
says of how many seeds where it is not three. Lists of the three test sets are written to RUNS/lists, answers of spoor are kept in RUNS/results."""
import csv
import json
import math
import os
import random
import subprocess
import sys

SETS = [("a", "resynth", "neural-codec", "(a) re-synthesis"), ("b", "pages", "neural-codec", "(b) codec pages"),
        ("c", "pages", "codec-lm", "(c) codec language models")]
NAMES = [s[3] for s in SETS]
TASKS = ("vq", "aux", "dec")
SEEDS = (1, 2, 3)
FEW = 20  # a class with fewer recordings is marked
DEGRADED = "clean,mp3-64,opus-16,telephone,noise-20"
SILENCE = ["--silence", "remove"]
FOLDS = "5"  # as a training calibrates the answers of its own report


class Runs:
    def __init__(self, spoor, corpus, folder):
        self.spoor, self.corpus, self.folder = spoor, corpus, folder
        self.lists = []
        os.makedirs(os.path.join(folder, "lists"), exist_ok=True)
        os.makedirs(os.path.join(folder, "results"), exist_ok=True)
        for letter, manifest, family, name in SETS:
            path = os.path.join(folder, "lists", letter + ".csv")
            with open(os.path.join(corpus, manifest + ".csv"), newline="") as f, open(path, "w", newline="") as out:
                rows = csv.DictReader(f)
                to = csv.DictWriter(out, rows.fieldnames, lineterminator="\n")
                to.writeheader()
                to.writerows(r for r in rows if r["split"] == "dev" and r["family"] in ("human", family))
            self.lists += ["--set", f"{name}={path}"]

    def ask(self, name, *command):
        """What spoor prints as JSON; kept until a model of the command is newer."""
        kept = os.path.join(self.folder, "results", name.replace("/", "-") + ".json")
        newest = max([os.path.getmtime(c) for c in command if c.endswith(".safetensors")], default=0)
        if not os.path.exists(kept) or os.path.getmtime(kept) < newest:
            with open(kept + ".part", "w") as out:
                subprocess.run([self.spoor, *command, "--json"], check=True, stdout=out)
            os.replace(kept + ".part", kept)
        with open(kept) as f:
            return json.load(f)

    def model(self, run):
        path = os.path.join(self.folder, run, "model.safetensors")
        return path if os.path.exists(path) else None

    def table(self, run, silence=False, bonafide=None):
        """`spoor table` of a model on the three sets; None: it was not trained."""
        model = self.model(run)
        more = (SILENCE if silence else []) + (["--bonafide-score", bonafide] if bonafide else [])
        return model and self.ask("table-" + run + "".join("-" + m.strip("-") for m in more), "table", model, *self.lists, "--root",
                                  self.corpus, *more)

    def guesses(self):
        return self.ask("guesses", "table", "--random", "uniform", *self.lists, "--root", self.corpus, "--repetitions", "1000")


def print_table(head, rows):
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for r in rows:
        print("| " + " | ".join(r) + " |")
    print()


def cell(figures, scale=100, digits=1):
    """figures: {"value", "low", "high"} of each seed, None where it was not trained."""
    have = [f for f in figures if f is not None and f.get("value") is not None]
    if not have:
        return "-"
    v = [scale * f["value"] for f in have]
    text = f"{sum(v) / len(v):.{digits}f}"
    text += f" ({min(v):.{digits}f}-{max(v):.{digits}f})" if len(v) > 1 else ""
    if "low" in have[0]:
        text += f" [{scale * have[0]['low']:.{max(digits - 1, 0)}f}, {scale * have[0]['high']:.{max(digits - 1, 0)}f}]"
    return text + (f" n={len(v)}" if len(v) not in (1, len(SEEDS)) else "")


def named(tasks, name):
    return next((t for t in tasks if t["task"] == name), None)


def in_set(table, i, task, figure):
    """A figure of a set of `spoor table`, of a model or of guesses; task None: EER."""
    if table is None:
        return None
    s = table["sets"][i]
    if "report" in s:
        part = s["report"]["bonafide"] if task is None else named(s["report"]["tasks"], task)
        return part and part["groups"][0][figure]
    return s[figure] if task is None else named(s["tasks"], task)[figure]


def guess(figure):
    return f"{100 * figure['mean']:.1f} ± {100 * figure['sd']:.1f}"


# ---- how many there are ----

def counts(runs):
    drawn = runs.guesses()
    rows = []
    for task in TASKS:
        for k, name in enumerate(named(drawn["sets"][0]["tasks"], task)["classes"]):
            n = [str(named(s["tasks"], task)["counts"][k]) for s in drawn["sets"]]
            rows.append([f"{task}: {'bona fide' if name == 'real' else name}"] + n)
    rows.insert(0, ["recordings"] + [str(s["rows"]) for s in drawn["sets"]])
    print_table(["n"] + NAMES, rows)


# ---- the nine models in the paper's form ----

def paper_rows(task):
    """Row name, run of the EER, way to make the bona fide score, run of the F1."""
    up = task.upper()
    return [(f"S_BIN, S_{up}", "S_BIN", None, "S_" + up), (f"D_{up}", "D_" + up, None, "D_" + up), ("M1", "M1", None, "M1"),
            ("M2, product", "M2", None, "M2"), ("M2, spoof-product", "M2", "spoof-product", None)]


def with_counts(drawn, i, task):
    """A set's name with how many recordings of each class it has."""
    t = named(drawn["sets"][i]["tasks"], task)
    n = [(("bona fide" if c == "real" else c), k) for c, k in zip(t["classes"], t["counts"]) if k > 0]
    return NAMES[i] + ", n: " + ", ".join(f"{c} {k}" + (" (few)" if k < FEW else "") for c, k in n)


def models(runs, silence=False):
    drawn = runs.guesses()
    for task in TASKS:
        print(f"**{task.upper()}, drawn by {task}**" + (", without silences" if silence else "") + "\n")
        rows = []
        for i in range(len(SETS)):
            rows.append([with_counts(drawn, i, task), "random"] + [guess(in_set(drawn, i, *f)) for f in
                                            ((None, "eer"), (task, "weighted_f1"), (task, "macro_f1"))])
            for title, bin_run, way, f1_run in paper_rows(task)[:4 if silence else None]:
                eer = [in_set(runs.table(f"{task}-{s}/{bin_run}", silence, way), i, None, "eer") for s in SEEDS]
                f1 = [[in_set(runs.table(f"{task}-{s}/{f1_run}", silence), i, task, figure) for s in SEEDS] if f1_run else []
                      for figure in ("weighted_f1", "macro_f1")]
                rows.append(["", title, cell(eer)] + [cell(f) for f in f1])
        print_table(["", "", "EER %", "weighted F1 %", "macro F1 %"], rows)


def attributes(runs, silence=False):
    """Table 4 of the paper: M1 and M2 answer all three questions however their clips were drawn."""
    rows = [["random", ""] + [guess(in_set(runs.guesses(), i, t, "macro_f1")) for i in range(3) for t in TASKS]]
    for model in ("M1", "M2"):
        for by in TASKS:
            rows.append([model, by] + [cell_short([in_set(runs.table(f"{by}-{s}/{model}", silence), i, t, "macro_f1") for s in SEEDS])
                                       for i in range(3) for t in TASKS])
    print_table(["macro F1 %", "drawn by"] + [f"({s[0]}) {t}" for s in SETS for t in TASKS], rows)


def cell_short(figures):
    return cell([f and {"value": f["value"]} for f in figures])


# ---- what a training says of dev, crosswise calibrated ----

def dev_scores(runs, run, silence):
    parts = ("results", "dev-" + run.replace("/", "-") + ".tsv") if silence else (run, "dev-scores.tsv")
    return os.path.join(runs.folder, *parts)


def report(runs, run, silence=False):
    """What the training wrote, or the same on recordings without silences; None: it had no dev clips, or is not there."""
    model, written = runs.model(run), os.path.join(runs.folder, run, "dev-report.json")
    if model is None or not os.path.exists(written):
        return None
    if silence:
        lists = [x for m in ("resynth", "pages") for x in ("--manifest", os.path.join(runs.corpus, m + ".csv"))]
        families = [x for f in ("human", "neural-codec", "codec-lm") for x in ("--where", "family=" + f)]
        return runs.ask("dev-" + run, "eval", model, *lists, *families, "--split", "dev", *SILENCE, "--folds", FOLDS, "--out",
                        dev_scores(runs, run, True))
    with open(written) as f:
        return json.load(f)


def of_setting(rep, task, setting, figure):
    t = rep and named(rep["tasks"], task)
    g = t and next((g for g in t["groups"] if (g["group"] == "setting" and g["name"] == setting) or g["group"] == setting == "all"), None)
    return g and g[figure]


def read_scores(path):
    with open(path, newline="") as f:
        return list(csv.DictReader((x for x in f if not x.startswith("#")), delimiter="\t"))


def probabilities(row, task):
    return {c.split("/", 2)[2]: float(v) for c, v in row.items() if c.startswith(f"score/{task}/") and v}


def contradictions(runs, run, silence):
    """Of synthetic dev clips: share whose best codec has another value than is answered in some attribute, and share of answers that no
    codec of the model has together. None without a head for codecs."""
    path = dev_scores(runs, run, silence)
    if report(runs, run, silence) is None:
        return None, None
    values = {}
    for manifest in ("pages", "resynth"):
        with open(os.path.join(runs.corpus, manifest + ".csv"), newline="") as f:
            for r in csv.DictReader(f):
                values.setdefault(r["source"], [r[t] for t in TASKS])
    n = differ = nobody = 0
    for r in read_scores(path):
        best, built = [], []
        for t in ("source",) + TASKS:
            of = probabilities(r, t)
            best.append(max(of, key=of.get) if of else None)
            built = [values[c] for c in of if c in values and all(values[c])] if t == "source" else built
        if r["is_bonafide"] == "0" and best[0]:
            n += 1
            differ += any(v and v != b for v, b in zip(values[best[0]], best[1:]))
            nobody += best[1:] not in built
    return ({"value": differ / n}, {"value": nobody / n}) if n else (None, None)


def trained(runs, systems):
    """Those of which there is a model: a list of (title, run with {} for the seed)."""
    return [s for s in systems if any(runs.model(s[1].format(seed)) for seed in SEEDS)]


def joint(runs, silence=False):
    for title, prefix, one in (("Codecs alone in training", "", "vq"), ("Codec language models too", "lm-", "lm-vq")):
        systems = trained(runs, [("joint head", prefix + "joint-{}"), ("separate heads", prefix + "separate-{}"),
                                 ("M1", one + "-{}/M1"), ("M2", one + "-{}/M2")])
        rows = []

        def row(name, label, of):
            rows.append([name, label] + [cell([of(run.format(s)) for s in SEEDS]) for _, run in systems])

        for i, name in enumerate(NAMES):
            for label, task, figure in [("EER %", None, "eer")] + [(f"{t} macro F1 %", t, "macro_f1") for t in TASKS]:
                row(name, label, lambda run: in_set(runs.table(run, silence), i, task, figure))
        for setting in ("same", "cross"):
            row("dev", f"codec named, `{setting}` %", lambda run: of_setting(report(runs, run, silence), "source", setting, "accuracy"))
        row("dev", "codec and attributes differ %", lambda run: contradictions(runs, run, silence)[0])
        row("dev", "attributes that no codec has %", lambda run: contradictions(runs, run, silence)[1])
        print(f"**{title}**\n")
        print_table(["", ""] + [s[0] for s in systems], rows)


def ece(answers, bins=15):
    """Expected calibration error of [(confidence, right, weight)], in bins of equal width."""
    gap = [0.0] * bins
    for confidence, right, weight in answers:
        gap[min(int(confidence * bins), bins - 1)] += weight * (confidence - right)
    return sum(map(abs, gap)) / sum(weight for _, _, weight in answers)


def doubt(runs, run, task, setting, silence):
    """Of the answers of a task: share that is right, mean confidence, expected calibration error, and what that error would be on average if every
    one of these answers were right as often as it says: few answers never have 0; by source: if those of an unknown source are right or wrong
    together, as they mostly are, with what 19 of 20 such draws stay below. Setting even: known and unknown sources count half each."""
    if report(runs, run, silence) is None:
        return {}
    answers = []
    for r in read_scores(dev_scores(runs, run, silence)):
        of = probabilities(r, task)
        if of and r["is_bonafide"] == "0" and r["true/" + task] and setting in ("all", "even", r["setting"]):
            best = max(of, key=of.get)
            answers.append((of[best], best == r["true/" + task], r["source"] if r["setting"] == "unknown" else None))
    unknown = sum(s is not None for _, _, s in answers)
    weights = [0.5 / (unknown if s else len(answers) - unknown) if setting == "even" else 1 / len(answers) for _, _, s in answers]
    sources = [s for _, _, s in answers]
    answers = [(p, right, w) for (p, right, _), w in zip(answers, weights)]
    draw = random.Random(1)
    drawn = [ece([(p, draw.random() < p, w) for p, _, w in answers]) for _ in range(1000)]
    whole = []
    for _ in range(1000 if unknown else 0):
        of_source = {s: draw.random() for s in sorted({s for s in sources if s})}
        whole.append(ece([(p, (of_source[s] if s else draw.random()) < p, w) for (p, _, w), s in zip(answers, sources)]))
    figures = {"accuracy": sum(w for _, right, w in answers if right), "confidence": sum(w * p for p, _, w in answers),
               "ece": ece(answers), "ece if calibrated": sum(drawn) / len(drawn)}
    if whole:
        figures["by source"] = sum(whole) / len(whole)
        figures["19 of 20 below"] = sorted(whole)[len(whole) * 19 // 20]
    return {name: {"value": value} for name, value in figures.items()}


def open_set(runs, silence=False):
    systems = trained(runs, [("joint head, sources left out", "lm-joint-unseen-{}"), ("joint head, fitted on dev", "lm-joint-{}"),
                             ("separate heads", "lm-separate-{}"), ("M1", "lm-vq-{}/M1"), ("M2", "lm-vq-{}/M2")])

    def figures(run, task, setting):
        """Those of the report, with their intervals, before those that are only counted here."""
        rep = report(runs, run, silence)
        reported = {f: of_setting(rep, task, setting, f) for f in ("accuracy", "ece")}
        return {**doubt(runs, run, task, setting, silence), **{f: x for f, x in reported.items() if x}}

    rows = []
    for task in TASKS:
        for setting in ("same", "cross", "unknown", "all", "even"):
            n = next(str(of_setting(report(runs, r.format(s), silence), task, setting.replace("even", "all"), "n")) for _, r in systems
                     for s in SEEDS if runs.model(r.format(s)))
            of = [[figures(r.format(s), task, setting) for s in SEEDS] for _, r in systems]
            for f in ("accuracy", "confidence", "ece", "ece if calibrated") + (("by source", "19 of 20 below") if setting in ("unknown", "even") else ()):
                first = f == "accuracy"
                rows.append([f"{task}, `{setting}`" if first else "", n if first else "", f] +
                            [cell([one.get(f) for one in seeds]) for seeds in of])
    print_table(["", "n", "%"] + [s[0] for s in systems], rows)
    if not silence:
        left_out(runs)


def metadata(path):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        return json.loads(json.loads(f.read(size))["__metadata__"]["spoor"])


def left_out(runs):
    """What the trainings say themselves of sources that were left out of one of them, and then of the fit; and P(known) on dev."""
    fits, w = {t: [] for t in TASKS}, {"0": [], "1": []}
    for run in (f"lm-joint-unseen-{s}" for s in SEEDS if runs.model(f"lm-joint-unseen-{s}")):
        about = metadata(runs.model(run))
        odds = about["known"]["odds"]
        for known, means in w.items():
            of = [float(r["known"]) for r in read_scores(dev_scores(runs, run, False)) if r["is_known"] == known]
            means.append({"value": sum(1 / (1 + math.exp(-(odds["scale"] * k + odds["offset"]))) for k in of) / len(of)})
        for task in about["tasks"]:
            if task["name"] in TASKS:
                fits[task["name"]].append(task["calibration_unseen"])
    rows = []
    for task, of in fits.items():
        if of:
            rows.append([task, str(of[0]["sources"]), str(of[0]["n"])] +
                        [cell([{"value": f["left_out"][k]} for f in of]) for k in ("accuracy", "confidence")] +
                        [cell([{"value": f["left_out"]["nll"]} for f in of], 1, 2), cell([{"value": 1 / f["scale"]} for f in of], 1, 2),
                         cell([{"value": f["weight"]} for f in of], 1, 2)])
    if rows:
        print_table(["sources left out", "sources", "clips", "right %", "sure %", "nll", "T", "λ"], rows)
        print(f"P(known), mean over dev's clips: of known sources {cell(w['1'], 1, 2)}, of unknown ones {cell(w['0'], 1, 2)}\n")


# ---- re-synthesis ----

def resynth(runs, silence=False):
    def degraded(run):
        model = runs.model(run)
        name = "degrade-" + run + ("-silence" if silence else "")
        return model and runs.ask(name, "eval", model, "--manifest", os.path.join(runs.corpus, "resynth.csv"), "--split", "dev",
                                  "--degrade", DEGRADED, *(SILENCE if silence else []))

    def figure(d, k, what):
        if d is None:
            return None
        r = d["conditions"][k]["report"]
        return r["bonafide"]["groups"][0]["auroc"] if what == "auroc" else named(r["tasks"], "source")["groups"][0][what]

    stages = ("none", "spectral", "strong")
    rows = []
    for k, condition in enumerate(DEGRADED.split(",")):
        for what, title in (("accuracy", "source"), ("macro_f1", "macro-F1"), ("auroc", "bona fide AUROC")):
            rows.append([condition if what == "accuracy" else "", title] +
                        [cell([figure(degraded(f"resynth-{s}/{stage}"), k, what) for s in SEEDS], 1, 3) for stage in stages])
    print_table(["", ""] + [f"augmentation: {s}" for s in stages], rows)
    if silence:
        return
    for k, condition in ((0, "clean"), (3, "telephone")):
        for stage in stages:
            confusion(condition, stage, [d["conditions"][k]["report"] for d in (degraded(f"resynth-{s}/{stage}") for s in SEEDS) if d])


def confusion(condition, stage, reports):
    """Of all seeds together; a sentence where there is no error."""
    if not reports:
        return
    of = [named(r["tasks"], "source")["confusion"] for r in reports]
    labels = of[0]["labels"]
    total = [[sum(c["counts"][i][j] for c in of) for j in range(len(labels))] for i in range(len(labels))]
    n = sum(map(sum, total))
    errors = n - sum(total[i][i] for i in range(len(labels)))
    print(f"{condition}, augmentation {stage}, seeds: {len(reports)}: {errors} errors in {n} answers" + ("; a row is the truth" if errors else "") + "\n")
    if errors:
        print_table([""] + labels, [[name] + [str(n) for n in row] for name, row in zip(labels, total) if sum(row)])


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    runs = Runs(*sys.argv[1:4])
    both = {"models": models, "attributes": attributes, "joint": joint, "open": open_set, "resynth": resynth}
    tables = {"counts": counts}
    for name, table in both.items():
        tables.update({name: table, name + "-silence": lambda runs, table=table: table(runs, True)})
    for name in sys.argv[4:] or tables:
        if name not in tables:
            sys.exit(f"{name} is none of {', '.join(tables)}")
        print(f"### {name}\n")
        tables[name](runs)


if __name__ == "__main__":
    main()
