#!/bin/bash
# The public header compiles alone, without a warning, as C11 and as C++17.
set -eu
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
printf '#include <spoor/spoor.h>\n#include <spoor/spoor.h>\nint main(void) { return (int)sizeof(spoor_error) < 512; }\n' >"$out/alone.c"
cp "$out/alone.c" "$out/alone.cc"
flags="-Wall -Wextra -Wpedantic -Wconversion -Werror -I$SPOOR_SOURCE_DIR/include -fsyntax-only"
# shellcheck disable=SC2086
${CC:-gcc} -std=c11 -Wstrict-prototypes $flags "$out/alone.c"
# shellcheck disable=SC2086
${CXX:-g++} -std=c++17 $flags "$out/alone.cc"
