"""Cases of test_corpus.sh."""
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import unittest.mock

import numpy as np
import soundfile

SOURCE = os.environ["SPOOR_SOURCE_DIR"]
sys.path.insert(0, os.path.join(SOURCE, "corpus"))
from corpuslib import fetch, manifest, plan, protocol, run as runs, shortcuts, stage # noqa: E402

HUMAN = """
[[human]]
name = "{name}"
speaker = "{name}"
language = "en"
split = "{split}"
licence = "none"
packages = []
files = ["speech/{name}/*.wav"]
clips = 3
small_clips = 2
"""
GENERATOR = """
[[generator]]
name = "{name}"
family = "stub"
architecture = "none"
licence = "none"
packages = []
tracks = {tracks}
seconds = 0.1
{more}
"""
VOICES = """driver = "tone.py"
per_text = 2
chunk = 4
[generator.voices.en]
train = ["100-140"]
dev = ["200-210"]
test = ["300=somebody"]"""
TONE = """import json, os, sys, time
import numpy as np, soundfile
job = json.load(open(sys.argv[1]))
with open(os.environ["STUB_LOG"], "a") as log:
    log.write(job["items"][0]["id"] + "\\n")
time.sleep(float(os.environ.get("STUB_SLEEP", "0")))
t = np.arange(int(22050 * 3.6)) / 22050
for item in job["items"]:
    soundfile.write(item["out"], 0.2 * np.sin(2 * np.pi * int(item["voice"]) * t) * (1 + np.sin(9 * t)) / 2, 22050)
"""


def generator(name, more, tracks='["V"]'):
    return GENERATOR.format(name=name, tracks=tracks, more=more)


