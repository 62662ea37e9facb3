#!/bin/bash
# spoor extract onto a disk that fills up on the way: one sentence, exit code 5, what fitted is kept, and with room again the
# same command goes on to the bytes of a run that was never disturbed. A disk too small from the start is refused before.
set -eu
spoor=$SPOOR_BUILD_DIR/spoor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unshare -rm true 2>/dev/null || { echo "no right to mount a small disk here"; exit 77; }

# 120 recordings of 2 s: a WAV header, then numbers as samples
echo path >m.csv
numbers=$(seq 1 40000)
for i in $(seq 120); do
    {
        printf 'RIFF\x24\xfa\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00'
        printf 'data\x00\xfa\x00\x00'
        printf %s "${numbers:i * 100:64000}"
    } >"$i.wav"
    echo "$i.wav" >>m.csv
done
mkdir disk
cat >inside <<'END'
set -eu
fail() { echo "$1"; cat log; exit 1; }
run() { "$spoor" extract m.csv --frontend '{kind: log-mel, n_mels: 512, n_fft: 4096, deltas: 2}' --out "$1" >out 2>log; }
code() { local want=$1 got=0; shift; "$@" || got=$?; [ "$got" = "$want" ] || fail "exit code $got, not $want: $*"; }
run whole
size=$(stat -c %s whole/0000.bin)
mount -t tmpfs -o size=1m none disk
code 5 run disk/f
grep -q '^spoor: the disk of disk/f has .* free, and the features need about .*--half$' log || fail "too small is not said"
mount -o remount,size=$((size + 4000000)) none disk
run disk/f &
child=$!
for _ in $(seq 5000); do
    used=$(stat -c %s disk/f/0000.bin 2>/dev/null || echo 0)
    [ "$used" -gt 3000000 ] && break
    sleep 0.002
done
for _ in $(seq 500); do # the disk shrinks to what is on it and a little
    used=$(stat -c %s disk/f/0000.bin)
    mount -o remount,size=$((used + 1500000)) none disk 2>/dev/null && break
done
code 5 wait "$child"
grep -q '^spoor: the disk of disk/f is full; what was extracted so far is kept: free some space' log || fail "a full disk is not said"
kept=$(($(stat -c %s disk/f/0000.idx) / 64))
whole=$(($(stat -c %s disk/f/0000.bin) * 120 / size))
[ "$kept" -gt 3 ] && [ "$kept" -ge $((whole - 1)) ] || fail "$kept entries were kept, room for $whole"
mount -o remount,size=$((size + 4000000)) none disk
run disk/f
grep -q "120 entries ($((120 - kept)) new)" out || { cat out; fail "not all came back"; }
cmp whole/0000.bin disk/f/0000.bin || fail "other bytes than without the full disk"
cmp whole/0000.idx disk/f/0000.idx || fail "other bytes than without the full disk"
END
spoor=$spoor unshare -rm bash inside
