#!/bin/sh
# Score-embedding fusion of REFD + N-pair and the Conformer on the corpus of demonstration pages: trains both by the recipes beside this
# script (or takes them where they have been trained), and fuses them (docs/fuse.md).
# Usage: recipes/pages/fusion.sh whisper|logmel RUNS [option of spoor train ...]
# RUNS: where the models go. The result is RUNS/fusion/model.safetensors. CORPUS: the folder of pages.csv and resynth.csv (default: shared/corpus
# beside this checkout, as in the recipes), SPOOR: the program (default spoor).
set -eu
[ $# -ge 2 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
here=$(dirname "$0") front=$1 runs=$2 spoor=${SPOOR:-spoor}
corpus=${CORPUS:-$here/../../../shared/corpus}
shift 2
for name in refd-npair conformer; do
    [ -f "$runs/$name/model.safetensors" ] || "$spoor" train "$here/$name-$front.yaml" --out "$runs/$name" "$@"
done
mkdir -p "$runs/fusion"
"$spoor" fuse "$runs/refd-npair/model.safetensors" "$runs/conformer/model.safetensors" \
    --manifest "$corpus/pages.csv" --manifest "$corpus/resynth.csv" -o "$runs/fusion/model.safetensors"
