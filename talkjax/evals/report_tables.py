"""metrics.json as Markdown: the tables of report.md and of the terminal.

Columns stand in the order of TABLES; a row or column that nothing was measured of is left out.
Scores of a critic or a SyncNet carry, in the heading, who gave them: those of two judges cannot be
compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from talkjax.evals import head_pose, landmarks, lip_reading, sync

LSE_HEADING = "LSE by SyncNet"
# What in the protocol says who gave the sync measures: the judge of a model, the critic of which
# the report is, or the critics of the training.
CRITICS = ("judge", "critic", "training_critic")
# A training critic's measures carry this, and stand beside the judge's.
TRAINING_CRITIC_SUFFIX = "_training_critic"
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
LEGENDS = {
    "Pictures": ("`lmd`, `lmd_centred`: dlib's 68 points, px at the evaluation size.",),
    "Lips": (
        "Read off the frames by dlib's 68 points. Correlations are over all clips' frames end to "
        "end, not means of the clips' own.",
        f"`lag_ms`: the best of ±{landmarks.MAX_LAG_FRAMES * 40} ms; a lag at that edge is none.",
    ),
    "Sync": (f"Offsets: the best of ±{sync.MAX_SHIFT_FRAMES} frames; positive: picture late.",),
}
# A bootstrap over so few clips has hardly anything to redraw.
FEW_CLIPS = 10
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


def markdown(contents: Mapping[str, Any], *, title: str) -> str:
    """The rows of metrics.json as tables, with intervals in brackets."""
    parts = [f"# {title}", ""]
    parts += [f"* **Warning**: {line}." for line in contents["warnings"]]
    parts += [""] if contents["warnings"] else []
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
            judged = _with_judges(heading, keys, contents["protocol"])
            parts += [f"## {judged}", "", *_table(rows, chosen, keys, with_intervals=several), ""]
            parts += [f"* {line}" for line in LEGENDS.get(heading, ())]
            parts += [""] if heading in LEGENDS else []
    differences = contents["differences"]
    keys = [key for key in DIFFERENCE_KEYS if any(key in found for found in differences.values())]
    if keys:
        table = _table(differences, list(differences), keys, with_intervals=several)
        judged = _with_judges("Paired differences", keys, contents["protocol"])
        parts += [f"## {judged}", "", *table, ""]
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
    if 1 < measured < FEW_CLIPS:
        parts.append(
            f"Intervals redraw the clips; of fewer than {FEW_CLIPS} they are too narrow to rely on."
        )
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
