#!/bin/bash
# The shared library exports exactly the functions of tests/house/abi.txt, all of them named spoor_*, needs nothing that
# it does not name, and is called libspoor.so.0.
set -eu
lib=$SPOOR_BUILD_DIR/libspoor.so
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

nm -D --defined-only "$lib" | awk '{ print $3 }' | LC_ALL=C sort >"$out/exported"
if nm -D "$lib" | grep -qE '__(asan|tsan|gcov)|mangle_path'; then # the instrumentation exports names of its own
    grep '^spoor_' "$out/exported" >"$out/ours"
    mv "$out/ours" "$out/exported"
fi
grep -o '^SPOOR_API[^;]*' <(tr '\n' ' ' <"$SPOOR_SOURCE_DIR/include/spoor/spoor.h" | sed 's/SPOOR_API/\nSPOOR_API/g') |
    grep -oE 'spoor_[a-z0-9_]+\(' | tr -d '(' | LC_ALL=C sort >"$out/declared"
diff -u "$SPOOR_SOURCE_DIR/tests/house/abi.txt" "$out/exported" || { echo "libspoor.so exports other names than abi.txt lists"; exit 1; }
diff -u "$SPOOR_SOURCE_DIR/tests/house/abi.txt" "$out/declared" || { echo "spoor.h declares other names than abi.txt lists"; exit 1; }
if grep -v '^spoor_' "$out/exported"; then echo "a name without spoor_ is exported"; exit 1; fi
[ -s "$out/exported" ]

readelf -d "$lib" >"$out/dynamic"
grep -q 'SONAME.*\[libspoor\.so\.0\]' "$out/dynamic" || { echo "the SONAME is not libspoor.so.0"; exit 1; }
if ! grep -qE 'lib[at]san|libubsan' "$out/dynamic"; then
    if ldd -r "$lib" 2>&1 | grep -E 'undefined symbol|not found'; then echo "libspoor.so lacks a symbol"; exit 1; fi
fi
echo "$(wc -l <"$out/exported") functions"
