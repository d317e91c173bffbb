"""From per-clip values to metrics.json and a Markdown table.

metrics.json: {"rows": {row: {key: {"mean", "low", "high"}}}, "differences": the same of paired
differences, "clips": {clip: {row: {key: value}}}, "failed": {clip: reason}, "protocol": {...}};
with a lip reader also "lip_reading", see `lip_reading.summary`; of a sync critic or a SyncNet also
"offset_histogram" and "injected_shifts", see `critic_report`.
A measure without a meaning for a row is absent, never 0. Correlations of `rows` are those of
all clips' frames put end to end, `*_correlation_centred` the same with each clip's means removed
(resting mouths differ from clip to clip); `*_correlation_per_clip` is the mean of the clips' own.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from talkjax.evals import (
    baselines,
    ground_truth,
    head_pose,
    image_quality,
    intervals,
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
LSE_HEADING = "LSE by SyncNet"
# What in the protocol says who gave the sync measures: the judge of a model, the critic of which
# the report is, or the critics of the training.
CRITICS = ("judge", "critic", "training_critic")
TABLES = (
    ("Pictures", ("psnr", "ssim", "psnr_mouth", "ssim_mouth", "lmd", "lmd_centred")),
    (
        "Lips",
        (
            "opening_correlation",
            "width_correlation",
            "opening_correlation_centred",
            "width_correlation_centred",
            "opening_error",
            "width_error",
            "opening_correlation_framewise",
            "width_correlation_framewise",
            "lag_ms",
            "silence_opening",
            "jitter",
            "jitter_pixels",
        ),
    ),
    (
        "Sync",
        (
            "sync_distance",
            "sync_confidence",
            "sync_offset",
            "sync_offset_fine",
            "sync_distance_unshifted",
        ),
    ),
    (LSE_HEADING, ("lse_d", "lse_c", "lse_offset", "lse_d_unshifted")),
    (
        "Against the labels: lips",
        (
            "label_opening_correlation",
            "label_width_correlation",
            "label_opening_correlation_centred",
            "label_width_correlation_centred",
            "label_opening_error",
            "label_width_error",
            "label_lag_ms",
            "bilabial_closure",
        ),
    ),
    ("Against the labels: blinks", ("label_blink_correlation", "blinks_per_minute", "blink_ms")),
    (
        "Against the labels: head pose",
        tuple(f"label_{axis}_correlation" for axis in head_pose.AXES),
    ),
    ("Head pose: standard deviation", tuple(f"{axis}_std" for axis in head_pose.AXES)),
    ("Head pose: speed per second", tuple(f"{axis}_speed" for axis in head_pose.AXES)),
    (
        "Critic",
        (
            "retrieval_window",
            "retrieval_2",
            "retrieval_4",
            "retrieval_8",
            "retrieval_26",
            "retrieval_clip",
            "accuracy_at_half",
            "accuracy_ranked",
            "above_shuffled",
        ),
    ),
    ("Critic: injected shifts", ("shift_found", "shift_followed", "shift_error")),
)
# What the printed table says of the paired differences; metrics.json has all of them.
DIFFERENCE_KEYS = (
    "psnr",
    "psnr_mouth",
    "lmd",
    "opening_correlation",
    "width_correlation",
    "opening_correlation_framewise",
    "width_correlation_framewise",
    "sync_distance",
    "lse_d",
    "lse_c",
)
DIGITS = {
    "psnr": 2,
    "psnr_mouth": 2,
    "lag_ms": 0,
    "sync_offset": 2,
    "sync_offset_fine": 2,
    "lse_offset": 2,
    "label_lag_ms": 0,
    "blinks_per_minute": 1,
    "blink_ms": 0,
}


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
    return {
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


def markdown(contents: Mapping[str, Any], *, title: str) -> str:
    """The rows of metrics.json as tables, with intervals in brackets."""
    parts = [f"# {title}", ""]
    rows, measured = contents["rows"], contents["protocol"]["clips_measured"]
    several = measured > 1
    for heading, base_keys in TABLES:
        # A training critic's measures carry a suffix and stand beside the judge's.
        keys = [
            key
            for base in base_keys
            for key in sorted({k for r in rows.values() for k in r if _is_of(k, base)})
        ]
        chosen = [row for row in rows if any(key in rows[row] for key in keys)]
        if keys and chosen:
            title = _with_judges(heading, keys, contents["protocol"])
            parts += [f"## {title}", "", *_table(rows, chosen, keys, with_intervals=several), ""]
    differences = contents["differences"]
    keys = [key for key in DIFFERENCE_KEYS if any(key in found for found in differences.values())]
    if keys:
        table = _table(differences, list(differences), keys, with_intervals=several)
        title = _with_judges("Paired differences", keys, contents["protocol"])
        parts += [f"## {title}", "", *table, ""]
    parts += _least_shift(contents.get("injected_shifts", {}), with_intervals=several)
    parts += _critic_legend(contents["protocol"])
    if "lip_reading" in contents:
        reader = contents["protocol"]["lip_reader"]
        parts += lip_reading.markdown(contents["lip_reading"], reader=reader)
    for name, value in contents["protocol"].items():
        if isinstance(value, Mapping) and "independence" in value:
            words = name.replace("_", " ")
            parts += [f"Independence of the {words}: {value['independence']}.", ""]
    failed = contents["failed"]
    parts.append(f"{measured} clips measured, {len(failed)} failed.")
    if not several:
        parts.append(
            "One clip has no intervals, and no other voice: the rows of shuffled audio, swapped "
            "voice and base rate need two clips."
        )
    parts += [f"* failed: {clip}: {reason}" for clip, reason in failed.items()]
    return "\n".join(parts) + "\n"


def _least_shift(shares: Mapping[str, Mapping[str, float]], *, with_intervals: bool) -> list[str]:
    """The injected shift that is reported exactly in the fewest clips; [] if none was injected."""
    if not shares:
        return []
    least = min(shares, key=lambda shift: shares[shift]["mean"])
    as_few = sum(share["mean"] == shares[least]["mean"] for share in shares.values())
    cell = _cell("shift_found", shares[least], with_interval=with_intervals)
    return [
        "## Critic: the injected shift that is found least",
        "",
        "| shift, frames | reported exactly | clips | shifts found as seldom | shifts |",
        "|---" * 5 + "|",
        f"| {least} | {cell} | {shares[least]['clips']} | {as_few} | {len(shares)} |",
        "",
    ]


def _critic_legend(protocol: Mapping[str, Any]) -> list[str]:
    """What the columns of a critic's own report mean, and what a coin gets; [] in others."""
    if not {"chance", "retrieval", "shift_found"} <= set(protocol):
        return []
    return [
        f"* `retrieval_*`, chance 1/31 = 0.03: {protocol['retrieval']}.",
        f"* `shift_found`, chance 0.03: {protocol['shift_found']}.",
        "* Chance 0.5: `accuracy_at_half`, balanced share of a clip's true and false pairs on "
        "their side of cosine 0.5; `accuracy_ranked`, share of false pairs below the same mouth's "
        "true pair; `above_shuffled`, share of clips that score above another's sound.",
        "",
    ]


