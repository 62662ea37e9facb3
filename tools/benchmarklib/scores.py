"""Score files of the benchmark: of Spoor's own models and of any other system, labelled by the corpus' protocol and cut into tracks and
conditions, in the form that `spoor eval --scores` reads (docs/eval.md)."""
import csv
import hashlib
import math
import os

HUMAN = ("bonafide", "human", "real")            # names of the class of human speech: it takes no part in naming sources
TRACKS = {"all": None, "V": ("V", "VR"), "T": ("T",), "R": ("R", "VR")}
FIXED = ("id", "split", "page", "setting", "source", "is_bonafide", "bonafide", "is_known", "known")
ATTRIBUTES = ("family", "vocoder")
PER_SOURCE, PER_HUMAN = 8, 60                     # clips of the test split that are degraded


class Refused(Exception):
    """A file that cannot be used: one sentence."""


class Protocol:
    """The rows of protocol.csv. page is what intervals are drawn by: the text, that is, a human recording with all that was made of
    it, or a sentence with all systems that speak it."""

    def __init__(self, corpus):
        self.path = os.path.join(corpus, "protocol.csv")
        try:
            with open(self.path, "rb") as f:
                self.hash = hashlib.sha256(f.read()).hexdigest()
            with open(self.path, newline="", encoding="utf-8") as f:
                rows = list(csv.DictReader(f))
        except OSError as e:
            raise Refused(f"{self.path} cannot be read ({e.strerror}); make corpus builds the corpus, CORPUS=DIR says where it is") from e
        needed = {"path", "split", "label", "source", "family", "vocoder", "text", "track"}
        if not rows or not needed <= set(rows[0]):
            raise Refused(f"{self.path} is no protocol of the corpus: it needs rows with the columns {', '.join(sorted(needed))}")
        self.rows = rows
        trained = [r for r in rows if r["split"] == "train" and r["label"] == "spoof"]
        self.sources = sorted({r["source"] for r in trained})
        self.attributes = {a: {r["source"]: r[a] for r in trained if r[a]} for a in ATTRIBUTES}
        self.test = {r["path"]: r for r in rows if r["split"] == "test"}

    def known(self, row):
        return row["source"] in self.sources

    def classes(self, task):
        return self.sources if task == "source" else sorted(set(self.attributes.get(task, {}).values()))

    def sample(self):
        """The rows that are degraded: of each source the same number, whatever order the protocol has."""
        taken, out = {}, []
        for row in sorted(self.test.values(), key=lambda r: hashlib.sha256(r["path"].encode()).digest()):
            taken[row["source"]] = taken.get(row["source"], 0) + 1
            if taken[row["source"]] <= (PER_HUMAN if row["label"] == "bonafide" else PER_SOURCE):
                out.append(row)
        return sorted(out, key=lambda r: r["path"])


def separator(header):
    return next((s for s in "\t;|" if s in header), ",")


