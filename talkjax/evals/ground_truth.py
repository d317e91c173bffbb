"""Measures against what is known of a clip, not only measured: lips, closures, blinks, head pose.

Clips made from numbers carry those numbers as labels (`data/schema.py`). Here the frames of a row
are read by the landmarks and laid against the labels of the face's clip or of the voice's. A clip
without a label has none of its measures.

Everything a face does is a dict of series (t,) float64 by the names in SERIES:
  opening, width     inner lips (62-66) and mouth corners (48-54) in eye distances.
  blink              0 open, 1 shut.
  yaw, pitch, roll   degrees about the clip's mean; as seen in the picture, positive turns the face
                     to its right, lowers the chin, tilts clockwise.
  x, y               of the middle between the eyes, eye distances about the clip's mean: right
                     and down.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from talkjax.arrays import Float
from talkjax.errors import UserError
from talkjax.evals import head_pose, landmarks
from talkjax.evals.intervals import SeriesPair
from talkjax.evals.motion import FRAMES_PER_SECOND
from talkjax.ops import geometry

Series = Mapping[str, np.ndarray]

LIPS = ("opening", "width")
SERIES = (*LIPS, "blink", *head_pose.AXES)
# Each correlation is kept with its series, so that clips can be pooled.
CORRELATIONS = {f"label_{name}_correlation": f"label_{name}" for name in SERIES}
# A report that has any of these was made with labels.
KEYS = {"bilabial_closure", *CORRELATIONS}
LABELS_ROW = "labels"

BILABIALS = frozenset({"p", "b", "m", "m̩"})
# Eye distances. A label below the first is a shut mouth. dlib's inner lips of a shut mouth lie
# apart, by 0.02 to 0.09 from face to face: lips are shut when they are less than the second above
# what dlib reads off the true frames of the same clip where the label says shut.
SHUT_LABEL = 0.02
SHUT_MARGIN = 0.03
# Eyes are shut when the lids are half way; EAR of shut eyes over that of open ones (the clip's
# median), as dlib sees them.
BLINK_ABOVE = 0.5
SHUT_EYE_RATIO = 0.5


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of one clip.

    Attributes:
      series: by SERIES; names that have no label are absent.
      phones: labels of the phones, () where they are not known.
      phone_times_s: (l, 2) start and end of each.
      crop_to_source: (t, 2, 3) from pixels of the evaluation crop to the source's.
    """

    series: Series
    phones: tuple[str, ...]
    phone_times_s: np.ndarray
    crop_to_source: np.ndarray


def read_known(
    labels: Mapping[str, np.ndarray],
    texts: Mapping[str, str],
    *,
    crop_to_source: Float[np.ndarray, "t 2 3"],
) -> Known | None:
    """What a record's labels and texts say; None if they say nothing of what is measured here.

    Raises:
      UserError: if a label does not fit the clip.
    """
    count, series = len(crop_to_source), {}
    shapes = {"lip_opening": (count,), "lip_width": (count,), "blink": (count,)}
    shapes["head_pose"] = (count, 6)
    for name, shape in shapes.items():
        if name not in labels:
            continue
        values = np.asarray(labels[name], np.float64)
        if values.shape != shape or not np.isfinite(values).all():
            raise UserError(
                f"label {name}: got shape {values.shape}, want finite values of shape {shape}"
            )
        if name == "head_pose":
            series |= head_pose.from_label(values)
        else:
            series[name.removeprefix("lip_")] = values
    phones, times_s = (), np.zeros((0, 2))
    if "phone_times_s" in labels and "phones" in texts:
        phones, times_s = tuple(texts["phones"].split()), np.asarray(labels["phone_times_s"])
        if times_s.shape != (len(phones), 2):
            raise UserError(
                f"label phone_times_s: got shape {times_s.shape}, want ({len(phones)}, 2) for the "
                "phones of the text"
            )
    if not series and not phones:
        return None
    return Known(series, phones, times_s, crop_to_source)


def seen(landmarks_xy_px: Float[np.ndarray, "t 68 2"], known: Known) -> Series:
    """What the landmarks of a row's frames do, as far as the clip has labels for it.

    Args:
      landmarks_xy_px: in the evaluation crop; as long as the clip or shorter.
    """
    points = np.asarray(landmarks_xy_px, np.float64)
    found = dict(vars(landmarks.lip_series(points)))
    if "blink" in known.series:
        found["blink"] = blink(points)
    if set(head_pose.AXES) & known.series.keys():
        found |= head_pose.from_landmarks(points, known.crop_to_source[: len(points)])
    return found


def blink(landmarks_xy_px: Float[np.ndarray, "t 68 2"]) -> Float[np.ndarray, " t"]:
    """How far the lids are down: 0 is the clip's median eye, 1 a shut one.

    Source: the eye aspect ratio (EAR) of Soukupova and Cech 2016, mean of both eyes.
    """

    def span(first: int, second: int) -> np.ndarray:
        return np.linalg.norm(landmarks_xy_px[:, first] - landmarks_xy_px[:, second], axis=1)

    ratios = [
        (span(e + 1, e + 5) + span(e + 2, e + 4)) / np.maximum(2 * span(e, e + 3), 1e-6)
        for e in (geometry.EYE_A_68.start, geometry.EYE_B_68.start)
    ]
    ratio = np.mean(ratios, axis=0)
    opened = np.maximum(np.median(ratio), 1e-6)
    return (1.0 - ratio / opened) / (1.0 - SHUT_EYE_RATIO)


