#!/bin/bash
# spoor train, eval and embed from the command line, on the recordings of samples/: interrupted with Ctrl-C and resumed,
# evaluated from files and from scores, embedded; mistakes give one sentence and the right exit code.
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

cd "$work"
{
    echo path,split,label,source,page,setting
    for file in "$SPOOR_SOURCE_DIR"/samples/[1-7]*.flac; do
        name=$(basename "$file" .flac)
        name=${name#*-}
        label=spoof
        [ "$name" = person ] && { label=bonafide; name=bonafide; }
        echo "$file,train,$label,$name,p1,same"
        echo "$file,dev,$label,$name,p2,cross"
    done
} >all.csv
cat >r.yaml <<'END'
name: cli
batch: 4
data:
  manifests: [{path: all.csv}]
  crop: 16000
  tasks: {source: {}, bonafide: {column: label}}
frontend: {kind: log-mel, n_mels: 16, hop_length: 512}
network: {kind: conformer, dim: 8, depth: 1, heads: 1, kernel: 3, ff_mult: 1, max_distance: 4, pooling: stats}
schedule: {epochs: 150}
optimiser: {lr: 0.01}
dev: {every: 150}
END

# Ctrl-C after the first epoch, then to the end
setsid "$spoor" train r.yaml --out run --threads 2 >train.out 2>log &
child=$!
for _ in $(seq 600); do
    [ -s run/checkpoint.safetensors ] && break
    sleep 0.05
done
kill -INT "$child"
got=0
wait "$child" || got=$?
[ "$got" = 130 ] || fail "interrupted training ended with $got, not 130"
grep -q -- --resume log || fail "it does not say how to go on"
expect 1 "$spoor" train r.yaml --out run
expect 0 "$spoor" train r.yaml --out run --resume --threads 1
grep -q '^epoch 150/150 ' out || fail "no line for the last epoch"
expect 0 "$spoor" train r.yaml --out whole --threads 1
cmp run/model.safetensors whole/model.safetensors || fail "the interrupted training has other weights"
[ "$(grep -c '"kind":"epoch"' run/log.jsonl)" = 150 ] || fail "log.jsonl does not have 150 epochs"

# two stages, of which the second goes on from the first: each line says which it is; features of both at once
sed -e 's/epochs: 150/epochs: 2/' -e 's/every: 150/every: 2/' r.yaml >s.yaml
cat >>s.yaml <<'END'
cache: {path: feats}
stages:
  - {name: re, data: {tasks: {source: null}}, oc: {weight: 1}}
  - {name: fd, from: re, data: {train: {split: train, label: spoof}, tasks: {bonafide: null}}}
END
expect 0 "$spoor" extract --recipe s.yaml
[ "$(grep -c '^feats: 7 entries' out)" = 2 ] || fail "features of two stages expected"
expect 0 "$spoor" train s.yaml --out staged
grep -q '^re (1/2)  epoch 2/2 ' out || fail "no line for the last epoch of the first stage"
grep -q '^fd (2/2)  epoch 2/2 ' out || fail "no line for the last epoch of the second stage"
grep -q 'these start anew: heads.source' log || fail "it is not said what starts anew"
cmp staged/model.safetensors staged/fd/model.safetensors || fail "the model is not that of the last stage"

# what dev judges was not heard in training: a condition without split takes the rows of both
sed 's/split: train, label: spoof/label: spoof/' s.yaml >both.yaml
expect 2 "$spoor" train both.yaml --out both
grep -q 'rows pass both data.train and data.dev' log || fail "training on dev is not refused"
expect 1 "$spoor" train s.yaml --out staged
expect 0 "$spoor" train s.yaml --out staged --resume
grep -q 'stage fd is done' log || fail "a finished stage is trained again"
expect 1 "$spoor" train s.yaml --out staged --resume --set stages.0.batch=3
grep -q 'stages differs' log || fail "another recipe goes on"

# one stage alone; what is drawn, of lists alone
expect 1 "$spoor" train s.yaml --out alone --stage xx
grep -q 'no stage named xx; the first one is re' log || fail "a stage that is not there is not named"
expect 0 "$spoor" train s.yaml --out alone --stage re
[ -e alone/re/model.safetensors ] && [ ! -e alone/fd ] && [ ! -e alone/model.safetensors ] || fail "one stage alone expected"
cmp alone/re/model.safetensors staged/re/model.safetensors || fail "a stage alone has other bits"
expect 0 "$spoor" train s.yaml --out alone --resume
cmp alone/model.safetensors staged/model.safetensors || fail "the other stages do not go on around it"
sed 's|,/.*/|,gone/|; s|^/.*/|gone/|' all.csv | sed '2,$s/$/,/; 1s/$/,vq/; /spoof/s/,$/,MVQ/' >gone.csv
expect 0 "$spoor" train r.yaml --dry-run --set data.manifests.0.path=gone.csv --set sampler.kind=taxonomy --set sampler.by=vq --out dry
grep -q '^the first epoch draws 4 clips' out || fail "a taxonomy's epoch has twice as many clips as bona fide ones, and at least a batch"
grep -q '^  bonafide: bonafide 2, spoof 2$' out || fail "half of the clips are bona fide"
[ ! -e dry ] || fail "--dry-run leaves a folder"
expect 0 "$spoor" train s.yaml --dry-run --stage fd --json --set data.manifests.0.path=gone.csv
grep -q '"stage": "fd"' out && grep -q '"clips": 4' out || fail "JSON of what the stage fd draws expected"
expect 1 "$spoor" train s.yaml --json
expect 1 "$spoor" train s.yaml --dry-run --stage xx
expect 0 "$spoor" train s.yaml --dry-run
# at most so many training rows for each value of a column, of one list; dev and the other list are whole
expect 0 "$spoor" train r.yaml --dry-run --set data.manifests.0.most.label=1 --set batch=1
grep -q '^the first epoch draws 2 clips' out || fail "most: {label: 1} leaves one clip of each label"
sed 's|path: all.csv|path: all.csv, most: {label: 3}}, {path: gone.csv|' r.yaml >most.yaml
expect 0 "$spoor" train most.yaml --dry-run --set batch=1
grep -q '^the first epoch draws 11 clips' out || fail "most holds for its own list: 3 spoof and 1 bona fide clips and 7 others"
expect 1 "$spoor" train r.yaml --dry-run --set data.manifests.0.most=3
expect 2 "$spoor" train r.yaml --dry-run --set data.manifests.0.most.nothing=3
grep -q 'names the column nothing, which no manifest has' log || fail "the column of most is not named"

# evaluation: text, JSON, score files, filters, threads
model=run/model.safetensors
expect 0 "$spoor" eval "$model" -m all.csv --replicates 20 -o one.tsv -j 1
grep -q '^Task source' out || fail "no table for the task source"
expect 0 "$spoor" eval "$model" -m all.csv --replicates 20 -o two.tsv -j 2 --json
grep -q '"clips": 7' out || fail "the JSON does not count 7 clips"
cmp one.tsv two.tsv || fail "scores depend on the number of threads"
cp out direct.json
expect 0 "$spoor" eval --scores one.tsv --replicates 20 --json
sed 1,20d out >a; sed 1,20d direct.json >b # the heading names the file
[ -s a ] && cmp a b || fail "the score file gives another report than the model"
expect 0 "$spoor" eval "$model" -m all.csv --split all --where label=spoof --replicates 0
grep -q '^12 recordings' out || fail "12 synthetic recordings expected"
expect 2 "$spoor" eval "$model" -m all.csv --where label=nothing
# values of one column are alternatives, columns must all hold
expect 0 "$spoor" eval "$model" -m all.csv --split all --where source=world --where split=dev --where source=codec2 --replicates 0
grep -q '^2 recordings' out || fail "the dev recordings of two sources expected"
expect 2 "$spoor" eval "$model" -m all.csv --where source=world --where label=bonafide
tr , '\t' <all.csv | sed '1s/path/wav/' >all.tsv # the same list in another format
expect 0 "$spoor" eval "$model" -m all.tsv --format tsv --column path=wav --replicates 20 -o three.tsv
cmp one.tsv three.tsv || fail "the format of the list changes the scores"
expect 0 "$spoor" extract all.tsv --format tsv --column path=wav --frontend '{kind: log-mel, n_mels: 16}' --out x --dry-run
grep -q "^14 recordings" log out || fail "extract does not see 14 recordings in the tsv list"
expect 2 "$spoor" eval "$model" -m all.tsv --format tsv
expect 1 "$spoor" eval "$model" -m all.tsv --format none
expect 1 "$spoor" eval "$model"
expect 1 "$spoor" eval "$model" -m all.csv --scores one.tsv
expect 3 "$spoor" eval all.csv -m all.csv
expect 5 "$spoor" eval "$model" -m none.csv

# another system's scores, by columns; figures by hand: 3 of 4 pairs are in order, 3 of 4 guesses are right
printf '%s\n' id,score,label,guess,page,set a,0.9,human,human,p,x b,0.2,fake,fake,p,x c,0.8,human,human,q,y \
    d,0.85,fake,human,q,y >f.csv
foreign=("$spoor" eval --scores f.csv --label-column label --id-column id --page-column page --setting-column set)
expect 0 "${foreign[@]}" --score-column score --target human --replicates 0
grep -Eq '^all +2 +2 0\.500 +0\.750 +0\.500$' out || fail "AUROC 0.75, EER and FPR95 0.5 expected"
grep -q '^q  *1  *1 1.000  *0.000' out || fail "page q is the wrong way round and must say so"
expect 0 "${foreign[@]}" --score-column score --target human --replicates 0 --lower-is-target --known
grep -q '^Known or unknown' out || fail "--known is not heard"
grep -Eq '^all +2 +2 0\.500 +0\.250 ' out || fail "--lower-is-target must turn 0.75 into 0.25"
expect 0 "${foreign[@]}" --predicted-column guess --replicates 50 --seed 3 --by-page
grep -q '^all  *4 0.750' out || fail "accuracy 0.75 expected"
expect 1 "${foreign[@]}" --score-column nothing --target human
grep -q 'no column called "nothing"' log || fail "the missing column is not named"
expect 2 "$spoor" eval --scores f.csv
for kind in mean task product spoof-product; do
    expect 0 "$spoor" eval run/model.safetensors -m all.csv --replicates 0 --bonafide-score $kind
done
expect 1 "$spoor" eval run/model.safetensors -m all.csv --bonafide-score sum
grep -q 'none of mean, task, product, spoof-product' log || fail "the kinds of bona fide scores are not named"
expect 1 "$spoor" eval --scores one.tsv --bonafide-score task
expect 5 "$spoor" eval --scores none.tsv
for wrong in "--folds 1" "--replicates x" "--replicates 1000001" "--seed -1" "--score-column 2" "--hop 0" "--jobs 0" \
    "--jobs 1025" "other.safetensors" "--where x"; do
    # shellcheck disable=SC2086
    expect 1 "$spoor" eval "$model" -m all.csv $wrong
    [ -s out ] && fail "a wrong command line prints on standard output: $wrong"
done
grep -q 'COLUMN=VALUE' log || fail "--where x: what to write is not said"
many=() wheres=() sets=()
for i in $(seq 257); do
    sets+=(--set batch=2)
    ((i > 65)) || many+=(-m all.csv)
    ((i > 17)) || wheres+=(--where label=spoof)
done
expect 1 "$spoor" eval "$model" "${many[@]}"
expect 1 "$spoor" eval "$model" -m all.csv "${wheres[@]}"
got=0
"$spoor" eval --scores one.tsv --replicates 0 >/dev/full 2>log || got=$?
[ "$got" = 5 ] || fail "a report that cannot be written ends with $got, not 5"
echo x >bad.wav
{ cat all.csv; echo "bad.wav,dev,spoof,codec2,p2,cross"; } >bad.csv
expect 2 "$spoor" eval "$model" -m bad.csv --replicates 0
grep -q '^8 recordings, 1 not evaluated' out || fail "the report does not count the recording that failed"
grep -q '1 of 8 recordings could not be evaluated' log || fail "it is not said that a recording failed"

# embedding: all that can be read, the others named
expect 2 "$spoor" embed -m "$model" -o e.npy "$SPOOR_SOURCE_DIR"/samples/[12]*.flac bad.wav
grep -q bad.wav log || fail "the bad file is not named"
[ "$(wc -l <e.ids.txt)" = 2 ] || fail "two ids expected"
[ "$(head -c 6 e.npy | tail -c 5)" = NUMPY ] || fail "e.npy is no .npy file"
expect 0 "$spoor" embed -m "$model" -o f.npy --manifest all.csv --split dev
[ "$(wc -l <f.ids.txt)" = 7 ] || fail "seven ids expected"
expect 1 "$spoor" embed -m "$model" --manifest all.csv
for wrong in "" "r.yaml r.yaml" "r.yaml --threads 0" "r.yaml --threads x" "r.yaml --set x" "none.yaml --set batch=2"; do
    case $wrong in none*) code=5 ;; *) code=1 ;; esac
    # shellcheck disable=SC2086
    expect $code "$spoor" train $wrong --out other
    [ -e other ] && fail "a refused training leaves a folder: $wrong"
done
expect 1 "$spoor" train r.yaml "${sets[@]}"
expect 1 "$spoor" train r.yaml --set nme=x --out other
grep -q 'did you mean "name"' log || fail "no advice for an unknown key"
