"""Cases of test_benchmark.sh."""
import csv
import io
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import wave

SOURCE = os.environ["SPOOR_SOURCE_DIR"]
sys.path.insert(0, os.path.join(SOURCE, "tools"))
from benchmarklib import scores as reading, steps as running  # noqa: E402

COLUMNS = ("path", "split", "label", "source", "family", "vocoder", "vq", "aux", "dec", "page", "setting", "language", "speaker", "text",
           "source_rate", "seconds", "track")
FAMILY = {"a": "f1", "b": "f2", "u": "f1", "w": "f2", "h": "human"}


def row(name, split, i):
    human = name == "h"
    return {"path": f"audio/{name}/{split}{i}.wav", "split": split, "label": "bonafide" if human else "spoof",
            "source": "bonafide" if human else name, "family": FAMILY.get(name, "f3"), "vocoder": "",
            "setting": "unknown" if name in "uw" else "same", "speaker": f"s{i % 2}-{split}", "text": f"{split}/{i}", "page": "p", "track": "VR" if human else "V"}


ROWS = [row(n, s, i) for s, names in (("train", "abh"), ("dev", "abhw"), ("test", "abhu")) for n in names for i in range(4)]

# Of the test split: three of a right and one taken for b, all of b right; u is taken for a three times of four.
SAID = {"a": "aaab", "b": "bbbb", "u": "aaab", "h": "aaaa"}
KNOWN = {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8], "u": [0.5, 0.6, 4.5, 0.7], "h": [0, 0, 0, 0]}
BONAFIDE = {"a": [-2, -2, -2, 0], "b": [-2] * 4, "u": [-2] * 4, "h": [2, 2, 2, -1]}