def shut_below(truth: Series, known: Known) -> float | None:
    """The measured opening below which the lips of this clip's face are shut.

    Args:
      truth: seen on the clip's true frames.

    Returns:
      None where the labels never say shut, or there is no label.
    """
    if "opening" not in known.series:
        return None
    shut = known.series["opening"] < SHUT_LABEL
    return float(np.median(truth["opening"][shut])) + SHUT_MARGIN if shut.any() else None


def closure_rate(
    opening: Float[np.ndarray, " t"], known: Known, *, below: float | None
) -> float | None:
    """Share of the p, b and m during which the inner lips come closer than `below`.

    A phone has the frames whose middle lies in it, or the one nearest to its own middle. None
    where the clip has no such phone, or nothing says what is shut.
    """
    if below is None:
        return None
    middles_s = (np.arange(len(opening)) + 0.5) / FRAMES_PER_SECOND
    closed = []
    for phone, (start_s, end_s) in zip(known.phones, known.phone_times_s, strict=True):
        if phone not in BILABIALS or end_s > len(opening) / FRAMES_PER_SECOND + 1e-6:
            continue
        during = (middles_s >= start_s) & (middles_s < end_s)
        if not during.any():
            during[np.abs(middles_s - (start_s + end_s) / 2).argmin()] = True
        closed.append(opening[during].min() < below)
    return float(np.mean(closed)) if closed else None


def statistics(series: Series) -> dict[str, float]:
    """How lively a face is, whatever its labels: blinks, and motion of the head."""
    found = {}
    if "blink" in series:
        shut = series["blink"] > BLINK_ABOVE
        runs = [end - first for first, end in geometry.true_runs(shut)]
        found["blinks_per_minute"] = len(runs) * 60 * FRAMES_PER_SECOND / len(shut)
        if runs:
            found["blink_ms"] = float(np.mean(runs)) * 1000 / FRAMES_PER_SECOND
    for axis in head_pose.AXES:
        if axis in series:
            found[f"{axis}_std"] = float(series[axis].std())
            steps = np.abs(np.diff(series[axis]))
            found[f"{axis}_speed"] = float(steps.mean()) * FRAMES_PER_SECOND
    return found


def compare(
    pred: Series, known: Known, *, reference_frame: int, shut: float | None
) -> tuple[dict[str, float], dict[str, SeriesPair]]:
    """One row's measures against a clip's labels, and its pairs of series for pooling.

    They reach as far as both do; the reference frame is not judged.

    Args:
      shut: opening in `pred` below which lips are shut.
    """
    values, pairs = {}, {}
    for name in SERIES:
        if name not in pred or name not in known.series:
            continue
        both = min(len(pred[name]), len(known.series[name]))
        judged = np.arange(both) != reference_frame
        pair = pred[name][:both][judged], known.series[name][:both][judged]
        followed = landmarks.following(*pair)
        pairs[f"label_{name}"] = pair
        values[f"label_{name}_correlation"] = followed.correlation
        if name in LIPS:
            values[f"label_{name}_error"] = followed.error
        if name == "opening":
            lag = landmarks.lag_frames(pred[name][:both], known.series[name][:both])
            values["label_lag_ms"] = None if lag is None else lag * landmarks.MS_PER_FRAME
    if "opening" in pred:
        values["bilabial_closure"] = closure_rate(pred["opening"], known, below=shut)
    return {key: value for key, value in values.items() if value is not None}, pairs


def compare_rows(
    rows: Mapping[str, Series], known: Known, voice: Known | None, *, reference_frame: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, SeriesPair]]]:
    """Values and pairs of every row of one clip, by row.

    Args:
      rows: what is seen on the row's frames (or predicted), and on the true ones as "truth".
      known: of the face's clip.
      voice: of the clip that "shuffled_audio" was driven by, where that has labels.
    """
    shut = shut_below(rows["truth"], known)
    asked = {row: (series, known) for row, series in rows.items() if row != "truth"}
    if "shuffled_audio" in rows:
        asked["swapped_voice_vs_face"] = asked["shuffled_audio"]
        if voice is not None:
            asked["swapped_voice_vs_voice"] = (rows["shuffled_audio"], voice)
            asked["base_rate"] = (known.series, voice)
    values, pairs = {}, {}
    for row, (series, judge) in asked.items():
        values[row], pairs[row] = compare(
            series,
            judge,
            reference_frame=reference_frame,
            shut=SHUT_LABEL if series is known.series else shut,
        )
        values[row] |= statistics(series) if row in rows else {}
    values[LABELS_ROW] = statistics(known.series)
    if shut is not None:
        rate = closure_rate(known.series["opening"], known, below=SHUT_LABEL)
        values[LABELS_ROW] |= {} if rate is None else {"bilabial_closure": rate}
    return {row: found for row, found in values.items() if found}, pairs


def protocol() -> dict[str, object]:
    """How these numbers were made."""
    return {
        "label_lips": "as `lips`, against the known opening and width instead of measured ones",
        "label_lag": f"best of +-{landmarks.MAX_LAG_FRAMES} frames by opening; positive: late",
        "bilabial_closure": {
            "phones": sorted(BILABIALS),
            "shut": f"less than {SHUT_MARGIN} eye distances above the median opening of the clip's "
            f"true frames whose label is below {SHUT_LABEL}; labels: below {SHUT_LABEL}",
            "frames": "those whose middle lies in the phone, or the nearest one",
        },
        "blinks": {
            "measure": "eye aspect ratio (Soukupova and Cech 2016), 0 at the clip's median, "
            f"1 at {SHUT_EYE_RATIO} of it",
            "shut_above": BLINK_ABOVE,
            "blink_ms": "mean time above it",
        },
        "head_pose": " ".join(head_pose.__doc__.split()),
        "row": f"{LABELS_ROW}: what the labels themselves say, nothing is measured on pictures",
    }
