"""From per-clip values to metrics.json; `report_tables` prints it.

metrics.json: {"rows": {row: {key: {"mean", "low", "high"}}}, "differences": the same of paired
differences, "clips": {clip: {row: {key: value}}}, "failed": {clip: reason}, "protocol": {...}};
"warnings": [judges whose numbers say nothing, see `judge_worth`];
with a lip reader also "lip_reading", see `lip_reading.summary`; of a sync critic or a SyncNet also
"offset_histogram" and "injected_shifts", see `critic_report`.
A measure without a meaning for a row is absent, never 0. Correlations of `rows` are those of
all clips' frames put end to end, `*_correlation_centred` the same with each clip's means removed
(resting mouths differ from clip to clip); `*_correlation_per_clip` is the mean of the clips' own.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from talkjax.evals import (
    baselines,
    ground_truth,
    image_quality,
    intervals,
    judge_worth,
    landmarks,
    lip_reading,
    motion,
    runner,
    sync,
)
from talkjax.evals.runner import ClipResult, Evaluation

ROWS = (
    "generated",
    "ground_truth",
    "shuffled_audio",
    "still_mouth",
    "still_hidden",
    runner.SILENCE,
    "linear",
    "base_rate",
    "swapped_voice_vs_voice",
    "swapped_voice_vs_face",
    "linear_swapped_vs_face",
    "ground_truth_shuffled",
    ground_truth.LABELS_ROW,
)
POOLED = {
    "opening_correlation": "opening",
    "width_correlation": "width",
    "opening_correlation_framewise": "opening_framewise",
    "width_correlation_framewise": "width_framewise",
} | ground_truth.CORRELATIONS
# (first, second): what is asked of a model is asked as a paired difference.
DIFFERENCES = (
    ("generated", "still_mouth"),
    ("generated", "still_hidden"),
    ("generated", "shuffled_audio"),
    ("generated", "linear"),
    ("generated", "ground_truth"),
    ("swapped_voice_vs_voice", "linear"),
    ("swapped_voice_vs_face", "base_rate"),
    ("swapped_voice_vs_face", "linear_swapped_vs_face"),
    ("swapped_voice_vs_face", "still_hidden"),
    ("ground_truth", "ground_truth_shuffled"),
)


def metrics(evaluation: Evaluation, *, protocol: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The contents of metrics.json."""
    results = dict(sorted(evaluation.results.items()))
    rows = {row: _row(row, results, seed=seed) for row in ROWS}
    rows = {row: found for row, found in rows.items() if found}
    counts = {row: sum(row in r.values for r in results.values()) for row in rows}
    differences = {
        f"{first} - {second}": _difference(first, second, results, seed=seed)
        for first, second in DIFFERENCES
    }
    labelled = {key for found in rows.values() for key in found} & ground_truth.KEYS
    known = {"ground_truth": ground_truth.protocol()} if labelled else {}
    read = {clip: result.read for clip, result in results.items() if result.read}
    contents = {
        "rows": rows,
        "differences": {name: found for name, found in differences.items() if found},
        "clips": {clip: _in_order(result.values) for clip, result in results.items()},
        "failed": dict(sorted(evaluation.failed.items())),
        "protocol": dict(protocol)
        | known
        | {
            "clips_measured": len(results),
            "clips_failed": len(evaluation.failed),
            "clips_per_row": counts,
            "voices_of": {clip: list(of) for clip, of in sorted(evaluation.voices.items())},
        },
    } | ({"lip_reading": lip_reading.summary(read, seed=seed)} if read else {})
    return contents | {"warnings": judge_worth.warnings(contents)}