def scores(change=None, columns=("id", "bonafide", "known", "score/source/a", "score/source/b")):
    """Lines of a score file as another system would write it."""
    out = []
    for name in "abuh":
        for i in range(4):
            p = 0.7 if SAID[name][i] == "a" else 0.3
            line = {"id": f"audio/{name}/test{i}.wav", "bonafide": BONAFIDE[name][i], "known": KNOWN[name][i], "score/source/a": p,
                    "score/source/b": 1 - p, "answer/source": SAID[name][i]}
            out.append([str(line[c]) for c in columns])
    if change:
        change(out)
    return "\n".join(",".join(r) for r in [list(columns)] + out) + "\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.corpus = os.path.join(self.dir, "corpus")
        os.mkdir(self.corpus)
        self.protocol(ROWS)

    def protocol(self, rows):
        with open(os.path.join(self.corpus, "protocol.csv"), "w", newline="", encoding="utf-8") as f:
            table = csv.DictWriter(f, COLUMNS, restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def run_it(self, *arguments, systems="none", status=0):
        done = subprocess.run([os.path.join(SOURCE, "tools", "benchmark"), os.environ["SPOOR"], self.corpus, "--out",
                               os.path.join(self.dir, "out"), "--systems", systems, "--jobs", "2", *arguments], capture_output=True, text=True,
                              cwd=self.dir, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def cells(self, text, heading, system):
        """{column: cell} of a system's row under a heading."""
        part = text.split("### " + heading, 1)[1].split("###", 1)[0]
        lines = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
        found = [line for line in lines if line[0] in (system, system + " *")]
        self.assertEqual(len(found), 1, part)
        return dict(zip(lines[0], found[0]))

    def value(self, text, heading, system, column):
        return self.cells(text, heading, system)[column].split()[0]


class Tables(Case):
    def worked_out(self, text, system="mine"):
        for heading, column, want in (
                ("Closed set", "accuracy all", 7 / 8), ("Closed set", "macro-F1 all", (6 / 7 + 8 / 9) / 2), ("Closed set", "accuracy V", 7 / 8),
                ("Open set", "AUROC", 28 / 32), ("Open set", "FPR95", 1 / 4), ("Human", "AUROC all", 47 / 48), ("Human", "AUROC V", 47 / 48),
                ("Taxonomy", "family accuracy, known", 7 / 8), ("Taxonomy", "family accuracy, unseen", 3 / 4)):
            self.assertEqual(self.value(text, heading, system, column), f"{want:.3f}", (heading, column))

    def test_figures_are_those_worked_out_by_hand(self):
        text = self.run_it("--scores", "mine=" + self.file("x.csv", scores())).stdout
        self.worked_out(text)
        self.assertEqual(self.cells(text, "Closed set", "mine")["accuracy T"], "-")       # no clip of that track
        self.assertEqual(self.cells(text, "Taxonomy", "mine")["vocoder accuracy, known"], "-")
        self.assertIn("[", self.cells(text, "Closed set", "mine")["accuracy all"])
        self.assertEqual(self.cells(text, "Budget", "mine")["clips of test scored"], "16")
        self.assertIn("| test, track V | 8 (2) | 4 (1) | 4 | 4 | 2 |", text)

    def test_the_order_of_lines_separators_and_a_folder_make_no_difference(self):
        os.mkdir(os.path.join(self.dir, "scores"))
        self.file("scores/one.csv", scores())
        self.file("scores/two.tsv", scores(lambda lines: lines.reverse()).replace(",", "\t").replace("audio/a/", "./audio/a/"))
        text = self.run_it("--scores", "scores").stdout
        self.worked_out(text, "one")
        self.worked_out(text, "two")
        for heading in ("Closed set", "Open set", "Human", "Taxonomy"):
            one, two = self.cells(text, heading, "one"), self.cells(text, heading, "two")
            self.assertEqual(list(one.values())[1:], list(two.values())[1:])

    def test_answers_without_scores_are_enough(self):
        text = self.run_it("--scores", "mine=" + self.file("x.csv", scores(columns=("id", "answer/source")))).stdout
        self.assertEqual(self.value(text, "Closed set", "mine", "accuracy all"), "0.875")
        self.assertEqual(self.value(text, "Taxonomy", "mine", "family accuracy, unseen"), "0.750")
        self.assertNotIn("| mine", text.split("### Human", 1)[-1].split("###", 1)[0])      # of human speech it says nothing

    def test_clips_that_were_left_out_are_counted(self):
        text = self.run_it("--scores", "mine=" + self.file("x.csv", scores(lambda lines: lines.pop()))).stdout
        self.assertEqual(self.cells(text, "Budget", "mine")["clips of test scored"], "15")

    def test_what_cannot_be_used_is_named(self):
        def put(line, column, value):
            def change(lines):
                lines[line][column] = value
            return change
        for change, sentence in ((put(0, 0, "audio/a/train0.wav"), "no path of the test split"),
                                 (put(1, 0, "audio/a/test0.wav"), "stands there twice"), (put(2, 1, "high"), "no number"),
                                 (put(2, 1, "nan"), "no number"), (put(3, 3, ""), "some scores of source are missing"),
                                 (lambda lines: lines.clear(), "has no row")):
            done = self.run_it("--scores", "mine=" + self.file("x.csv", scores(change)), status=1)
            self.assertIn(sentence, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
        answers = scores(put(0, 1, "nobody"), ("id", "answer/source"))
        self.assertIn("no class of source", self.run_it("--scores", "mine=" + self.file("x.csv", answers), status=1).stderr)
        self.assertIn("column id", self.run_it("--scores", "mine=" + self.file("x.csv", "path,known\nx,1\n"), status=1).stderr)
        self.assertIn("cannot be read", self.run_it("--scores", "mine=" + os.path.join(self.dir, "none.csv"), status=1).stderr)
        self.assertIn("called mine", self.run_it("--scores", "mine=a", "--scores", "mine=b", status=1).stderr)
        self.assertIn("no system 'nothing'", self.run_it(systems="nothing", status=1).stderr)
        self.assertIn("no system to evaluate", self.run_it(status=1).stderr)
        os.remove(os.path.join(self.corpus, "protocol.csv"))
        self.assertIn("make corpus", self.run_it("--scores", "mine=x", status=1).stderr)

    def test_the_document_keeps_what_is_around_the_tables(self):
        path = self.file("doc.md", "before\n<!-- begin: tools/benchmark -->\nold\n<!-- end: tools/benchmark -->\nafter\n")
        text = self.run_it("--scores", "mine=" + self.file("x.csv", scores()), "--doc", path).stdout
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), f"before\n<!-- begin: tools/benchmark -->\n\n{text}\n<!-- end: tools/benchmark -->\nafter\n")
        bare = self.file("bare.md", "nothing\n")
        self.assertIn("has no lines", self.run_it("--scores", "mine=" + self.file("x.csv", scores()), "--doc", bare, status=1).stderr)
        with open(os.path.join(SOURCE, "docs", "benchmark.md"), encoding="utf-8") as f:
            text = f.read()
        self.assertTrue(0 <= text.find("<!-- begin: tools/benchmark -->") < text.find("<!-- end: tools/benchmark -->"))


class Recipes(Case):
    def test_every_training_has_a_recipe_that_can_draw_and_keeps_the_budget(self):
        many = [dict(row(n, s, i), vocoder=v) for s, end in (("train", ""), ("dev", "w"), ("test", "u"))
                for n, v in list(zip("abcdefgh", ("v1", "v2", "", "v1", "", "", "", ""))) + [(n, "") for n in end] for i in range(40)]
        self.protocol(many)
        steps = running.Steps(os.environ["SPOOR"], reading.Protocol(self.corpus), os.path.join(self.dir, "out"), 1, io.StringIO())
        seen = {}
        steps.run = lambda folder, command, out=None: seen.update({os.path.basename(folder): command}) or 0
        for name in running.TRAININGS:
            steps.train(name, "3")
        for name, (_, stage, share, *settings) in running.TRAININGS.items():
            command = seen[name + "-3"]
            epochs = int(next(c for c in command if c.startswith("schedule.epochs=")).split("=")[1])
            self.assertEqual(epochs, 1 if share == 0 else running.EPOCHS * share)           # 280 or 320 clips: the epochs limit it
            self.assertEqual(stage in command, stage is not None)
            self.assertTrue({"seed=3", *settings} <= set(command))
        self.protocol([dict(r, path=f"{i}{r['path']}") for r in many if r["split"] == "train" for i in range(20)] + many)
        steps = running.Steps(os.environ["SPOOR"], reading.Protocol(self.corpus), os.path.join(self.dir, "out"), 1, io.StringIO())
        command = [os.environ["SPOOR"], "train", os.path.join(SOURCE, "recipes/benchmark/spectral.yaml"), "--set",
                   "data.manifests.0.path=" + os.path.join(self.corpus, "protocol.csv")]
        self.assertEqual(steps.epochs(command, 1), 5)                                      # 6,720 clips, of which 32,000 may be drawn

    def test_the_sample_has_the_same_of_each_source_in_any_order(self):
        many = [row(n, "test", i) for n in "abuh" for i in range(70)] + ROWS[:8]
        self.protocol(many)
        first = reading.Protocol(self.corpus).sample()
        count = {n: sum(r["path"].startswith(f"audio/{n}/") for r in first) for n in "abuh"}
        self.assertEqual(count, {"a": reading.PER_SOURCE, "b": reading.PER_SOURCE, "u": reading.PER_SOURCE, "h": reading.PER_HUMAN})
        self.protocol(list(reversed(many)))
        self.assertEqual(reading.Protocol(self.corpus).sample(), first)


class Whole(Case):
    def setUp(self):
        super().setUp()
        numbers = random.Random(1)
        for r in ROWS:
            name = r["path"].split("/")[1]
            base = 150 * (1 + "hafbuw".index(name))
            phase = [numbers.uniform(0, 6.28) for _ in range(5)]
            x = [sum(math.sin(p + 2 * math.pi * base * k * t / 16000) / k for k, p in enumerate(phase, 1)) * 4000 + numbers.gauss(0, 200)
                 for t in range(12000)]
            path = os.path.join(self.corpus, r["path"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with wave.open(path, "wb") as f:
                f.setparams((1, 2, 16000, 0, "NONE", ""))
                f.writeframes(struct.pack(f"<{len(x)}h", *(max(-32768, min(32767, int(v))) for v in x)))

    def test_a_system_is_trained_once_and_its_tables_stand(self):
        first = self.run_it("--seeds", "1 2", "--scores", "mine=" + self.file("x.csv", scores()), systems="linear,linear-band")
        self.assertEqual(first.stderr.count("done before"), 0)
        for heading in ("Closed set", "Open set", "Human", "Robustness: source accuracy", "Robustness: bona fide AUROC"):
            for column, cell in self.cells(first.stdout, heading, "linear (log-mel)").items():
                if cell != "-" and column[-1] not in "TR" and not cell.startswith("linear"):
                    self.assertRegex(cell, r"^[01]\.\d{3} \([01]\.\d{3}-[01]\.\d{3}\) \[", (heading, column))    # of two seeds
        self.assertEqual(self.value(first.stdout, "Closed set", "linear (log-mel)", "accuracy all"), "1.000")
        self.assertEqual(self.value(first.stdout, "After a common band limit", "linear (log-mel, 200 to 3400 Hz)", "source accuracy V"), "1.000")
        self.assertEqual(self.value(first.stdout, "Closed set", "mine", "accuracy all"), "0.875")
        again = self.run_it("--seeds", "1 2", "--scores", "mine=" + os.path.join(self.dir, "x.csv"), systems="linear,linear-band")
        self.assertEqual(again.stderr.count("done before"), 8)
        self.assertEqual(again.stdout, first.stdout)
        self.protocol(ROWS[1:])                                                            # another corpus
        other = self.run_it(systems="linear")
        self.assertEqual(other.stderr.count("done before"), 0)

    def test_a_training_that_fails_is_named(self):
        os.remove(os.path.join(self.corpus, "audio/a/train0.wav"))
        done = self.run_it(systems="linear", status=1)
        self.assertIn("train0.wav", done.stderr)
        self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
