#!/bin/sh
# Score-embedding fusion of REFD + N-pair and the Conformer on MLAAD, after "Unveiling Audio Deepfake Origins" (Interspeech 2025): trains
# both by the recipes beside this script (or takes them where they have been trained), and fuses them: docs/fuse.md.
# Usage: recipes/mlaad/fusion.sh LISTS AUDIO RUNS [option of spoor train ...]
# LISTS: the folder of train.csv, dev.csv (the protocol's) and bonafide.csv (as in refd-npair.yaml), AUDIO: that of the recordings,
# RUNS: where the models go. The result is RUNS/fusion.safetensors. SPOOR: the program (default spoor).
set -eu
[ $# -ge 3 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
here=$(dirname "$0") lists=$(cd "$1" && pwd) audio=$(cd "$2" && pwd) runs=$3 spoor=${SPOOR:-spoor}
shift 3
for name in refd-npair conformer; do
    [ -f "$runs/$name/model.safetensors" ] ||
        "$spoor" train "$here/$name.yaml" --out "$runs/$name" "$@" \
            --set data.manifests.0.path="$lists/train.csv" --set data.manifests.0.root="$audio" \
            --set data.manifests.1.path="$lists/dev.csv" --set data.manifests.1.root="$audio" \
            --set data.manifests.2.path="$lists/bonafide.csv" --set data.manifests.2.root="$audio"
done
mkdir -p "$runs"
"$spoor" data convert --format mlaad --root "$audio" "$lists/train.csv" "$lists/dev.csv" -o "$runs/mlaad.csv"
"$spoor" data convert --root "$audio" "$lists/bonafide.csv" -o "$runs/bonafide.csv"
"$spoor" fuse "$runs/refd-npair/model.safetensors" "$runs/conformer/model.safetensors" \
    --manifest "$runs/mlaad.csv" --manifest "$runs/bonafide.csv" -o "$runs/fusion.safetensors"
