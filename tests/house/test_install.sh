#!/bin/bash
# `make install` with DESTDIR puts everything in its place, and examples/trace_file.c builds and runs against that tree
# with what pkg-config says.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$SPOOR_BUILD_DIR/CMakeCache.txt")
libdir=$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' "$SPOOR_BUILD_DIR/CMakeCache.txt")
DESTDIR=$root cmake --install "$SPOOR_BUILD_DIR" >"$root/log" || { cat "$root/log"; exit 1; }
at=$root$prefix

must_have() { [ -e "$at/$1" ] || { echo "$1 is not installed"; exit 1; }; }
must_have include/spoor/spoor.h
must_have "$libdir/libspoor.so"
must_have "$libdir/libspoor.so.0"
must_have "$libdir/pkgconfig/spoor.pc"
[ -f "$SPOOR_SOURCE_DIR/man/spoor.1" ] && must_have share/man/man1/spoor.1
for model in "$SPOOR_SOURCE_DIR"/models/*; do
    [ -f "$model" ] && must_have "share/spoor/$(basename "$model")"
done
must_have share/spoor/taxonomies/codecfake_plus.json
if [ -x "$SPOOR_BUILD_DIR/spoor" ]; then
    must_have bin/spoor
    "$at/bin/spoor" --version >"$root/version" || { echo "the installed spoor does not run"; exit 1; }
fi
# Nothing may point back to the source or build folder.
if grep -rIlF -e "$SPOOR_SOURCE_DIR" "$at"; then echo "an installed text file names the source folder"; exit 1; fi

if grep -qE '^SPOOR_SANITIZE:STRING=.+' "$SPOOR_BUILD_DIR/CMakeCache.txt"; then
    echo "the tree is whole; an instrumented library is not linked into a plain program"
    exit 0
fi
export PKG_CONFIG_PATH=$at/$libdir/pkgconfig
# pkg-config's own guard against staged trees would put a sysroot before the path: the file is relocatable.
flags=$(pkg-config --define-prefix --cflags --libs spoor)
[ "$(pkg-config --modversion spoor)" = "$(sed -n 's/^project(spoor VERSION \([0-9.]*\).*/\1/p' "$SPOOR_SOURCE_DIR/CMakeLists.txt")" ]
cat >"$root/version.c" <<'END'
#include <spoor/spoor.h>
#include <stdio.h>
int main(void) { return puts(spoor_version()) < 0; }
END
# shellcheck disable=SC2086
${CC:-gcc} -std=c11 -Wall -Wextra -Werror "$root/version.c" $flags -o "$root/version-program"
LD_LIBRARY_PATH=$at/$libdir "$root/version-program" | grep -qx "$(pkg-config --modversion spoor)"

example=$SPOOR_SOURCE_DIR/examples/trace_file.c
[ -f "$example" ] || { echo "examples/trace_file.c is not there"; exit 77; }
# shellcheck disable=SC2086
${CC:-gcc} -std=c11 -Wall -Wextra -Werror "$example" $flags -o "$root/trace_file"
model=$(find "$SPOOR_SOURCE_DIR/models" -name '*.safetensors' 2>/dev/null | LC_ALL=C sort | head -n 1)
sample=$(find "$SPOOR_SOURCE_DIR/samples" -name '*.flac' -o -name '*.wav' 2>/dev/null | LC_ALL=C sort | head -n 1)
[ -n "$model" ] && [ -n "$sample" ] || { echo "no model in models/ or no recording in samples/ to run the example on"; exit 77; }
SPOOR_MODEL=$model LD_LIBRARY_PATH=$at/$libdir "$root/trace_file" "$sample" >"$root/out" || { cat "$root/out"; exit 1; }
[ -s "$root/out" ] || { echo "the example says nothing"; exit 1; }
cat "$root/out"
