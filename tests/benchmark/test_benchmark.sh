#!/bin/bash
# tools/benchmark: its tables from made-up scores against figures worked out by hand, refused files, and a whole run on a corpus of a few tones.
set -eu
python=/usr/bin/python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || { echo "python3 (3.9) is not installed"; exit 77; }
export SPOOR=$SPOOR_BUILD_DIR/spoor
exec "$python" -B "$SPOOR_SOURCE_DIR/tests/benchmark/benchmark_cases.py"