class Stub:
    """A folder with a manifest, and a cache with "speech": noise in syllables, pauses between."""

    def __init__(self, generators, people=(("ann", "train"), ("bob", "dev"), ("cleo", "test"))):
        self.folder = tempfile.mkdtemp()
        self.cache, self.log = os.path.join(self.folder, "cache"), os.path.join(self.folder, "log")
        for name in ("drivers", "sentences"):
            os.makedirs(os.path.join(self.folder, name))
        self.put("drivers/tone.py", TONE)
        self.put("packages.toml", "")
        self.put("sentences/en.txt", "".join(f"Sentence number {i}.\n" for i in range(10)))
        self.put("generators.toml", "".join(HUMAN.format(name=n, split=s) for n, s in people) + "".join(generators))
        rng = np.random.default_rng(5)
        for name, _ in people:
            os.makedirs(os.path.join(self.cache, "root/speech", name))
            for i in range(4):
                t = np.arange(5 * 16000) / 16000
                x = rng.normal(0, 0.1, len(t)) * np.maximum(np.sin(2 * np.pi * 1.5 * t), 0) + rng.normal(0, 1e-4, len(t))
                soundfile.write(os.path.join(self.cache, "root/speech", name, f"{name}{i}.wav"), x, 16000)

    def put(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def command(self, out, *more):
        return [sys.executable, "-B", os.path.join(SOURCE, "corpus/build"), "--manifest", self.folder, "--cache", self.cache,
                "--out", os.path.join(self.folder, out), "--offline", "--no-report", *more]

    def environment(self, sleep):
        return dict(os.environ, STUB_LOG=self.log, STUB_SLEEP=str(sleep))

    def build(self, out, *more, sleep=0):
        return subprocess.run(self.command(out, *more), env=self.environment(sleep), capture_output=True, text=True, check=False)

    def read(self, out, name):
        with open(os.path.join(self.folder, out, name), newline="", encoding="utf-8") as f:
            return list(csv.DictReader(f)) if name.endswith(".csv") else f.read()

    def started(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read().split()


class Corpus(unittest.TestCase):
    def stub(self, *generators):
        stub = Stub(generators)
        self.addCleanup(shutil.rmtree, stub.folder)
        return stub

    def test_the_manifest_is_sound(self):
        whole = manifest.load()
        self.assertGreaterEqual(len(whole["generator"]), 30)
        for small in (True, False):
            chosen = plan.wanted(whole, [], small)
            self.assertTrue(chosen)
            self.assertTrue(plan.packages(whole, chosen, small))
        used = {p for entry in whole["human"] + whole["generator"] for p in entry["packages"] + entry.get("more_packages", [])}
        self.assertEqual(used, {p["name"] for p in whole["package"]})
        for language, lines in whole["sentences"].items():
            self.assertEqual(len(lines), len(set(lines)), language)
        self.assertTrue({"dev", "test"} <= {g.get("heldout") for g in whole["generator"]})

    def test_sentences_and_voices_of_a_split_are_in_no_other(self):
        whole = manifest.load()
        for small in (True, False):
            where = {}
            for g in plan.wanted(whole, [], small):
                for item in plan.sentences(g, whole, small) if "T" in g["tracks"] else []:
                    for what in (("text", item["text"]), ("speaker", item["speaker"])):
                        self.assertEqual(where.setdefault(what, item["split"]), item["split"], what)

    def test_a_broken_manifest_is_refused_with_a_sentence(self):
        good = generator("copy", 'command = "cp"')
        for text, sentence in (
                (good + good, "copy is there twice"),
                (good.replace("packages = []", 'packages = ["none"]'), "package none is not in packages.toml"),
                (generator("both", 'command = "cp"\ndriver = "tone.py"'), "needs a command or a driver"),
                (generator("gone", 'driver = "gone.py"'), "there is no drivers/gone.py"),
                (generator("odd", 'command = "cp"\ncolour = "red"'), "there is no field colour"),
                (generator("copy", 'command = "cp"').replace("packages = []", 'packages = ["x"]'), "pool is the path of a source"),
                (generator("held", 'heldout = "dev"\n' + VOICES, '["T"]'), "has voices of another split"),
                (generator("mute", 'command = "true"', '["T"]'), "has no voices"),
                (generator("ann2", 'command = "true"\n[generator.voices.en]\ntest = ["x=ann"]', '["T"]'), "a speaker is in one split"),
                ("[[generator]\n", "generators.toml")):
            stub = self.stub(text)
            if '"x"' in text:
                stub.put("packages.toml", '[[package]]\nname = "x"\nkind = "source"\nversion = "1"\nsha256 = "' + "0" * 64
                         + '"\nbytes = 1\nunpacked = 1\npool = "pool/../x"\n')
            run = stub.build("out")
            self.assertEqual(run.returncode, 1, sentence)
            self.assertIn(sentence, run.stderr)
            self.assertNotIn("Traceback", run.stderr)

    def test_what_fails_is_named_and_the_rest_is_built(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'"),
                         generator("tone", VOICES, '["T"]'),
                         generator("fails", "command = 'echo it is broken >&2; exit 3'"),
                         generator("some", "command = 'case \"$IN\" in *[0-7].wav) cp \"$IN\" \"$OUT\" ;; *) exit 4 ;; esac'"),
                         generator("garbage", "command = 'echo nothing >\"$OUT\"'"),
                         generator("short", "command = 'head -c 40044 \"$IN\" >\"$OUT\"'"),
                         generator("toolless", "command = 'no-such-tool'\ntools = [\"no-such-tool\"]"),
                         generator("later", "command = 'cp \"$IN\" \"$OUT\"'\nheldout = \"test\""))
        run = stub.build("out")
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertNotIn("Traceback", run.stderr)
        state = {row["source"]: row for row in stub.read("out", "sources.csv")}
        self.assertEqual({name: row["state"] for name, row in state.items()},
                         {"copy": "whole", "tone": "whole", "fails": "absent", "some": "partial", "garbage": "absent", "short": "absent",
                          "toolless": "absent", "later": "whole"})
        self.assertIn("it is broken (exit status 3)", state["fails"]["why"])
        self.assertIn("no-such-tool is not installed", state["toolless"]["why"])
        self.assertEqual(state["short"]["short"], "9")
        for name in ("fails", "some", "toolless"):
            self.assertRegex(run.stderr, rf"(?m)^{name} .*(absent|partial): ")
        rows = stub.read("out", "protocol.csv")
        count = {name: sum(row["source"] == name for row in rows) for name in ("bonafide", "copy", "tone", "later", "fails")}
        self.assertEqual(count, {"bonafide": 9, "copy": 9, "tone": 6 * 2 + 2 * 2 + 2, "later": 3, "fails": 0})
        self.check_rows(stub, rows)

    def check_rows(self, stub, rows):
        self.assertEqual(tuple(rows[0]), protocol.COLUMNS)
        where = {}
        for row in rows:
            for what in (("speaker", row["speaker"]), ("text", row["text"])):
                self.assertEqual(where.setdefault(what, row["split"]), row["split"], what)
            x, rate = soundfile.read(os.path.join(stub.folder, "out", row["path"]))
            self.assertEqual((rate, len(x)), (stage.RATE, stage.LENGTH))
            self.assertAlmostEqual(10 * np.log10((x ** 2).mean()), stage.LEVEL, delta=0.1)
            self.assertEqual(row["setting"], "unknown" if row["source"] == "later" else "same")
        # A copy of a clip is, but for its noise, the clip.
        clip = {row["text"]: row["path"] for row in rows if row["source"] == "bonafide"}
        for row in rows:
            if row["source"] == "copy":
                a, b = (soundfile.read(os.path.join(stub.folder, "out", p))[0] for p in (row["path"], clip[row["text"]]))
                self.assertLess(np.abs(a - b).max(), 0.003)
        for line in stub.read("out", "SHA256SUMS").splitlines():
            digest, name = line.split("  ")
            with open(os.path.join(stub.folder, "out", name), "rb") as f:
                self.assertEqual(hashlib.sha256(f.read()).hexdigest(), digest)
        check = subprocess.run([os.environ["SPOOR"], "data", "check", "--json", "--root", os.path.join(stub.folder, "out"),
                                os.path.join(stub.folder, "out/protocol.csv")], capture_output=True, text=True, check=False)
        self.assertEqual(check.returncode, 0, check.stderr + check.stdout)
        self.assertEqual(json.loads(check.stdout)["rows"], len(rows))

    def test_clips_without_the_last_stage(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'"), generator("tone", VOICES, '["T"]'))
        self.assertEqual(stub.build("out").returncode, 0)
        staged = stub.read("out", "protocol.csv")
        self.assertFalse(os.path.exists(os.path.join(stub.folder, "out/plain.csv")))
        self.assertEqual(stub.build("out", "--plain").returncode, 0)
        self.assertEqual(stub.read("out", "protocol.csv"), staged)
        rows, plain = staged, stub.read("out", "plain.csv")
        self.assertEqual([row["source"] for row in rows], [row["source"] for row in plain])
        for row, other in zip(rows, plain):
            self.assertEqual(other["path"], row["path"].replace("audio/", "plain/"))
            x, rate = soundfile.read(os.path.join(stub.folder, "out", other["path"]))
            self.assertEqual(rate, 16000)
            self.assertTrue(48000 <= len(x) <= stage.PLAIN, len(x))
            self.assertEqual(other["seconds"], f"{len(x) / rate:.3f}")
            self.assertAlmostEqual(np.abs(x).max(), 10 ** (-3 / 20), delta=0.001)
        self.assertIn("plain.csv", stub.read("out", "SHA256SUMS"))
        os.unlink(os.path.join(stub.folder, "out", plain[0]["path"]))
        self.assertEqual(stub.build("out").returncode, 0) # nobody asks for it
        self.assertFalse(os.path.exists(os.path.join(stub.folder, "out", plain[0]["path"])))
        self.assertFalse(os.path.exists(os.path.join(stub.folder, "out/plain.csv"))) # its clips are no longer kept with those of protocol.csv
        self.assertTrue(os.path.exists(os.path.join(stub.folder, "out", plain[1]["path"]))) # clips stay, as those in audio/ do
        self.assertNotIn("plain", stub.read("out", "SHA256SUMS"))
        self.assertEqual(stub.build("out", "--plain").returncode, 0)
        self.assertTrue(os.path.exists(os.path.join(stub.folder, "out", plain[0]["path"])))
        before, clip = stub.read("out", "SHA256SUMS"), next(row["path"] for row in plain if row["source"] == "tone")
        stub.put("drivers/tone.py", TONE.replace("np.sin(9 * t)", "np.sin(7 * t)"))
        self.assertEqual(stub.build("out").returncode, 0) # clips of the first driver must not pass for those of the second
        self.assertEqual(stub.build("out", "--plain").returncode, 0)
        digest = {line.split("  ")[1]: line.split("  ")[0] for line in before.splitlines()}[clip]
        self.assertFalse(digest in stub.read("out", "SHA256SUMS"), "a clip of the first driver is still there")

    def test_sources_that_are_held_out_say_the_training_sentences_apart(self):
        held = 'driver = "tone.py"\nchunk = 4\nheldout = "test"\n[generator.voices.en]\ntest = ["300", "310"]'
        both = self.stub(generator("tone", VOICES, '["T"]'), generator("held", held, '["T"]'))
        self.assertEqual(both.build("out", "--plain").returncode, 0)
        rows, spare = both.read("out", "protocol.csv"), both.read("out", "spare.csv")
        self.assertEqual({row["text"] for row in rows if row["source"] == "held"}, {"sentences-en/4", "sentences-en/9"})
        self.assertEqual([(row["source"], row["split"], row["setting"]) for row in spare], [("held", "train", "same")] * 6)
        self.assertEqual({row["text"] for row in spare}, {row["text"] for row in rows if row["source"] == "tone" and row["split"] == "train"})
        self.assertEqual({row["speaker"] for row in spare}, {"held/300", "held/310"})
        self.assertEqual([row["path"].replace("audio/", "plain/") for row in spare], [row["path"] for row in both.read("out", "plain-spare.csv")])
        for name in ["spare.csv", "plain-spare.csv"] + [row["path"] for row in spare]:
            self.assertIn(name, both.read("out", "SHA256SUMS"))
        state = {row["source"]: row for row in both.read("out", "sources.csv")}
        self.assertEqual((state["held"]["train"], state["held"]["test"], state["held"]["spare"], state["tone"]["spare"]), ("0", "2", "6", "0"))
        self.assertEqual(both.build("out").returncode, 0)
        self.assertFalse(os.path.exists(os.path.join(both.folder, "out/plain-spare.csv")))
        self.assertEqual(both.build("small", "--small").returncode, 0)
        self.assertEqual(both.read("small", "spare.csv"), [])

    def test_one_sentence(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'"), generator("tone", VOICES, '["T"]'),
                         generator("mute", "command = 'true'"))
        speech, out = os.path.join(stub.cache, "root/speech/ann/ann0.wav"), os.path.join(stub.folder, "said.wav")

        def say(*words):
            command = [sys.executable, "-B", os.path.join(SOURCE, "corpus/say"), "--manifest", stub.folder, "--cache", stub.cache, *words]
            return subprocess.run(command, env=stub.environment(0), capture_output=True, text=True, check=False)

        self.assertEqual(say("copy", speech, "-o", out).returncode, 0)
        with open(out, "rb") as made, open(speech, "rb") as was:
            self.assertEqual(made.read(), was.read())
        for more, tone in (((), 100), (("--voice", "120"), 120)): # as it is: at the generator's rate and level
            self.assertEqual(say("tone", "A sentence.", "-o", out, *more).returncode, 0)
            x, rate = soundfile.read(out)
            self.assertEqual(rate, 22050)
            self.assertEqual(int(np.abs(np.fft.rfft(x)).argmax() * rate / len(x) + 0.5), tone)
        for words, code, why in ((("nobody", "x"), 1, "no generator is called nobody"), (("copy", "A sentence."), 1, "is no file"),
                                 (("tone", "x", "--language", "eo"), 1, "no voice for the language eo"),
                                 (("mute", speech), 2, "mute made nothing")):
            run = say(*words, "-o", out)
            self.assertEqual(run.returncode, code, run.stderr)
            self.assertIn(why, run.stderr)
            self.assertNotIn("Traceback", run.stderr)
        self.assertEqual(say("tone", "x", "-o", os.path.join(stub.folder, "none/x.wav")).returncode, 5)

        for rate, shape in ((44100, (44100 * 4, 2)), (8000, (8000 * 4,))): # any recording will do: generators get what they are used to
            n = np.arange(shape[0]) / rate
            soundfile.write(os.path.join(stub.folder, "in.flac"), np.broadcast_to(0.5 * np.sin(2 * np.pi * 500 * n), shape[::-1]).T, rate)
            self.assertEqual(say("copy", os.path.join(stub.folder, "in.flac"), "-o", out).returncode, 0)
            x, got = soundfile.read(out)
            self.assertEqual((got, x.shape), (16000, (64000,)))
            self.assertAlmostEqual(np.abs(np.fft.rfft(x)).argmax() / 4, 500, delta=1)
            self.assertAlmostEqual(np.abs(x[1000:-1000]).max(), 0.5, delta=0.01)
        run = say("copy", os.path.join(stub.folder, "generators.toml"), "-o", out)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, r"^corpus/say: .*generators.toml: .+\n$")

    def test_a_generator_that_fails_after_it_wrote_said_nothing(self):
        stub = self.stub(generator("half", 'driver = "half.py"\n[generator.voices.en]\ntrain = ["1"]', '["T"]'))
        stub.put("drivers/half.py", "import json, sys\nopen(json.load(open(sys.argv[1]))['items'][0]['out'], 'w').close()\nsys.exit('cut off')\n")
        out = os.path.join(stub.folder, "said.wav")
        run = subprocess.run([sys.executable, "-B", os.path.join(SOURCE, "corpus/say"), "--manifest", stub.folder, "--cache", stub.cache, "half", "x",
                              "-o", out], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("cut off", run.stderr)
        self.assertFalse(os.path.exists(out))

    def test_extras_are_left_out_unless_asked_for(self):
        copy = "command = 'cp \"$IN\" \"$OUT\"'"
        stub = self.stub(generator("copy", copy), generator("more", copy + "\nextra = true"), generator("last", copy + "\nextra = true"))
        for words, sources in (([], ["copy"]), (["--extras"], ["copy", "more", "last"]), (["--only", "more"], ["more"]),
                               (["--only", "copy", "--extras"], ["copy", "more", "last"]), (["--small", "--extras"], ["copy", "more", "last"])):
            self.assertEqual(stub.build("out", *words).returncode, 0)
            self.assertEqual([row["source"] for row in stub.read("out", "sources.csv")], sources, words)
            self.assertEqual({row["source"] for row in stub.read("out", "protocol.csv")}, {"bonafide", *sources}, words)
        marks = [line.split("\t")[5:] for line in stub.build("out", "--list").stdout.splitlines()]
        self.assertEqual(marks, [[], ["extra"], ["extra"]])
        self.assertEqual(stub.build("out", "--list", "--only", "copy").stdout.count("\n"), 1)

    def test_what_generators_share_is_prepared_once(self):
        ready = "command = 'cp \"$IN\" \"$OUT\"'\nprepare = 'echo ready >>\"$BUILD/log\"'"
        broken = "command = 'cp \"$IN\" \"$OUT\"'\nprepare = 'echo tried >>\"$BUILD/tries\"; echo no compiler >&2; exit 3'"
        stub = self.stub(generator("one", ready), generator("two", ready), generator("three", broken), generator("four", broken))
        run = stub.build("out")
        self.assertEqual(run.returncode, 2)
        self.assertEqual(stub.read("out", "programs/log"), "ready\n")
        self.assertEqual(stub.read("out", "programs/tries"), "tried\n")
        state = {row["source"]: (row["state"], row["why"]) for row in stub.read("out", "sources.csv")}
        why = ("absent", "cannot be prepared: no compiler (exit status 3)")
        self.assertEqual(state, {"one": ("whole", ""), "two": ("whole", ""), "three": why, "four": why})

    def test_libopus_is_built_once(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for name in ("build", *(f"source/opus/{x}" for x in ("celt", "silk/float", "src", "dnn", "include"))):
            os.makedirs(os.path.join(folder, name))

        def put(name, text):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)

        def build():
            run = subprocess.run(["/bin/sh", os.path.join(SOURCE, "corpus/drivers/opus.sh"), os.path.join(folder, "driver.c")], text=True,
                                 env=dict(os.environ, SOURCE=os.path.join(folder, "source"), BUILD=os.path.join(folder, "build"), JOBS="2"),
                                 capture_output=True, check=False)
            return run.returncode, run.stderr

        def answer():
            return subprocess.run([os.path.join(folder, "build/opus")], check=False).returncode

        put("driver.c", '#include "opus.h"\nint main(void) { return first() + second(); }\n')
        put("source/opus/include/opus.h", "int first(void);\nint second(void);\n")
        put("source/opus/celt/a.c", "int first(void) { return 40; }\n")
        put("source/opus/dnn/a.c", "int second(void) { return 2; }\n")
        put("source/opus/dnn/other.c", "#error not in a list\n")
        for name, text in (("celt", "CELT_SOURCES = \\\ncelt/a.c\n\nCELT_SOURCES_X = celt/x.c\n"), ("silk", ""), ("opus", ""),
                           ("lpcnet", "DRED_SOURCES = \\\ndnn/a.c\n\nOTHER = dnn/other.c\n")):
            put(f"source/opus/{name}_sources.mk", text)
        self.assertIn("there is no", build()[1])
        put("source/opus/package_version", "1\n")
        self.assertEqual(build(), (0, ""))
        self.assertEqual(answer(), 42)
        put("source/opus/celt/a.c", "int first(void) { return 50; }\n") # of the same version: nobody looks
        self.assertEqual((build(), answer()), ((0, ""), 42))
        put("source/opus/package_version", "2\n")
        self.assertEqual((build(), answer()), ((0, ""), 52))
        put("driver.c", '#include "opus.h"\nint main(void) { return first(); }\n')
        self.assertEqual((build(), answer()), ((0, ""), 50))
        self.assertEqual(sorted(os.listdir(os.path.join(folder, "build"))), ["opus", "opus.from"])
        put("source/opus/package_version", "3\n")
        for name, broken in (("dnn/a.c", "int second(void) { return gone; }\n"), ("dnn/a.c", "int third(void);\nint second(void) { return third(); }\n")):
            put("source/opus/" + name, broken)
            status, why = build()
            self.assertEqual(status, 1)
            self.assertRegex(why, r"^libopus does not compile: .*(gone|third).*\n$")
            self.assertFalse(os.path.exists(os.path.join(folder, "build/opus")))

    def test_the_same_packages_give_the_same_bytes(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'\nchunk = 2"), generator("tone", VOICES, '["T"]'))
        for out, jobs in (("one", "1"), ("two", "3")):
            run = stub.build(out, "--jobs", jobs)
            self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(stub.read("one", "SHA256SUMS"), stub.read("two", "SHA256SUMS"))
        self.assertGreater(stub.read("one", "SHA256SUMS").count("\n"), 30)

    def test_a_killed_build_goes_on_and_ends_the_same(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'"), generator("tone", VOICES, '["T"]'))
        self.assertEqual(stub.build("whole").returncode, 0)
        os.unlink(stub.log)
        with subprocess.Popen(stub.command("cut", "--jobs", "1"), env=stub.environment(0.5), stderr=subprocess.PIPE) as run:
            for _ in range(1200): # until the third job begins
                if os.path.exists(stub.log) and len(stub.started()) >= 3:
                    break
                self.assertIsNone(run.poll())
                time.sleep(0.05)
            run.send_signal(signal.SIGKILL)
            run.communicate()
        before = stub.started()
        self.assertEqual(len(before), 3)
        self.assertFalse(os.path.exists(os.path.join(stub.folder, "cut/protocol.csv")))
        run = stub.build("cut")
        self.assertEqual(run.returncode, 0, run.stderr)
        again = stub.started()[3:]
        self.assertRegex(run.stderr, r"\d of \d jobs were done before")
        self.assertFalse(set(before[:2]) & set(again), "jobs that were done were done again")
        self.assertIn(before[2], again)
        self.assertEqual(stub.read("cut", "SHA256SUMS"), stub.read("whole", "SHA256SUMS"))
        self.assertEqual(stub.build("cut").returncode, 0)
        self.assertEqual(len(stub.started()), 3 + len(again), "a finished build does nothing")

    def test_two_builds_do_not_share_a_folder(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'"))
        os.makedirs(os.path.join(stub.folder, "out"))
        with open(os.path.join(stub.folder, "out/.lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run = stub.build("out")
            self.assertEqual(run.returncode, 5)
            self.assertIn("another build works in " + os.path.join(stub.folder, "out"), run.stderr)
        self.assertEqual(stub.build("out").returncode, 0)
        run = stub.build("packages.toml") # a file, not a folder
        self.assertEqual(run.returncode, 5)
        self.assertIn("packages.toml", run.stderr)
        self.assertNotIn("Traceback", run.stderr)

    def test_a_clip_that_is_lost_is_made_again(self):
        stub = self.stub(generator("tone", VOICES, '["T"]'))
        self.assertEqual(stub.build("out").returncode, 0)
        sums, jobs = stub.read("out", "SHA256SUMS"), len(stub.started())
        os.unlink(os.path.join(stub.folder, "out", next(r["path"] for r in stub.read("out", "protocol.csv") if r["source"] == "tone")))
        self.assertEqual(stub.build("out").returncode, 0)
        self.assertEqual(len(stub.started()), jobs + 1)
        self.assertEqual(stub.read("out", "SHA256SUMS"), sums)

    def test_a_package_with_other_bytes_is_refused(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for name, text in (("package/a.txt", b"first"), ("package/b.bin", b"second"), ("../out.txt", b"third")):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
        with open(os.path.join(folder, "x.tgz"), "wb") as f:
            f.write(data.getvalue())
        os.makedirs(os.path.join(folder, "bin"))
        with open(os.path.join(folder, "bin/npm"), "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\n[ "$4" = "x@1.0" ] || exit 1\ncp {folder}/x.tgz x-1.0.tgz\n')
        os.chmod(os.path.join(folder, "bin/npm"), 0o755)
        path, cache = os.environ["PATH"], os.path.join(folder, "cache")
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        os.environ["PATH"] = os.path.join(folder, "bin") + ":" + path
        package = {"name": "x", "kind": "npm", "version": "1.0", "sha256": "0" * 64, "unpacked": 5, "keep": ["package/*.txt"]}
        size, why = fetch.fetch(package, cache)
        self.assertEqual(size, 0)
        self.assertIn("is not the pinned one", why)
        self.assertFalse(os.path.exists(os.path.join(cache, "npm/x")))
        package["sha256"] = hashlib.sha256(data.getvalue()).hexdigest()
        self.assertEqual(fetch.fetch(package, cache), (5, None))
        self.assertEqual(os.listdir(os.path.join(cache, "npm/x")), ["a.txt"])
        self.assertFalse(os.path.exists(os.path.join(cache, "npm/out.txt")))
        os.unlink(os.path.join(folder, "x.tgz"))
        self.assertEqual(fetch.fetch(package, cache), (5, None), "what is there is not fetched again")
        size, why = fetch.fetch(dict(package, version="2.0"), cache)
        self.assertIn("x 2.0 cannot be had", why)

    def test_a_source_comes_from_the_site_of_apt(self):
        folder, data = tempfile.mkdtemp(), io.BytesIO()
        self.addCleanup(shutil.rmtree, folder)
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for name, kind, text in (("x-1.0/src/a.c", tarfile.REGTYPE, b"first"), ("x-1.0/doc/b", tarfile.REGTYPE, b"second"),
                                     ("x-1.0/../../src/c", tarfile.REGTYPE, b"third"), ("x-1.0/src/up", tarfile.SYMTYPE, b"")):
                member = tarfile.TarInfo(name)
                member.type, member.size, member.linkname = kind, len(text), "../../../.." if kind == tarfile.SYMTYPE else ""
                archive.addfile(member, io.BytesIO(text))
        pool = os.path.join(folder, "site/pool/main/x")
        os.makedirs(pool)
        os.makedirs(os.path.join(folder, "bin"))
        with open(os.path.join(pool, "x_1.0.orig.tar.gz"), "wb") as f:
            f.write(data.getvalue())
        with open(os.path.join(folder, "bin/apt-get"), "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\n[ "$1" = indextargets ] && [ "$3" = "\\$(SITE)" ] || exit 1\necho cdrom:/x\necho file:{folder}/none\necho file:{folder}/site/\n')
        os.chmod(os.path.join(folder, "bin/apt-get"), 0o755)
        cache = os.path.join(folder, "cache")
        package = {"name": "x", "kind": "source", "version": "1.0", "pool": "pool/main/x/x_1.0.orig.tar.gz", "sha256": "0" * 64,
                   "bytes": len(data.getvalue()), "unpacked": 5, "keep": ["x-1.0/src/*"]}
        with unittest.mock.patch.dict(os.environ, PATH=os.path.join(folder, "bin") + ":" + os.environ["PATH"]):
            self.assertEqual(fetch.sites(), [f"file:{folder}/{name}" for name in ("none", "site")])
            size, why = fetch.fetch(package, cache)
            self.assertEqual(size, 0)
            self.assertIn("is not the pinned one", why)
            self.assertFalse(os.path.exists(os.path.join(cache, "source/x")))
            package["sha256"] = hashlib.sha256(data.getvalue()).hexdigest()
            self.assertIn("is not the pinned one", fetch.fetch(dict(package, bytes=10), cache)[1], "no more is read than there should be")
            self.assertEqual(fetch.fetch(package, cache), (5, None))
            self.assertEqual(os.listdir(os.path.join(cache, "source")), ["x"])
            self.assertEqual(os.listdir(os.path.join(cache, "source/x")), ["src"])
            self.assertEqual(os.listdir(os.path.join(cache, "source/x/src")), ["a.c"])
            shutil.rmtree(os.path.join(folder, "site"))
            self.assertEqual(fetch.fetch(package, cache), (5, None), "what is there is not fetched again")
            size, why = fetch.fetch(dict(package, version="2.0", pool="pool/main/x/x_2.0.orig.tar.gz"), cache)
            self.assertEqual(size, 0)
            self.assertRegex(why, r"^x 2\.0 cannot be had: .*x_2\.0\.orig\.tar\.gz")
            os.unlink(os.path.join(folder, "bin/apt-get"))
            with unittest.mock.patch.dict(os.environ, PATH=os.path.join(folder, "bin")):
                self.assertEqual(fetch.sites(), [], "without apt")
                self.assertIn("names no site", fetch.fetch(dict(package, version="2.0"), cache)[1])

    def unpacked(self, members, most=100):
        """(names that unpack() gives, its folder) of members (name, kind, link or content)."""
        folder, data = tempfile.mkdtemp(), io.BytesIO()
        self.addCleanup(shutil.rmtree, folder)
        os.makedirs(os.path.join(folder, "in"))
        with tarfile.open(fileobj=data, mode="w") as archive:
            for name, kind, more in members:
                member = tarfile.TarInfo(name)
                member.type = kind
                member.linkname = more if kind != tarfile.REGTYPE else ""
                member.size = len(more) if kind == tarfile.REGTYPE else 0
                archive.addfile(member, io.BytesIO(more.encode()))
        data.seek(0)
        names = fetch.unpack(data, os.path.join(folder, "in"), {"unpacked": most})[1]
        return names, folder

    def test_nothing_is_unpacked_outside_the_folder(self):
        secret = tempfile.NamedTemporaryFile()
        self.addCleanup(secret.close)
        names, folder = self.unpacked([
            ("up", tarfile.SYMTYPE, ".."), ("up/a", tarfile.REGTYPE, "a"), ("abs", tarfile.SYMTYPE, "/etc"),
            ("hard", tarfile.LNKTYPE, secret.name), ("hard2", tarfile.LNKTYPE, "../" + os.path.basename(secret.name)), ("../b", tarfile.REGTYPE, "b"),
            ("/c", tarfile.REGTYPE, "c"), ("pipe", tarfile.FIFOTYPE, ""), ("d/e", tarfile.REGTYPE, "e"), ("d/f", tarfile.SYMTYPE, "e"),
            ("g", tarfile.LNKTYPE, "d/e"), ("h", tarfile.SYMTYPE, "d"), ("h/i", tarfile.REGTYPE, "i")])
        self.assertEqual(names, ["up/a", "d/e", "d/f", "g", "h", "h/i"])
        self.assertEqual(os.listdir(folder), ["in"])
        self.assertEqual(sorted(os.listdir(os.path.join(folder, "in/d"))), ["e", "f", "i"])
        self.assertFalse(os.path.islink(os.path.join(folder, "in/up")))

    def test_a_package_that_swells_is_refused(self):
        with self.assertRaisesRegex(ValueError, "bytes come out of it"):
            self.unpacked([(str(i), tarfile.REGTYPE, "x" * fetch.SLACK) for i in range(2)])

    def package(self, cache, version):
        """A package as it is put into the cache by install()."""
        path = os.path.join(cache, version + ".tgz")
        with tarfile.open(path, mode="w:gz") as archive:
            member = tarfile.TarInfo("package/" + version)
            archive.addfile(member)
        package = {"name": "x", "kind": "npm", "version": version, "sha256": "0" * 64, "unpacked": 0}
        return package, path

    def test_another_version_replaces_the_first_and_a_broken_one_leaves_no_mark(self):
        cache = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, cache)
        os.makedirs(os.path.join(cache, "have"))
        one, first = self.package(cache, "1.0")
        two, second = self.package(cache, "2.0")
        fetch.install(one, cache, first)
        self.assertEqual((fetch.there(one, cache), fetch.there(two, cache)), (0, None))
        fetch.install(two, cache, second)
        self.assertEqual((fetch.there(one, cache), fetch.there(two, cache)), (None, 0))
        self.assertEqual(os.listdir(os.path.join(cache, "npm/x")), ["2.0"])
        with open(first, "wb") as f:
            f.write(b"no archive")
        with self.assertRaises(tarfile.TarError):
            fetch.install(one, cache, first)
        self.assertEqual((fetch.there(one, cache), fetch.there(two, cache)), (None, None))

    def test_offline_takes_no_other_version(self):
        stub = self.stub(generator("copy", "command = 'cp \"$IN\" \"$OUT\"'").replace("packages = []", 'packages = ["x"]'))
        pinned = '[[package]]\nname = "x"\nkind = "npm"\nversion = "{}"\nsha256 = "' + "0" * 64 + '"\nbytes = 1\nunpacked = 1\n'
        os.makedirs(os.path.join(stub.cache, "have"))
        package, path = self.package(stub.cache, "1.0")
        fetch.install(package, stub.cache, path)
        stub.put("packages.toml", pinned.format("1.0"))
        self.assertEqual(stub.build("out").returncode, 0)
        stub.put("packages.toml", pinned.format("2.0"))
        run = stub.build("out")
        self.assertEqual(run.returncode, 2)
        self.assertIn("x 2.0 is not in", run.stderr)

    def test_a_job_that_is_cut_short_has_no_mark_of_before(self):
        where = {"out": tempfile.mkdtemp(), "cache": "", "here": "", "plain": False}
        self.addCleanup(shutil.rmtree, where["out"])
        for folder in ("jobs", "work"):
            os.makedirs(os.path.join(where["out"], folder))
        job = {"name": "a-000", "key": "1", "items": [], "generator": {"name": "a", "command": ":"}}
        runs.run_job(job, where)
        self.assertIsNotNone(runs.done(where, job))
        with unittest.mock.patch.object(runs, "generate", side_effect=KeyboardInterrupt), self.assertRaises(KeyboardInterrupt):
            runs.run_job(dict(job, key="2"), where)
        self.assertIsNone(runs.done(where, job))

    def test_copies_depend_on_the_package_of_the_speech(self):
        whole = {"package": []}
        copy = {"name": "copy", "tracks": ["V"], "packages": [], "command": "cp"}
        clip = dict.fromkeys(("id", "in", "speaker", "language", "split", "text", "page", "words"), "x")
        folder = os.path.join(SOURCE, "corpus")
        keys = {plan.jobs([copy], [dict(clip, made=made)], whole, False, folder)[0]["key"] for made in "ab"}
        self.assertEqual(len(keys), 2)

    def test_the_last_stage(self):
        t = np.arange(22050 * 4) / 22050
        x = np.concatenate([np.zeros(9000), np.sin(2 * np.pi * 500 * t), np.zeros(20000)])
        y = stage.staged(x, 22050, "c", "n")
        self.assertEqual((len(y), y.dtype), (stage.LENGTH, np.int16))
        self.assertTrue((y == stage.staged(x * 0.01, 22050, "c", "n")).mean() > 0.99, "the level does not depend on the level given")
        self.assertFalse((y == stage.staged(x, 22050, "c", "m")).all(), "the noise is drawn from the name")
        power = np.abs(np.fft.rfft(y * np.hanning(len(y)))) ** 2
        self.assertAlmostEqual(power.argmax() * stage.RATE / len(y), 500, delta=1)
        with self.assertRaises(stage.TooShort):
            stage.staged(x[:22050 * 3], 22050, "c", "n")
        with self.assertRaises(stage.TooShort):
            stage.staged(np.zeros(100000), 16000, "c", "n")
        for rate in (8000, 11025, 24000, 32000, 44100, 48000):
            n = np.arange(rate)
            got = stage.resampled(np.sin(2 * np.pi * 1000 * n / rate), rate)
            self.assertEqual(len(got), stage.RATE)
            want = np.sin(2 * np.pi * 1000 * np.arange(stage.RATE) / stage.RATE)
            self.assertLess(np.abs(got - want)[800:-800].max(), 2e-3, rate)

    def test_the_band(self):
        n = np.arange(stage.RATE)
        for f, most, least in ((20, 0.2, 0), (1000, 1.01, 0.99), (6800, 1.01, 0.9), (7400, 0.01, 0)):
            y = stage.band(np.sin(2 * np.pi * f * n / stage.RATE), stage.LOW, stage.HIGH)[4000:-4000]
            self.assertLessEqual(np.abs(y).max(), most, f)
            self.assertGreaterEqual(np.abs(y).max(), least, f)

    def test_shortcuts_find_what_is_there_and_nothing_else(self):
        rng = np.random.default_rng(1)
        y = np.repeat([0, 1, 2], 200)
        train, test = rng.normal(size=(600, 12)), rng.normal(size=(600, 12))
        self.assertAlmostEqual(shortcuts.balanced_accuracy(train, y, test, y, 3), 1 / 3, delta=0.06)
        for x in (train, test):
            x[:, 4] += 3 * (y == 2)
            x[:, 7] -= 3 * (y == 1)
        self.assertGreater(shortcuts.balanced_accuracy(train, y, test, y, 3), 0.85)
        self.assertLess(shortcuts.balanced_accuracy(train, y, test, np.roll(y, 200), 3), 0.1)

    def test_the_report(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        rng, rows = np.random.default_rng(2), []
        for i in range(40): # the synthetic ones lack what is above 4 kHz, and no more
            x = rng.normal(0, 0.05, stage.LENGTH)
            label = ("bonafide", "spoof")[i % 2]
            x = stage.band(x, 100, 4000) if i % 2 else x
            soundfile.write(os.path.join(folder, f"{i}.flac"), x, stage.RATE)
            rows.append(dict.fromkeys(protocol.COLUMNS, "") | {"path": f"{i}.flac", "split": "train" if i < 20 else "test", "label": label,
                                                               "source": label, "setting": "same", "track": "V"})
        protocol.write_protocol(folder, rows, False)
        out = io.StringIO()
        shortcuts.report(folder, out)
        line = re.search(r"^V +human or synthetic +2 +20 +0.500 +depth +(\S+) +(\S+)$", out.getvalue(), re.M)
        self.assertIsNotNone(line, out.getvalue())
        self.assertEqual(line[1], "1.000")
        with open(os.path.join(folder, "shortcuts.csv"), newline="", encoding="utf-8") as f:
            self.assertEqual([row["test"] for row in csv.DictReader(f)], ["spectrum", "level", "depth"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
