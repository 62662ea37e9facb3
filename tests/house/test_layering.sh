#!/bin/bash
# Each folder of src/ includes only itself and the folders before it in this list, and oneDNN stays behind compute.h.
# (train comes late: while it trains it measures as eval does, and it calibrates on scores made as trace makes them.)
set -eu
cd "$SPOOR_SOURCE_DIR/src"
order="base tensor nn weights audio frontend net data openset model eval trace train report cli"

find . -type f \( -name '*.c' -o -name '*.h' \) | sed 's|^\./||' | LC_ALL=C sort | xargs awk -v order="$order" '
    BEGIN {
        n = split(order, folder, " ")
        for (i = 1; i <= n; i++) place[folder[i]] = i
    }
    FNR == 1 { from = FILENAME; sub("/.*", "", from) }
    FNR == 1 && !(from in place) { print "src/" FILENAME ": the folder is not in the list of layers"; bad++ }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, part, "\"")
        if (part[2] == "spoor/spoor.h") next
        seen++
        to = part[2]
        if (!sub("/.*", "", to)) { print "src/" FILENAME ": includes \"" part[2] "\" without its folder"; bad++; next }
        if (!(to in place)) { print "src/" FILENAME ": includes \"" part[2] "\" from an unknown folder"; bad++; next }
        if (place[to] > place[from]) {
            print "src/" FILENAME ": " from " may not include \"" part[2] "\""; bad++
        }
    }
    /^[ \t]*#[ \t]*include[ \t]*[<"](dnnl|oneapi\/)/ {
        knows++
        if (FILENAME !~ /^tensor\/compute_[a-z0-9_]*\.c$/) { print "src/" FILENAME ": only src/tensor/compute_*.c may know oneDNN"; bad++ }
    }
    END {
        print seen " includes looked at"
        if (seen < 10 || knows < 1) { print "the test no longer sees the includes"; bad++ }
        exit bad > 0
    }'
