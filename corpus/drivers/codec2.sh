#!/bin/sh
# One clip through Codec 2: codec2.sh MODE, samples at 8 kHz in $IN.
set -eu
"$ROOT/usr/bin/c2enc" "$1" "$IN" "$TMP" 2>/dev/null
"$ROOT/usr/bin/c2dec" "$1" "$TMP" "$TMP.raw" 2>/dev/null
sox -t raw -r 8000 -e signed -b 16 -c 1 "$TMP.raw" "$OUT"
rm -f "$TMP.raw"
