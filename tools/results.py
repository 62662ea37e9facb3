#!/usr/bin/python3
"""Tables of results from finished runs, as Markdown: one column per recipe, the mean over its seeds with the lowest and
the highest, and for the first seed the 95 % bootstrap interval by page.
Usage: tools/results.py [--of pages,resynth,both,frechet] SPOOR CORPUS NAME=RUN[,RUN...] ...
(a RUN: a folder with model.safetensors; --of: only the rows measured on these)
Evaluates each model with `spoor eval` on the dev split of CORPUS/pages.csv and CORPUS/resynth.csv, and with
`spoor frechet` on pages (no intervals)."""
import json
import os
import subprocess
import sys

FIGURES = [  # title, manifest, where in the report
    ("source `same`", "pages", ("source", "same", "accuracy")),
    ("macro-F1 `same`", "pages", ("source", "same", "macro_f1")),
    ("top-5 `same`", "pages", ("source", "same", "top5")),
    ("source `cross`", "pages", ("source", "cross", "accuracy")),
    ("macro-F1 `cross`", "pages", ("source", "cross", "macro_f1")),
    ("top-5 `cross`", "pages", ("source", "cross", "top5")),
    ("family `cross`", "pages", ("family", "cross", "accuracy")),
    ("maker `cross`", "pages", ("vocoder", "cross", "accuracy")),
    ("bona fide AUROC", "pages", ("bonafide", "all", "auroc")),
    ("bona fide EER", "pages", ("bonafide", "all", "eer")),
    ("known AUROC", "pages", ("known", "all", "auroc")),
    ("known FPR95", "pages", ("known", "all", "fpr95")),
    ("ID accuracy", "pages", ("known", "all", "id_accuracy")),
    ("EERc", "pages", ("known", "all", "eerc")),
    ("OSCR", "pages", ("known", "all", "oscr")),
    ("Fréchet, dev known sources", "frechet", "dev known"),  # of train's known sources to these
    ("Fréchet, dev `same`", "frechet", "dev known, same"),
    ("Fréchet, dev `cross`", "frechet", "dev known, cross"),
    ("Fréchet, dev unknown sources", "frechet", "dev unknown"),
    ("Fréchet, dev human", "frechet", "dev human"),
    ("resynth source", "resynth", ("source", "all", "accuracy")),
    ("source ECE", "both", ("source", "all", "ece")),
    ("bona fide ECE", "both", ("bonafide task", "all", "ece")),
]


def evaluate(spoor, corpus, run, which):
    cached = os.path.join(run, f"results-{which}.json")
    model = os.path.join(run, "model.safetensors")
    if not os.path.exists(cached) or os.path.getmtime(cached) < os.path.getmtime(model):
        names = ["pages", "resynth"] if which == "both" else [which]
        if which == "frechet":
            names = ["pages"]
            command = [spoor, "frechet", model, "--split", "all", "--shrinkage", "ledoit-wolf", "--json"]
        else:
            command = [spoor, "eval", model, "--split", "dev", "--json", "--by-page"]
        command += ["--folds", "5"] if which == "both" else []
        for n in names:
            command += ["--manifest", os.path.join(corpus, n + ".csv")]
        with open(cached + ".part", "w") as out:
            subprocess.run(command, check=True, stdout=out)
        os.replace(cached + ".part", cached)
    with open(cached) as f:
        return json.load(f)


def figure(report, path):
    if isinstance(path, str):
        return {"value": next((p["distance"] for p in report["pairs"] if p["name"] == path), None)}
    task, group, name = path
    if task in ("bonafide", "known"):
        groups = report.get(task, {}).get("groups", [])
    else:
        wanted = "bonafide" if task == "bonafide task" else task
        groups = next((t["groups"] for t in report["tasks"] if t["task"] == wanted), [])
    return next((g[name] for g in groups if g["name"] == group and g["group"] in ("all", "setting") and name in g),
                {"value": None})


def cell(values):
    v = [x["value"] for x in values]
    if None in v:
        return "-"  # the model has no such answer
    text = f"{sum(v) / len(v):.3f}"
    if len(v) > 1:
        text += f" ({min(v):.3f}-{max(v):.3f})"
    if "low" in values[0]:
        text += f" [{values[0]['low']:.2f}, {values[0]['high']:.2f}]"
    return text


def main():
    args, of = sys.argv[1:], None
    if args[0] == "--of":
        of, args = args[1].split(","), args[2:]
    spoor, corpus = args[:2]
    recipes = [row.split("=", 1) for row in args[2:]]
    print("| on dev | " + " | ".join(name for name, _ in recipes) + " |")
    print("|---" * (len(recipes) + 1) + "|")
    for title, which, path in FIGURES:
        if of and which not in of:
            continue
        cells = [cell([figure(evaluate(spoor, corpus, r, which), path) for r in runs.split(",")])
                 for _, runs in recipes]
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
