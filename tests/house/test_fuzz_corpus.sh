#!/bin/bash
# Every committed file of the fuzz corpora goes through its target without a crash.
set -eu
cd "$SPOOR_SOURCE_DIR/fuzz"
for source in fuzz_*.c; do
    name=${source#fuzz_}
    name=${name%.c}
    files=$(find corpus/"$name" -type f | LC_ALL=C sort)
    [ -n "$files" ] || { echo "fuzz/corpus/$name holds no file"; exit 1; }
    echo "$name:"
    # shellcheck disable=SC2086
    "$SPOOR_BUILD_DIR/replay_$name" $files
done
