#!/bin/sh
# One clip through a codec of FFmpeg: ffmpeg.sh FORMAT ENCODER_OPTIONS...
set -eu
format=$1
shift
ffmpeg -nostdin -v error -y -threads 1 -i "$IN" -bitexact "$@" -f "$format" "$TMP"
[ "$format" != matroska ] || format="matroska,webm"
case $format in
    adts) format=aac ;;
    g722) format="g722" ;;
esac
ffmpeg -nostdin -v error -y -threads 1 -f "${format%%,*}" -i "$TMP" -bitexact -c:a pcm_s16le -f wav "$OUT"
