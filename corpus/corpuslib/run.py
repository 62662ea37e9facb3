"""One job: a generator makes its clips, the last stage finishes them, a mark says that it is done. Killed at any moment, the next run does
the jobs again that have no mark."""
import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile

from . import people as peoples
from . import protocol
from . import stage

LIMIT = 300                   # seconds for one clip, on a machine that has other things to do as well
PREPARE_LIMIT = 1800          # for what is compiled once


def programs(where):
    """Where programs are that are built once."""
    return where.get("programs") or os.path.join(where["out"], "programs")


def environment(where, **more):
    libraries = os.path.join(where["cache"], "root/usr/lib/x86_64-linux-gnu")
    return dict(os.environ, ROOT=os.path.join(where["cache"], "root"), SOURCE=os.path.join(where["cache"], "source"), BUILD=programs(where),
                HERE=where["here"], JOBS=str(where.get("jobs", 1)), NODE_PATH=os.path.join(where["cache"], "npm"), LD_LIBRARY_PATH=libraries,
                ESPEAK_DATA_PATH=libraries, LC_ALL="C.UTF-8", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", **more)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL) # PR_SET_PDEATHSIG


def call(command, limit, cwd, env):
    """Runs a command with its children, at most limit seconds. Returns None or what went wrong."""
    with tempfile.TemporaryFile() as talk:
        with subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=talk, stderr=talk, start_new_session=True,
                              preexec_fn=die_with_parent) as run:
            try:
                status = run.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                return f"did not end in {limit} s"
            except KeyboardInterrupt:
                os.killpg(run.pid, signal.SIGKILL) # its children as well
                raise
        if status == 0:
            return None
        talk.seek(0)
        lines = talk.read().decode(errors="replace").strip().splitlines()
        return (lines[-1][:200] if lines else "no output") + f" (exit status {status})"


def write_json(path, value):
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(value, f)
    os.replace(path + ".new", path)


def write_raw(source, target, rate):
    x, had = stage.read(source)
    if rate != had:
        x = stage.convolved(x, stage.lowpass(0.475 * rate / had, 96))[::had // rate] # had is 16000, rate is 16000 or 8000
    with open(target, "wb") as f:
        f.write(stage.np.rint(stage.np.clip(x, -1, 1 - 2 ** -15) * 32768).astype("<i2").tobytes())


def prepare(generator, where):
    """Runs what a generator needs once. Returns a sentence or None."""
    if "prepare" not in generator:
        return None
    os.makedirs(programs(where), exist_ok=True)
    problem = call(["/bin/sh", "-ec", generator["prepare"]], PREPARE_LIMIT, where["out"], environment(where))
    return f"cannot be prepared: {problem}" if problem else None


def generate(job, items, work, where):
    """Lets the generator make items: each gets `raw`, the path of what it made (or not). Returns what went wrong last, or None."""
    generator, wrong = job["generator"], None
    for item in items:
        item["raw"] = os.path.join(work, item["id"] + ".wav")
    if "driver" in generator:
        task = os.path.join(work, "job.json")
        write_json(task, {"options": generator.get("options", {}), "seed": job["seed"], "work": work, "items": [
            {"id": x["id"], "in": x["in"], "out": x["raw"], "text": x["words"], "language": x["language"], "voice": x["voice"]}
            for x in items]})
        driver = os.path.join(where["here"], "drivers", generator["driver"])
        program = {".js": ["node"], ".py": ["/usr/bin/python3"]}.get(os.path.splitext(driver)[1], [])
        return call(program + [driver, task], 120 + len(items) * LIMIT, work, environment(where))
    for item in items:
        source = item["in"] or ""
        if generator.get("input"):
            source = os.path.join(work, "in.raw")
            write_raw(item["in"], source, 8000 if generator["input"] == "raw8" else 16000)
        env = environment(where, IN=source, OUT=item["raw"], TEXT=item["words"], LANGUAGE=item["language"], VOICE=item["voice"],
                          TMP=os.path.join(work, "between"))
        problem = call(["/bin/sh", "-ec", generator["command"]], LIMIT, work, env)
        if problem:
            wrong = problem
            if os.path.exists(item["raw"]):
                os.unlink(item["raw"])
    return wrong


def audio_path(where, source, name, kind="audio"):
    return os.path.join(where["out"], kind, source, name + ".flac")


def finish(where, source, clip, path, crop):
    """The clip at `path` through the last stage, and without it where that is asked for. Returns its rate."""
    target, beside = audio_path(where, source, clip), audio_path(where, source, clip, "plain")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside) # one of before must not pass for the one of this clip
    for made in [target] + ([beside] if where["plain"] else []):
        os.makedirs(os.path.dirname(made), exist_ok=True)
    return stage.finish(path, target, crop, clip, beside if where["plain"] else None)


