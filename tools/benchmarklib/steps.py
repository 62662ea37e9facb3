"""What the benchmark trains, and the steps of it: each is done once, for the same recipe, settings and corpus, and done again where one
of these changed."""
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time

from .scores import Refused

RECIPES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "recipes", "benchmark")
CLIPS, EPOCHS = 32000, 12                        # the budget of a training: clips drawn, but no more epochs than these
CONDITIONS = ("mp3-64", "opus-16", "telephone", "band-200-3400", "noise-20", "reverb-0.5")
BAND = ("frontend.f_min=200", "frontend.f_max=3400")

# name: (recipe, stage, share of the budget), and settings
TRAININGS = {
    "linear": ("linear", None, 0),
    "aasist-re": ("aasist", "re", 0.5),
    "aasist-fd": ("aasist", "fd", 1),
    "aasist-npair": ("aasist", "npair", 1),
    "conformer-re": ("conformer", "re", 0.5),
    "conformer-npair": ("conformer", "npair", 1),
    "M1": ("taxonomy", "M1", 1),
    "joint": ("taxonomy", "joint", 1),
    "spectral": ("spectral", None, 1),
    "whisper": ("whisper", None, 0),
    "linear-band": ("linear", None, 0) + BAND + ("frontend.n_mels=40",),
    "spectral-band": ("spectral", None, 1) + BAND,
}
# name: how the tasks are shared out, or the systems that are fused
COMBINED = {
    "refd": {"bonafide": "aasist-re", "source": "aasist-fd"},
    "refd-npair": {"bonafide": "aasist-re", "source": "aasist-npair"},
    "conformer": {"bonafide": "conformer-re", "source": "conformer-npair"},
    "fusion": ["refd-npair", "conformer"],
}
# system: (title, training or combination)
SYSTEMS = {
    "linear": ("linear (log-mel)", "linear"),
    "whisper": ("linear (Whisper-tiny)", "whisper"),
    "baseline": ("A: baseline", "aasist-fd"),
    "refd": ("A: REFD", "refd"),
    "refd-npair": ("A: REFD + N-pair", "refd-npair"),
    "conformer": ("A: Conformer", "conformer"),
    "fusion": ("A: fusion", "fusion"),
    "M1": ("B: M1", "M1"),
    "joint": ("B: joint head", "joint"),
    "spectral": ("spectral Conformer", "spectral"),
    "linear-band": ("linear (log-mel, 200 to 3400 Hz)", "linear-band"),
    "spectral-band": ("spectral Conformer (200 to 3400 Hz)", "spectral-band"),
}
BANDED = ("linear-band", "spectral-band")        # they hear the common band alone, and have a table of their own


def needed(systems):
    """(trainings, combinations in an order in which they can be made) of these systems."""
    trainings, combined = [], []

    def add(name):
        if name in TRAININGS:
            if name not in trainings:
                trainings.append(name)
            return
        parts = COMBINED[name]
        for part in parts.values() if isinstance(parts, dict) else parts:
            add(part)
        if name not in combined:
            combined.append(name)
    for system in systems:
        add(SYSTEMS[system][1])
    return trainings, combined


