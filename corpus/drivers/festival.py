#!/usr/bin/python3
"""Clips by voices of Festival: festival.py JOB. One process a voice."""
import json
import os
import subprocess
import sys


def quoted(text):
    return '"' + text.replace("\\", " ").replace('"', " ").replace("\n", " ") + '"'


with open(sys.argv[1]) as f:
    job = json.load(f)
folder = os.path.join(os.environ["ROOT"], "usr/share/festival/")
for voice in sorted({item["voice"] for item in job["items"]}):
    lines = [f"(set! libdir {quoted(folder)})", "(set! datadir libdir)", '(load (string-append libdir "init.scm"))', f"(voice_{voice})"]
    for item in job["items"]:
        if item["voice"] == voice:
            lines.append(f"(utt.save.wave (utt.synth (Utterance Text {quoted(item['text'])})) {quoted(item['out'])} 'riff)")
    script = sys.argv[1] + ".scm"
    # The Finnish and Catalan voices read Latin-1; what it lacks is left out.
    with open(script, "w", encoding="latin-1", errors="ignore") as f:
        f.write("\n".join(lines) + "\n")
    environment = dict(os.environ, HOME=job["work"])
    subprocess.run([os.path.join(os.environ["ROOT"], "usr/bin/festival"), "-b", script], env=environment,
                   stdout=subprocess.DEVNULL, check=False)
    os.unlink(script)