def paths_of(where, rows):
    """The files of these rows."""
    paths = [row["path"] for row in rows]
    return paths + [protocol.plain_path(path) for path in paths] if where["plain"] else paths


def row_of(item, source, rate, generator):
    return {"path": f"audio/{source}/{item['id']}.flac", "split": item["split"], "label": "bonafide" if source == "bonafide" else "spoof",
            "source": source, "family": generator.get("family", "human"), "vocoder": generator.get("vocoder", ""),
            "vq": generator.get("vq", ""), "aux": generator.get("aux", ""), "dec": generator.get("dec", ""), "page": item["page"],
            "setting": "unknown" if generator.get("heldout") else "same", "language": item["language"], "speaker": item["speaker"],
            "text": item["text"], "source_rate": rate, "seconds": f"{stage.LENGTH / stage.RATE:.3f}", "track": item["track"]}


def mark_path(where, name):
    return os.path.join(where["out"], "jobs", name + ".json")


def done(where, job):
    """The mark of a job that was done with the same key, and whose clips are there; or None."""
    try:
        with open(mark_path(where, job["name"]), encoding="utf-8") as f:
            mark = json.load(f)
    except (OSError, ValueError):
        return None
    if mark.get("key") != job["key"] or mark["failed"]:
        return None
    return mark if all(os.path.exists(os.path.join(where["out"], path)) for path in paths_of(where, mark["rows"])) else None


def forget(where, name):
    """Removes the mark of a job that is done anew: clips of two manifests must not pass for those of the first."""
    if os.path.exists(mark_path(where, name)):
        os.unlink(mark_path(where, name))


def processor_time():
    """Seconds of this process and of those that it waited for."""
    return sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
               for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def run_job(job, where):
    """Does one job. Returns its mark: {key, rows, short, failed: {id: why}, processor: seconds}."""
    generator, begin = job["generator"], processor_time()
    mark = {"key": job["key"], "rows": [], "short": 0, "failed": {}}
    work = tempfile.mkdtemp(prefix=job["name"] + "-", dir=os.path.join(where["out"], "work"))
    try:
        forget(where, job["name"])
        items = [dict(x) for x in job["items"]]
        wrong = generate(job, items, work, where)
        for item in items:
            try:
                if not os.path.exists(item["raw"]):
                    raise ValueError(wrong or "made nothing")
                rate = finish(where, generator["name"], item["id"], item["raw"], item["crop"])
                mark["rows"].append(row_of(item, generator["name"], rate, generator))
            except stage.TooShort:
                mark["short"] += 1
            except (OSError, RuntimeError, ValueError) as error:
                mark["failed"][item["id"]] = str(error)
        mark["processor"] = round(processor_time() - begin, 2)
        write_json(mark_path(where, job["name"]), mark)
    except Exception as error: # a job that fails must not end the others
        mark["failed"] = {item["id"]: f"{type(error).__name__}: {error}" for item in job["items"]}
        mark["rows"] = []
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return mark


def run_people(human, most, key, where):
    """The clips of one speaker, as generators get them and finished. Returns {key, clips, rows, failed}."""
    mark = {"key": key, "clips": [], "rows": [], "short": 0, "failed": {}}
    folder = os.path.join(where["out"], "people")
    try:
        forget(where, "people-" + human["name"])
        for clip in peoples.clips(human, os.path.join(where["cache"], "root"), most, folder):
            try:
                finish(where, "bonafide", clip["id"], clip["in"], clip["id"])
            except stage.TooShort:
                continue
            mark["clips"].append(dict(clip, made=key))
            mark["rows"].append(row_of(dict(clip, track="VR" if clip["words"] else "V"), "bonafide", clip["rate"], {}))
        write_json(mark_path(where, "people-" + human["name"]), mark)
    except Exception as error: # as above
        mark["failed"] = {human["name"]: f"{type(error).__name__}: {error}"}
    return mark
