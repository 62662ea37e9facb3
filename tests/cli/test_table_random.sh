#!/bin/bash
# Guesses on the published lists of CodecFake+ get what the Random row of the paper's Table 3 has (EER and weighted F1, in
# percent), within four standard deviations of one draw; guesses of other forms do not. SPOOR_PROTOCOLS: the folder of the lists
# (default: ../shared/protocols beside the source).
set -eu
spoor=$SPOOR_BUILD_DIR/spoor
from=${SPOOR_PROTOCOLS:-$SPOOR_SOURCE_DIR/../shared/protocols}/codecfake_plus
[ -d "$from" ] || { echo "no published protocols in $from (SPOOR_PROTOCOLS)"; exit 77; }
command -v xz >/dev/null || { echo "no xz to unpack them"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for list in CoRS_ALL CoSG_SEEN CoSG_ALL; do
    xz -dc "$from/$list.txt.xz" >$list.txt
done
guess() {
    "$spoor" table --random "$1" --format codecfake --set CoRS=CoRS_ALL.txt --set known=CoSG_SEEN.txt --set all=CoSG_ALL.txt \
        --repetitions 100 --seed 1
}
# rows of EER, vq, aux, dec: mean and deviation of the three sets, against the published ones: how many are too far off
off() {
    guess "$1" | awk -v published="50.28 50.82 49.97 32.26 29.21 30.79 28.78 30.94 31.04 38.97 36.89 34.37" '
        BEGIN { split(published, want, " ") }
        /^EER|^  weighted F1/ {
            at = 0
            for (i = 1; i <= NF; i++) {
                if ($i == "+-") {
                    sd = $(i + 1) > 0.05 ? $(i + 1) : 0.05
                    d = $(i - 1) - want[++k]
                    if (d > 4 * sd || d < -4 * sd) { print $(i - 1), want[k] > "/dev/stderr"; bad++ }
                }
            }
        }
        END { if (k != 12) print "rows are missing"; else print bad + 0 }'
}
[ "$(off uniform)" = 0 ] || { echo "uniform guesses do not give the published row"; exit 1; }
for form in synthetic prior; do
    [ "$(off $form 2>/dev/null)" -ge 5 ] || { echo "$form guesses give the published row as well"; exit 1; }
done
