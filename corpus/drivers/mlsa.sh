#!/bin/sh
# One clip through SPTK's mel-cepstral analysis and MLSA synthesis: samples at 16 kHz in $IN. Frames of 5 ms, order 24, warping 0.42.
set -eu
bin=$ROOT/usr/libexec/sptk/bin
"$bin/x2x" +sf "$IN" >"$TMP"
"$bin/pitch" -a 0 -s 16 -p 80 -L 60 -H 400 "$TMP" >"$TMP.pitch"
"$bin/frame" -l 400 -p 80 "$TMP" | "$bin/window" -l 400 -L 512 | "$bin/mcep" -l 512 -m 24 -a 0.42 -e 0.0001 >"$TMP.mcep"
"$bin/excite" -p 80 "$TMP.pitch" | "$bin/mlsadf" -m 24 -a 0.42 -p 80 "$TMP.mcep" |
    "$bin/sopr" -m 0.000004 >"$TMP" # it can be above full scale
sox -t raw -r 16000 -e float -b 32 -c 1 "$TMP" "$OUT"
rm -f "$TMP.pitch" "$TMP.mcep"