def read(path):
    """(flags, columns, rows) of a score file; flags: the comment line of Spoor's own form or ''."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as f:
            flags = ""
            at = f.tell()
            line = f.readline()
            if line.startswith("#"):
                flags, at = line.strip(), f.tell()
                line = f.readline()
            f.seek(at)
            table = csv.DictReader(f, delimiter=separator(line), strict=True)
            rows = list(table)
            columns = table.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise Refused(f"{path} cannot be read as a score file: {e}") from e
    if "id" not in columns:
        raise Refused(f"{path}: a score file needs a header with the column id (docs/benchmark.md); this one begins {line.strip()[:80]!r}")
    return flags, columns, rows


def number(path, row, column, line):
    text = row.get(column) or ""
    if text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise Refused(f"{path}: row {line}, column {column}: {text[:40]!r} is no number")
    return value


class Answers:
    """What a system says of clips of the test split. tasks: {task: classes}; rows: {path: {"bonafide", "known", task: [score] or None}};
    derived: tasks that were not in the file but follow from its sources."""

    def __init__(self, path, protocol):
        self.path, self.derived = path, []
        self.flags, columns, rows = read(path)
        self.columns = set(columns)
        scored = [c.split("/", 2) for c in columns if c.startswith("score/") and c.count("/") >= 2]
        self.tasks = {}
        for _, task, name in scored:
            if name.lower() not in HUMAN:
                self.tasks.setdefault(task, []).append(name)
        said = [c.split("/", 1)[1] for c in columns if c.startswith("answer/")]
        for task in said:
            self.tasks[task] = protocol.classes(task)
        self.tasks = {t: c for t, c in self.tasks.items() if t in ("source",) + ATTRIBUTES and c}
        self.said = set(said)
        self.rows = {}
        for i, row in enumerate(rows, 1):
            self.add(row, i, protocol)
        if not self.rows:
            raise Refused(f"{path} has no row")
        for attribute in ATTRIBUTES:
            self.derive(attribute, protocol)

    def add(self, row, line, protocol):
        name = (row["id"] or "").removeprefix("./")
        if name not in protocol.test:
            raise Refused(f"{self.path}: row {line}: {name[:120]!r} is no path of the test split of {protocol.path}")
        if name in self.rows:
            raise Refused(f"{self.path}: row {line}: {name} stands there twice")
        out = {k: number(self.path, row, k, line) for k in ("bonafide", "known") if k in self.columns}
        if "bonafide" not in out and "score/bonafide/bonafide" in self.columns:
            out["bonafide"] = number(self.path, row, "score/bonafide/bonafide", line)
        for task, classes in self.tasks.items():
            if task in self.said:
                answer = row.get("answer/" + task) or ""
                out[task] = [float(answer == c) for c in classes] if answer else None
                if answer and answer.lower() not in HUMAN and answer not in classes:
                    raise Refused(f"{self.path}: row {line}: {answer[:60]!r} is no class of {task}; there are {', '.join(classes)}")
                continue
            values = [number(self.path, row, f"score/{task}/{c}", line) for c in classes]
            if None in values and any(v is not None for v in values):
                raise Refused(f"{self.path}: row {line}: some scores of {task} are missing; give all or none")
            out[task] = None if None in values else values
        if "known" not in out and out.get("source"):
            out["known"] = max(out["source"])
        self.rows[name] = out

    def derive(self, attribute, protocol):
        """The attribute's classes from the probabilities of the sources that have them, where they are probabilities."""
        of = protocol.attributes[attribute]
        sources = self.tasks.get("source")
        if attribute in self.tasks or not sources or len(set(of.values())) < 2:
            return
        if any(s < 0 for row in self.rows.values() for s in row["source"] or []):
            return
        classes = protocol.classes(attribute)
        for row in self.rows.values():
            sums = dict.fromkeys(classes, 0.0)
            for name, p in zip(sources, row["source"] or []):
                if name in of:
                    sums[of[name]] += p
            row[attribute] = list(sums.values()) if row["source"] else None
        self.tasks[attribute] = classes
        self.derived.append(attribute)

    def write(self, path, protocol, track):
        """Writes the rows of a track in Spoor's form with the labels of the protocol; False: there is none."""
        wanted = TRACKS[track]
        rows = [(protocol.test[name], row) for name, row in sorted(self.rows.items()) if not wanted or protocol.test[name]["track"] in wanted]
        columns = list(FIXED)
        for task, classes in self.tasks.items():
            columns += [f"true/{task}"] + [f"score/{task}/{c}" for c in classes]
        llr = int(" llr=1" in self.flags)
        with open(path + ".part", "w", newline="", encoding="utf-8") as f:
            f.write(f"# spoor scores 1 probabilities=0 decisions={int(bool(self.said))} llr={llr}\n")
            table = csv.writer(f, delimiter="\t", lineterminator="\n")
            table.writerow(columns)
            for label, row in rows:
                table.writerow(self.line(label, row, protocol))
        os.replace(path + ".part", path)
        return bool(rows)

    def line(self, label, row, protocol):
        human = label["label"] == "bonafide"
        known = protocol.known(label)
        out = [label["path"], "test", label["text"], "same" if human or known else "unknown", label["source"], int(human),
               text(row.get("bonafide")), "" if human else int(known), text(row.get("known"))]
        for task, classes in self.tasks.items():
            truth = "" if human else label[task]
            values = row.get(task)
            out += [truth if truth in classes else ""] + [text(v) for v in values or [None] * len(classes)]
        return out


def text(value):
    return "" if value is None else repr(value)
