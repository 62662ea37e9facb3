#!/bin/bash
# The model that ships gives the sample recordings the names they have: the person is human, every re-synthesis is its
# maker, espeak-ng is espeak-ng.
set -eu
model=$SPOOR_SOURCE_DIR/models/default.safetensors
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$SPOOR_BUILD_DIR/spoor" trace --jsonl -m "$model" "$SPOOR_SOURCE_DIR"/samples/*.flac >"$out"
[ "$(wc -l <"$out")" = 8 ] || { echo "not one line for each of 8 samples"; exit 1; }

expect() { # FILE PATTERN
    grep -F "/samples/$1" "$out" | grep -q "$2" || { echo "$1: no $2 in"; grep -F "/samples/$1" "$out"; exit 1; }
}
expect 1-person '"verdict":"bonafide"'
for pair in 2-hifigan:hifigan 3-griffin-lim:griffin-lim 4-world:world 5-lyra2:lyra2 6-lyra1:lyra1 7-codec2:codec2 8-espeak-ng:espeak-ng; do
    expect "${pair%%:*}" '"verdict":"known"'
    expect "${pair%%:*}" "\"source\":{\"name\":\"${pair##*:}\",\"p\":0\\.[89]"
done
"$SPOOR_BUILD_DIR/spoor" trace --jsonl -j 8 -m "$model" "$SPOOR_SOURCE_DIR"/samples/*.flac | cmp - "$out" ||
    { echo "the answers depend on the number of jobs"; exit 1; }
[ "$(stat -c %s "$model")" -le 10000000 ] || { echo "the model is larger than 10 MB"; exit 1; }
