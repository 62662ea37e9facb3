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

# CodecFake+: rows, bona fide and spoof, classes of vq, aux and dec.
list() { # NAME ROWS BONAFIDE SPOOF MVQ SVQ SQ none semantic disentangle time freq
    xz -dc "$from/codecfake_plus/$1.txt.xz" >"$1.txt"
    "$spoor" data check --format codecfake "$1.txt" >out 2>log
    [ -s log ] && fail "$1: $(cat log)"
    says "^  holds          $2 rows, $2 files, "
    local names=(x rows bonafide spoof MVQ SVQ SQ none semantic disentangle time freq) columns=(x x label label vq vq vq aux aux aux dec dec)
    local i
    for i in 2 3 4 5 6 7 8 9 10 11; do
        local want=$((i + 1))
        grep -qE "^  ${columns[i]} .* ${names[i]} ${!want}(,|$)" out || fail "$1: not ${!want} of ${names[i]}"
    done
    for i in vq aux dec; do
        grep -qE "^  $i .* real $3(,|$)" out || fail "$1: bona fide rows are not real in $i"
    done
}
list train_mult_learn 85930 42965 42965 36137 5261 1567 14322 14321 14322 28330 14635
list train_mult_learn_bal_vq 85930 42965 42965 14322 14322 14321 32572 4481 5912 23668 19297
list train_mult_learn_bal_dec 85930 42965 42965 34080 5871 3014 25631 11080 6254 21483 21482
list dev_mult_learn 1470 735 735 618 90 27 245 245 245 490 245
list dev_mult_learn_bal_vq 1470 735 735 245 245 245 567 77 91 411 324
list dev_mult_learn_bal_dec 1470 735 735 586 106 43 456 174 105 367 368
list test_mult_learn 1510 755 755 635 98 22 252 251 252 496 259
list test_mult_learn_bal_vq 1510 755 755 252 252 251 571 92 92 420 335
list test_mult_learn_bal_dec 1510 755 755 607 103 45 451 192 112 378 377
list CoRS_ALL 23405 755 22650 18120 3020 1510 12835 6040 3775 13590 9060
says ', 30 classes$'
list CoSG_ALL 1797 866 931 848 20 63 874 5 52 263 668
says ', 17 classes$'
list CoSG_SEEN 577 259 318 249 6 63 275 5 38 240 78
"$spoor" data check --format codecfake train_mult_learn.txt CoRS_ALL.txt >out
says '^  ID             22650 rows, 22650 files, 30 classes$'
says '^  OOD            0 rows, 0 files, 0 classes$'
echo "counts as published"