def _in_order(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {row: dict(values[row]) for row in ROWS if row in values}


def _row(row: str, results: Mapping[str, ClipResult], *, seed: int) -> dict[str, dict[str, float]]:
    clips = [r for r in results.values() if row in r.values]
    found = {}
    for key in sorted({key for r in clips for key in r.values[row]}):
        values = np.array([r.values[row][key] for r in clips if key in r.values[row]])
        interval = intervals.mean_interval(values, seed=seed).as_json()
        if key not in POOLED:
            found[key] = interval
            continue
        pairs = [r.pairs[row][POOLED[key]] for r in clips if key in r.values[row]]
        for name, centred in ((key, False), (f"{key}_centred", True)):
            pooled = intervals.correlation_interval(pairs, seed=seed, centred=centred)
            found[name] = pooled.as_json()
        found[f"{key}_per_clip"] = interval
    return found


def _difference(
    first: str, second: str, results: Mapping[str, ClipResult], *, seed: int
) -> dict[str, dict[str, float]]:
    """Paired differences over the clips that have both values."""
    clips = [r for r in results.values() if first in r.values and second in r.values]
    keys = {key for r in clips for key in r.values[first].keys() & r.values[second].keys()}
    found = {}
    for key in sorted(keys):
        both = [r for r in clips if key in r.values[first] and key in r.values[second]]
        if key in POOLED:
            one, two = ([r.pairs[row][POOLED[key]] for r in both] for row in (first, second))
            for name, centred in ((key, False), (f"{key}_centred", True)):
                found[name] = intervals.paired_correlation_difference(
                    one, two, seed=seed, centred=centred
                ).as_json()
        else:
            one, two = (np.array([r.values[row][key] for r in both]) for row in (first, second))
            found[key] = intervals.paired_mean_difference(one, two, seed=seed).as_json()
    return found


def measuring_protocol(*, seed: int, reference_frame: int, sync_stride: int) -> dict[str, Any]:
    """How the numbers were made, for the protocol part: everything these modules decide."""
    return {
        "crop": {
            "geometry": "eyes 1/3 of the side apart, eye line at 0.28 of the side",
            "evaluation_size_px": image_quality.EVAL_SIZE_PX,
            "mouth_rows_px": list(image_quality.MOUTH_ROWS_PX),
            "mouth_columns_px": list(image_quality.MOUTH_COLUMNS_PX),
            "resizing": "area when shrinking, bicubic when growing; uint8 RGB",
        },
        "reference": {
            "frame": reference_frame,
            "judged_frames": "all but the reference (images, landmarks, lips)",
        },
        "psnr": f"per frame, mean over frames then clips, capped at {image_quality.PSNR_CAP_DB} dB",
        "ssim": "Gaussian window 11, sigma 1.5, K1 0.01, K2 0.03, RGB, whole windows only",
        "landmarks": {
            "model": "dlib 68 points on a fixed rectangle of the crop",
            "licence": landmarks.LICENCE_NOTE,
            "lmd": "mouth points 48-67, mean distance, px at the evaluation size",
        },
        "lips": {
            "opening": "inner lip 62-66 over the clip's median distance of the eye centres",
            "width": "mouth corners 48-54 over the clip's median distance of the eye centres",
            "correlation": "Pearson over all clips' frames end to end; *_centred: each clip's "
            "means removed first; *_per_clip: mean over clips",
            "framewise": "*_framewise: over each frame's own eye distance. Crops are aligned by "
            "the eyes, so what is left of that distance is landmark noise, and frames that share "
            "the pixels of the eyes share it: even a mouth that never moves follows the truth, "
            "see still_hidden. Hence both forms.",
            "voices": "swapped_* and base_rate pool all voices that a face was given; a clip is "
            "drawn with all of its voices",
            "lag": f"best of +-{landmarks.MAX_LAG_FRAMES} frames by opening; positive: late",
        },
        "silence": {
            "quiet_below_loud_db": motion.QUIET_BELOW_LOUD_DB,
            "quiet_floor_dbfs": motion.QUIET_FLOOR_DBFS,
            "min_pause_frames": motion.MIN_PAUSE_FRAMES,
            "after_speech_frames": motion.AFTER_SPEECH_FRAMES,
            "before_speech_frames": motion.BEFORE_SPEECH_FRAMES,
            "level": "RMS of 40 ms after pre-emphasis 0.97",
            "scale": "0 and 1 are the 5th and 95th percentile of the face's true opening",
            "row_silence": f"{runner.SILENCE_FRAMES} frames of each clip driven by zeros",
        },
        "jitter": "mean |second difference| of mouth landmarks (pixels) over the truth's",
        "sync": {
            "shifts_frames": sync.MAX_SHIFT_FRAMES,
            "window_stride_frames": sync_stride,
            "offset_sign": "positive: picture late",
            "comparable": "no: a critic of our own, not the public SyncNet's LSE",
        },
        "rows": " ".join(baselines.__doc__.split()),
        "intervals": f"{intervals.LEVEL:.0%} percentile bootstrap over clips, "
        f"{intervals.RESAMPLES} redraws",
        "seed": seed,
    }


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_json(path: pathlib.Path, contents: Mapping[str, Any]) -> None:
    """Writes JSON that any parser reads: no NaN, no infinity (ValueError)."""
    write_text(path, json.dumps(contents, indent=2, allow_nan=False) + "\n")