def _with_judges(heading: str, keys: Sequence[str], protocol: Mapping[str, Any]) -> str:
    """The heading of a table with who gave its scores: those of two judges cannot be compared."""
    judges = []
    if any(key.startswith("sync_") for key in keys):
        labelled = {name: protocol[name] for name in protocol if name.startswith(CRITICS)}
        judges += [
            f"{name.replace('_', ' ')} {who['label']}"
            for name, who in labelled.items()
            if isinstance(who, Mapping)
        ]
    if any(key.startswith("lse_") for key in keys):
        who = protocol["syncnet"]["label"]
        judges.append(who if heading == LSE_HEADING else f"{LSE_HEADING}: {who}")
    return f"{heading}: {'; '.join(judges)}" if judges else heading


def _is_of(key: str, base: str) -> bool:
    return key in (base, base + TRAINING_CRITIC_SUFFIX)


TRAINING_CRITIC_SUFFIX = "_training_critic"


def _table(
    rows: Mapping[str, Mapping[str, Mapping[str, float]]],
    chosen: Sequence[str],
    keys: Sequence[str],
    *,
    with_intervals: bool,
) -> list[str]:
    lines = ["| row | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for row in chosen:
        cells = [
            _cell(key, rows[row][key], with_interval=with_intervals) if key in rows[row] else "-"
            for key in keys
        ]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def _cell(key: str, interval: Mapping[str, float], *, with_interval: bool) -> str:
    digits = DIGITS.get(key, 3)
    mean, low, high = (f"{interval[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]" if with_interval else mean
