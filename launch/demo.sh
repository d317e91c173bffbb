#!/usr/bin/env bash
# The main job, end to end, on the embedded corpus: launch/demo.sh   (`make demo` installs first).
# No data set, no GPU, no download; everything lies under demo/. A run that was stopped goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
cores=$(getconf _NPROCESSORS_ONLN)
workers=$((cores < 8 ? cores : 8))
devices=$((cores >= 4 ? 4 : cores >= 2 ? 2 : 1)) # the batch is split over them: keeps cores busy

say() { printf '\n== %s  %s\n' "$(date +%T)" "$1"; }
stopped() { echo "demo: stopped. Run it again to go on, or remove demo/ to begin anew." >&2; }
trap stopped ERR
trap 'stopped; exit 143' TERM

say "about ten minutes on two cores; the longest parts are 3/6 (four to five) and 1/6 (two)"
say "1/6  a corpus of talking faces; those of the test split, and their sentences, are only its own"
talkjax synth demo/data --clips 180 --identities 180 --test-fraction 0.25 --val-fraction 0.08 \
  --command-fraction 1 --size 64 --workers "$workers"
say "2/6  the sync critic: does this sound belong to these lips?"
talkjax train --config configs/demo.py:critic --workdir demo/critic --cpu-devices "$devices"
say "3/6  the talking face: a small SyncTalkFace"
talkjax train --config configs/demo.py:lips --workdir demo/lips --cpu-devices "$devices"
say "4/6  numbers on faces and sentences that it has never seen, beside rows that should lose"
if [ ! demo/report/metrics.json -nt demo/lips/checkpoints ]; then # stopped before, or not at all
  talkjax evaluate --workdir demo/lips --data demo/data --split test --voices 1 --allow-failures \
    --out demo/report > demo/evaluate.log.partial
  mv demo/evaluate.log.partial demo/evaluate.log
fi
say "5/6  new faces and voices, as ordinary videos"
talkjax synth demo/held_out --clips 3 --identities 3 --test-fraction 0.67 --val-fraction 0 \
  --command-fraction 1 --seed 1 --size 128 --as video --workers "$workers"
say "6/6  one of them says what another one said"
face=$(echo demo/held_out/*/000001.mp4)
voice=$(echo demo/held_out/*/000002.wav)
talkjax generate --checkpoint demo/lips --face "$face" --audio "$voice" --out demo/talking.mp4 \
  --contact-sheet demo/talking.png

say "done, in $((SECONDS / 60)) minutes"
# Lips of the generated faces against what is known of them, beside the other rows: the opening over
# all frames, and with each clip's mean removed.
sed -n '/^## Against the labels: lips/,/^| linear_swapped/p' demo/report/report.md |
  grep -v shuffled_audio | cut -d'|' -f1-3,5
cat <<END

The lips should follow the voice they are given (generated, swapped_voice_vs_voice), and the face they
are drawn into (swapped_voice_vs_face) no more than base_rate. ground_truth is the most that can be
measured on pictures of this size; still_hidden is a face at rest. still_mouth is not 0, as its jaw
moves and lips are read off it; linear draws no picture and is ahead of a training this short.
The model draws faces like those of this corpus, not photographs.

workdir        demo/lips         pictures of its training: demo/lips/pictures
table          demo/report/report.md    with intervals: demo/report/metrics.json
contact sheet  demo/talking.png  top to bottom: face, reference, generated, result
video          demo/talking.mp4  $face with the voice of $voice

To say something of your own with it:
  . .venv/bin/activate
  talkjax generate --checkpoint demo/lips --face $face --audio YOUR.wav --out mine.mp4
END
