#!/bin/bash
# The builder of the public corpus, with people and generators that are made here: no package is fetched. Needs NumPy and soundfile.
set -eu
python=/usr/bin/python3
"$python" -c 'import numpy, soundfile, tomllib' 2>/dev/null || { echo "python3 (3.11), python3-numpy or python3-soundfile is not installed"; exit 77; }
export SPOOR=$SPOOR_BUILD_DIR/spoor
exec "$python" -B "$SPOOR_SOURCE_DIR/tests/corpus/corpus_cases.py"
