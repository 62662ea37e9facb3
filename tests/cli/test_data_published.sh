#!/bin/bash
# spoor data check on published protocols says what the reference counted in them. SPOOR_PROTOCOLS: the folder that has
# them (default: ../shared/protocols beside the source).
set -eu
spoor=$SPOOR_BUILD_DIR/spoor
from=${SPOOR_PROTOCOLS:-$SPOOR_SOURCE_DIR/../shared/protocols}
[ -d "$from/mlaad_v5" ] || { echo "no published protocols in $from (SPOOR_PROTOCOLS)"; exit 77; }
command -v xz >/dev/null || { echo "no xz to unpack them"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "$1"; cat out; exit 1; }
says() { grep -q -- "$1" out || fail "it does not say: $1"; }

for split in train dev eval; do
    xz -dc "$from/mlaad_v5/$split.csv.xz" >$split.csv
done
"$spoor" data check --format mlaad train.csv dev.csv eval.csv >out
says '^train.csv (train)$'
says '^  holds          11100 rows, 11100 files, 24 classes$'
says '^  holds          12000 rows, 12000 files, 25 classes$'
says '^  ID             4800 rows, 4800 files, 8 classes$'
says '^  OOD            7200 rows, 7200 files, 17 classes$'
says '^  holds          33900 rows, 33791 files, 64 classes$'
says '^  ID             13591 rows, 13482 files, 21 classes$'
says '^  OOD            20309 rows, 20309 files, 43 classes$'
says '^rows repeated of eval.csv (109):$'
[ "$(grep -c '^  fake/' out)" = 109 ] || fail "not 109 repeated rows are named"
says '^- dev.csv OOD: tts_models/multilingual/multi-dataset/bark alone is 2400 of 7200 rows (33 %) in 17 classes'
says '^- eval.csv OOD: tts_models/multilingual/multi-dataset/bark alone is 7200 of 20309 rows (35 %) in 43 classes'
says 'close to what was trained on as suno/bark-small (146 rows), suno/bark (154 rows)'
says 'dev.csv and eval.csv have 2 OOD classes in common'
grep -q ' share ' out && fail "splits share files"
"$spoor" data check --format mlaad --json train.csv >out
says '"language": {'
[ "$(grep -c '"source":' out)" = 24 ] || fail "not 24 sources"

# A manifest made of the three says the same; what dev and eval have and train lacks is marked.
"$spoor" data convert --format mlaad train.csv dev.csv eval.csv -o all.csv
[ "$(grep -c ',eval,ood$' all.csv)" = 20309 ] || { head -3 all.csv >out; fail "not 20309 rows of eval are marked ood"; }
"$spoor" data check all.csv >out
says '^all.csv (eval)$'
says '^  OOD            20309 rows, 20309 files, 43 classes$'
echo "counts as published"