def sha(*parts):
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Steps:
    """Runs Spoor, a folder for each result. base/NAME-SEED holds key (what it is made of), log, done (written last) and the files."""

    def __init__(self, spoor, protocol, out, jobs, say=sys.stderr):
        self.spoor, self.protocol, self.jobs, self.say = spoor, protocol, jobs, say
        self.base = os.path.join(out, protocol.hash[:12])
        self.keys, self.total, self.count = {}, 0, 0
        self.running = set()
        self.lock = threading.Lock()
        os.makedirs(self.base, exist_ok=True)

    def folder(self, name, seed):
        return os.path.join(self.base, f"{name}-{seed}")

    def model(self, name, seed):
        stage = TRAININGS[name][1] if name in TRAININGS else None
        return os.path.join(self.folder(name, seed), *([stage] if stage else []), "model.safetensors")

    def told(self, text):
        with self.lock:
            self.count += 1
            print(f"[{self.count}/{self.total}] {text}", file=self.say, flush=True)

    def ready(self, folder, key):
        """True where the result is there; else the folder is there to be made or gone on with."""
        mark = os.path.join(folder, "key")
        if os.path.exists(mark):
            with open(mark, encoding="utf-8") as f:
                if f.read() == key:
                    return os.path.exists(os.path.join(folder, "done"))
            shutil.rmtree(folder)
        os.makedirs(folder, exist_ok=True)
        with open(mark, "w", encoding="utf-8") as f:
            f.write(key)
        return False

    def run(self, folder, command, out=None):
        """Runs a command; its talk goes to the folder's log. Returns its processor time. A command that fails ends the benchmark."""
        with open(os.path.join(folder, "log"), "ab") as log, open(out or os.devnull, "wb") as result:
            process = subprocess.Popen(command, stdout=result if out else log, stderr=log, stdin=subprocess.DEVNULL)
            self.running.add(process)
            _, status, used = os.wait4(process.pid, 0)
            self.running.discard(process)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
                last = log.read().strip().splitlines()[-1:]
            raise Refused(f"{' '.join(command[:3])} ended with {process.returncode}: {''.join(last)} ({folder}/log)")
        return used.ru_utime + used.ru_stime

    def step(self, name, seed, key, make, verb):
        """make(folder) -> processor time, unless it was done before."""
        folder = self.folder(name, seed)
        self.keys[name, seed] = key
        if self.ready(folder, key):
            self.told(f"{verb} {name}, seed {seed}: done before")
            return
        begin = time.monotonic()
        used = make(folder)
        with open(os.path.join(folder, "done.part"), "w", encoding="utf-8") as f:
            json.dump({"cpu_seconds": round(used, 1)}, f)
        os.replace(os.path.join(folder, "done.part"), os.path.join(folder, "done"))
        self.told(f"{verb} {name}, seed {seed}: {time.monotonic() - begin:.0f} s")

    def cpu(self, name, seed):
        """Seconds of training of a system's parts, each once."""
        trainings, _ = needed([name])
        total = 0
        for part in trainings:
            with open(os.path.join(self.folder(part, seed), "done"), encoding="utf-8") as f:
                total += json.load(f)["cpu_seconds"]
        return total

    def epochs(self, command, share):
        """As many as the budget has for what an epoch of this training draws."""
        if share == 0:
            return 1
        drawn = subprocess.run(command + ["--dry-run", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if drawn.returncode != 0:
            raise Refused(f"{' '.join(command[:3])} --dry-run: {''.join(drawn.stderr.strip().splitlines()[-1:])}")
        clips = json.loads(drawn.stdout)["stages"][0]["clips"]
        return max(1, min(round(EPOCHS * share), round(CLIPS * share / clips)))

    def train(self, name, seed):
        recipe, stage, share, *settings = TRAININGS[name]
        path = os.path.normpath(os.path.join(RECIPES, recipe + ".yaml"))
        command = [self.spoor, "train", path, "--set", f"data.manifests.0.path={os.path.abspath(self.protocol.path)}", "--set", f"seed={seed}"]
        for setting in settings:
            command += ["--set", setting]
        command += ["--stage", stage] if stage else []
        epochs = self.epochs(command, share)
        with open(path, encoding="utf-8") as f:
            key = sha(f.read(), stage, settings, epochs, self.protocol.hash, seed)
        self.step(name, seed, key, lambda folder: self.run(folder, command + [
            "--set", f"schedule.epochs={epochs}", "-t", "1", "--out", folder, "--resume"]), "train")

    def combine(self, name, seed):
        parts = COMBINED[name]
        names = list(parts.values()) if isinstance(parts, dict) else parts
        key = sha(parts, [self.keys[n, seed] for n in names])

        def make(folder):
            command = [self.spoor, "fuse", "-o", os.path.join(folder, "model.safetensors")]
            if isinstance(parts, dict):
                for task, part in parts.items():
                    command += ["--tasks", f"{task}={self.model(part, seed)}"]
            else:
                command += [self.model(n, seed) for n in parts] + ["--manifest", self.protocol.path, "-j", str(self.jobs)]
            return self.run(folder, command)
        self.step(name, seed, key, make, "combine")

    def score(self, system, seed):
        """Score files: of the test split as it is, and of a sample of it under each condition."""
        part = SYSTEMS[system][1]
        sample = self.protocol.sample()
        key = sha(self.keys[part, seed], CONDITIONS, [r["path"] for r in sample])

        def make(folder):
            listed = os.path.join(folder, "sample.csv")
            with open(listed, "w", encoding="utf-8") as f:
                f.write("path,split,label,source\n" + "".join(f"{r['path']},test,{r['label']},{r['source']}\n" for r in sample))
            command = [self.spoor, "eval", self.model(part, seed), "--root", os.path.dirname(self.protocol.path) or ".", "--split", "test",
                       "--replicates", "0", "--json", "-j", str(self.jobs)]
            used = self.run(folder, command + ["--manifest", self.protocol.path, "--out", os.path.join(folder, "full.tsv")],
                            os.path.join(folder, "full.json"))
            if system not in BANDED:
                used += self.run(folder, command + ["--manifest", listed, "--degrade", ",".join(CONDITIONS), "--out",
                                                    os.path.join(folder, "{condition}.tsv")], os.path.join(folder, "sample.json"))
            return used
        self.step("scores-" + system, seed, key, make, "score")

    def all(self, systems, seeds):
        trainings, combined = needed(systems)
        self.total = (len(trainings) + len(combined) + len(systems)) * len(seeds)
        jobs = [(name, seed) for seed in seeds for name in trainings]
        self.parallel(lambda job: self.train(*job), jobs)
        for seed in seeds:
            for name in combined:
                self.combine(name, seed)
            for system in systems:
                self.score(system, seed)

    def parallel(self, function, jobs):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(function, job) for job in jobs]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self.running):       # each goes on from its checkpoint next time
                    process.terminate()
                raise
            return [future.result() for future in futures]
