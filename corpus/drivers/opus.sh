#!/bin/sh
# opus.sh DRIVER: builds $BUILD/opus of the driver and the sources of libopus in $SOURCE/opus, where it is not there already. No
# configure: what it would find out is known here, and without the code for newer processors every one computes the same samples.
set -eu
tree=$SOURCE/opus
driver=$1
for part in "$tree/package_version" "$driver"; do
    [ -f "$part" ] || { echo "there is no $part" >&2; exit 1; }
done
made_from=$(cat "$tree/package_version" "$driver" "$0" | cksum)
if [ -x "$BUILD/opus" ] && [ "$(cat "$BUILD/opus.from" 2>/dev/null)" = "$made_from" ]; then
    exit 0
fi
rm -rf "$BUILD/opus" "$BUILD/opus.from" "$BUILD"/opus.work.* # what a build that was killed left
work=$(mktemp -d "$BUILD/opus.work.XXXXXX")

# The files of a list NAME = \ a.c \ b.c of its *_sources.mk.
listed() {
    awk -v name="$2" '$1 == name && $2 == "=" { on = 1; $1 = $2 = "" } on { more = /\\$/; gsub(/\\/, ""); print; on = more }' "$tree/$1_sources.mk"
}
{
    listed celt CELT_SOURCES
    listed silk SILK_SOURCES
    listed silk SILK_SOURCES_FLOAT
    listed opus OPUS_SOURCES
    listed opus OPUS_SOURCES_FLOAT
    for list in DEEP_PLC_SOURCES DRED_SOURCES OSCE_SOURCES; do
        listed lpcnet "$list"
    done
} | tr -s ' ' '\n' | sed '/^$/d' >"$work/files"

defines="-DOPUS_BUILD -DVAR_ARRAYS -DFLOAT_APPROX -DENABLE_HARDENING -DHAVE_LRINT -DHAVE_LRINTF -DHAVE_STDINT_H -DENABLE_DEEP_PLC -DENABLE_DRED
    -DENABLE_OSCE"
flags="-std=gnu99 -O2 -ffp-contract=off -w $defines -I. -Iinclude -Icelt -Isilk -Isilk/float -Isrc -Idnn"
export work flags

failed() {
    why=$(grep -m 1 -E 'error|undefined reference|not found' "$work/log" || tail -n 1 "$work/log")
    rm -rf "$work"
    echo "libopus does not compile: ${why:-no output}" >&2
    exit 1
}
cd "$tree"
: >"$work/log"
# shellcheck disable=SC2016
xargs -n 1 -P "${JOBS:-1}" sh -c 'cc $flags -c -o "$work/$(echo "$1" | tr / -).o" "$1" 2>>"$work/log" || exit 255' sh <"$work/files" \
    2>>"$work/log" || failed
own=$(echo "$flags" | sed 's/ -w / -Wall -Wextra -Werror -Wno-cpp /; s/-I/-isystem /g')
# shellcheck disable=SC2086
cc $own -o "$work/opus" "$driver" "$work"/*.o -lm 2>>"$work/log" || failed
mv "$work/opus" "$BUILD/opus"
echo "$made_from" >"$BUILD/opus.from"
rm -rf "$work"
