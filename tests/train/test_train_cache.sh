#!/bin/bash
# spoor train from stored features: what spoor extract --recipe makes is what training needs; neither threads nor an
# interruption change a bit; what is missing, damaged or of another type stops it with the command that helps.
set -eu
spoor=$SPOOR_BUILD_DIR/spoor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$1"; [ -f "$work/log" ] && tail -n 5 "$work/log"; exit 1; }
expect() { # code, command...
    local want=$1 got=0
    shift
    "$@" >"$work/out" 2>"$work/log" || got=$?
    [ "$got" = "$want" ] || fail "exit code $got, not $want: $*"
}
says() { grep -q -- "$1" log || fail "it does not say: $1"; }

cd "$work"
{
    echo path,split,label,source,page,setting
    for file in "$SPOOR_SOURCE_DIR"/samples/[1-7]*.flac; do
        name=$(basename "$file" .flac)
        name=${name#*-}
        label=spoof
        [ "$name" = person ] && { label=bonafide; name=bonafide; }
        cp "$file" "$name.flac"
        echo "$name.flac,train,$label,$name,p1,same"
        echo "$file,dev,$label,$name,p2,cross"
    done
} >all.csv
cat >r.yaml <<'END'
name: cached
batch: 4
data:
  manifests: [{path: all.csv}]
  crop: 16000
  tasks: {source: {}, bonafide: {column: label}}
frontend: {kind: log-mel, n_mels: 16, hop_length: 512}
network: {kind: conformer, dim: 8, depth: 1, heads: 1, kernel: 3, ff_mult: 1, max_distance: 4, pooling: stats}
spec_augment: {time_masks: 1, time_width: 5}
schedule: {epochs: 300}
optimiser: {lr: 0.01}
dev: {every: 300}
cache: {path: feats}
END

expect 2 "$spoor" train r.yaml --out a
says "there are no features in feats (7 training clips need them); make them with: spoor extract --recipe r.yaml"
expect 0 "$spoor" extract --recipe r.yaml
grep -q '^feats: 7 entries (7 new)' out || fail "seven training clips expected"
expect 0 "$spoor" train r.yaml --out a --threads 1
grep -q '"type": "float32"' a/recipe.json || fail "the type of the features is not in recipe.json"
grep -q '7 training clips' log || fail "seven training clips expected"

# interrupted and resumed, on other threads: the same weights
setsid "$spoor" train r.yaml --out b --threads 2 >train.out 2>log &
child=$!
for _ in $(seq 600); do
    [ -s b/checkpoint.safetensors ] && break
    sleep 0.02
done
kill -INT "$child"
got=0
wait "$child" || got=$?
[ "$got" = 130 ] || fail "interrupted training ended with $got, not 130"
expect 0 "$spoor" train r.yaml --out b --threads 3 --resume
cmp a/model.safetensors b/model.safetensors || fail "the interrupted training has other weights"

# features of another type are no way to go on
rm b/model.safetensors
mv feats full
expect 0 "$spoor" extract --recipe r.yaml --half
expect 1 "$spoor" train r.yaml --out b --resume
says "cache differs"
expect 1 "$spoor" train r.yaml --out c --set cache.type=float32
says "feats holds float16 features, but cache.type is float32"
expect 0 "$spoor" train r.yaml --out c --set cache.type=float16 --set schedule.epochs=2
expect 1 "$spoor" extract --recipe r.yaml --set cache.type=float32
rm -r feats
mv full feats

# a changed recording, a damaged entry, another front end
cp "$SPOOR_SOURCE_DIR"/samples/8*.flac hifigan.flac
expect 2 "$spoor" train r.yaml --out d --set seed=4
says "1 of 7 features of training clips are missing or damaged in feats (1 of 7 clips); make them with: spoor extract --recipe r.yaml --set seed=4"
expect 0 "$spoor" extract --recipe r.yaml --set seed=4
grep -q '^feats: 8 entries (1 new)' out || fail "one new entry expected"
printf x | dd of=feats/0000.bin bs=1 seek=5000 conv=notrunc status=none
expect 2 "$spoor" train r.yaml --out d
says "1 of 7 features"
expect 0 "$spoor" extract --recipe r.yaml
expect 0 "$spoor" train r.yaml --out d --set schedule.epochs=2
expect 1 "$spoor" train r.yaml --out e --set frontend.n_mels=17
says "n_mels: 16, not 17"

# content-matched pairs of a corpus need no waveforms: two "recordings" through all generators
{ cat all.csv; grep ,train, all.csv | sed 's/,p1,/,p3,/'; } >two.csv
matched="--set data.manifests.0.path=two.csv --set sampler.matched.content=page --set sampler.matched.pairs=4 --set npair.weight=0.1"
matched="$matched --set batch=12 --set schedule.epochs=3"
expect 0 "$spoor" train r.yaml --out m1 --threads 1 $matched
says "content-matched pairs: 2 recordings are there through at least 4 generators"
grep -q '"npair":' m1/log.jsonl || fail "the N-pair loss is not in the log"
expect 0 "$spoor" train r.yaml --out m2 --threads 3 $matched
cmp m1/model.safetensors m2/model.safetensors || fail "threads change the weights"

# waveforms cannot be augmented once they are features; stored copies can be drawn
chain="augment: [{kind: gain}, {kind: noise}]"
{ cat r.yaml; echo "$chain"; } >aug.yaml
expect 1 "$spoor" train aug.yaml --out e
says "cannot be augmented as waveforms"
expect 0 "$spoor" train aug.yaml --out e --set augment_p=0 --set schedule.epochs=2
sed 's/^cache:.*/cache: {path: feats, copies: 2, p: 0.7}/' aug.yaml >copies.yaml
expect 1 "$spoor" train r.yaml --out f --set cache.copies=2
says "cache.copies needs"
expect 2 "$spoor" train copies.yaml --out f
says "14 of 21 features of training clips are missing or damaged in feats (7 of 7 clips)"
expect 0 "$spoor" extract --recipe copies.yaml
grep -q '(14 new)' out || fail "14 copies expected"
expect 0 "$spoor" train copies.yaml --out f --threads 1 --set schedule.epochs=20
expect 0 "$spoor" train copies.yaml --out g --threads 4 --set schedule.epochs=20
cmp f/model.safetensors g/model.safetensors || fail "threads change the weights"
expect 0 "$spoor" train copies.yaml --out h --set cache.p=0 --set schedule.epochs=20
cmp -s f/model.safetensors h/model.safetensors && fail "the copies are not used"
expect 2 "$spoor" train copies.yaml --out i --set cache.seed=2
says "14 of 21"

# copies with noise and rooms of the user's own: what is missing is said before anything is done; the same recordings
# elsewhere are the same copies, others are not
sed 's/^cache:.*/cache: {path: feats, copies: 2, p: 1}/' r.yaml >own.yaml
cat >>own.yaml <<'END'
augment: [{kind: noise, files: own/noise, snr: [0, 15], count: [1, 2]}, {kind: room, p: 0.5, files: own/rooms.csv}]
END
expect 2 "$spoor" train own.yaml --out o
says "cannot read own/noise, the recordings of a step noise (No such file or directory); put a folder or a CSV list"
expect 2 "$spoor" extract --recipe own.yaml
says "cannot read own/noise"
mkdir -p own/noise
expect 2 "$spoor" train own.yaml --out o
says "there is no recording in own/noise"
cp "$SPOOR_SOURCE_DIR"/samples/[12]*.flac own/noise
{ echo path; ls -d "$SPOOR_SOURCE_DIR"/samples/[34]*.flac; } >own/rooms.csv
expect 2 "$spoor" train own.yaml --out o
says "14 of 21 features of training clips are missing"
expect 0 "$spoor" extract --recipe own.yaml
grep -q '(14 new)' out || fail "14 copies expected"
expect 0 "$spoor" train own.yaml --out o --threads 1 --set schedule.epochs=5
grep -q '"sha256":' o/recipe.json || fail "recipe.json does not say which recordings they were"
expect 0 "$spoor" train own.yaml --out o2 --threads 3 --set schedule.epochs=5
cmp o/model.safetensors o2/model.safetensors || fail "threads change the weights"
mv own moved
expect 0 "$spoor" train own.yaml --out o3 --set schedule.epochs=2 --set augment.0.files=moved/noise --set augment.1.files=moved/rooms.csv
mv moved own
expect 0 "$spoor" extract all.csv --split train --frontend own.yaml --augment own.yaml --copies 2 --out feats
grep -q '(0 new)' out || fail "--augment makes other copies than --recipe"
cp "$SPOOR_SOURCE_DIR"/samples/5*.flac own/noise
expect 2 "$spoor" train own.yaml --out o4
says "14 of 21"
# the same chain on waveforms; a resumed training has the same noise or none at all
sed '/^cache:/d' own.yaml >plain.yaml
expect 0 "$spoor" train plain.yaml --out o4 --threads 1 --set schedule.epochs=5
says "3 recordings of own/noise, 3 of them in memory"
expect 0 "$spoor" train plain.yaml --out o5 --threads 3 --set schedule.epochs=5
cmp o4/model.safetensors o5/model.safetensors || fail "threads change the weights"
rm o4/model.safetensors own/noise/5*
expect 1 "$spoor" train plain.yaml --out o4 --resume --set schedule.epochs=5
says "augment differs"
rm -r own
expect 0 "$spoor" train plain.yaml --out o6 --set schedule.epochs=2 --set augment_p=0

# a frozen pretrained front end, where its weights are at hand
if [ -n "${SPOOR_TEST_WHISPER-}" ]; then
    sed "s|^frontend:.*|frontend: {kind: whisper, weights: '$SPOOR_TEST_WHISPER', layers: [0, 1]}|" r.yaml >w.yaml
    expect 0 "$spoor" extract --recipe w.yaml --out whisper --half
    expect 0 "$spoor" train w.yaml --out w --set cache.path=whisper --set schedule.epochs=2
    expect 1 "$spoor" train w.yaml --out x --set schedule.epochs=2
    says "feats holds features of another front end"
fi
