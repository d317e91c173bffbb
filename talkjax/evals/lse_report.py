"""How good a SyncNet is, on true clips: whether it hears which lips belong to which sound.

Rows: `ground_truth` (true frames with their own sound) and `ground_truth_shuffled` (with
another clip's, where retrieval must fall to chance). Beside LSE stand the same questions that a
sync critic is asked, shifts that are cut into the clip among them; their chance is in `CHANCE`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from talkjax.evals import baselines, critic_report, lse, sync
from talkjax.evals.runner import ClipResult, EvalClip, Evaluation

CHANCE = {
    "retrieval_window": 1 / sync.NUM_SHIFTS,
    "retrieval_clip": 1 / sync.NUM_SHIFTS,
    "shift_found": 1 / sync.NUM_SHIFTS,
    "shift_followed": 1 / sync.NUM_SHIFTS,
    "above_shuffled": 0.5,
}
Prepare = Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]]


def evaluate_judge(
    clip_ids: Sequence[str],
    load: Callable[[str], EvalClip],
    judge: lse.Judge,
    *,
    prepare: Prepare,
    seed: int,
    on_clip_done: Callable[[], None],
) -> Evaluation:
    """Measures a SyncNet on every clip; clips it cannot be given are in `failed`.

    Args:
      prepare: true crops -> pictures as the judge sees them.
    """
    heard, failed = {}, {}
    for clip_id in sorted(clip_ids):
        try:
            clip = load(clip_id)
            heard[clip_id] = lse.embed_clip(prepare(clip.truth_u8), clip.audio_i16, judge)
        except ValueError as error:
            failed[clip_id] = str(error)
        on_clip_done()
    voices = baselines.pairing(sorted(heard), seed=seed)
    results = {}
    for clip_id, clip in heard.items():
        other = heard[voices[clip_id][0]] if clip_id in voices else None
        results[clip_id] = ClipResult(values=_values(clip, other), pairs={})
    return Evaluation(results=results, failed=failed, voices=voices)


def _values(clip: lse.Heard, other: lse.Heard | None) -> dict[str, dict[str, float]]:
    own = lse.score_of(lse.shift_distances(clip.lips, clip.sound))
    # Retrieval asks among sounds that there are, so shifts beyond the clip are left out.
    inside = sync.shift_distances(clip.lips, clip.sound, np.arange(len(clip.lips)))
    truth = own.values() | {"retrieval_clip": float(sync.clip_retrieval(inside))}
    truth |= _retrieval(inside)
    offsets = reported_when_shifted(clip)
    truth |= critic_report.shift_scores(offsets)
    reported = {critic_report.REPORTED_OFFSETS: critic_report.reported_offsets(offsets)}
    if other is None:
        return {"ground_truth": truth} | reported
    both = min(len(clip.lips), len(other.sound))
    lips = clip.lips[:both]
    wrong = lse.score_of(lse.shift_distances(lips, other.sound[:both]))
    right = lse.score_of(lse.shift_distances(lips, clip.sound[:both]))
    truth["above_shuffled"] = float(right.distance_unshifted < wrong.distance_unshifted)
    shuffled = sync.shift_distances(lips, other.sound[:both], np.arange(both))
    rows = {"ground_truth": truth, "ground_truth_shuffled": wrong.values() | _retrieval(shuffled)}
    return rows | reported


def _retrieval(shifted: np.ndarray) -> dict[str, float]:
    """Absent where a clip is shorter than 31 windows, so that none has all shifts."""
    hits = sync.window_retrieval(shifted)
    return {"retrieval_window": float(hits.mean())} if len(hits) else {}


def reported_when_shifted(clip: lse.Heard) -> dict[int, int]:
    """{shift: the offset reported of the clip when its picture was made so many frames late}.

    Both ends are cut, as in `critic_report`; shifts that leave fewer than its MIN_WINDOWS are
    absent. A frame of sound is four whole MFCC steps, so the windows of the sound that is left are
    those that were heard (but for the emphasis of its first sample), and none is embedded again.
    """
    found = {}
    for shift in critic_report.INJECTED_FRAMES:
        left = len(clip.lips) - abs(shift)
        if left < critic_report.MIN_WINDOWS:
            continue
        first_picture, first_sound = max(-shift, 0), max(shift, 0)
        lips = clip.lips[first_picture : first_picture + left]
        sound = clip.sound[first_sound : first_sound + left]
        found[shift] = lse.score_of(lse.shift_distances(lips, sound)).offset_frames
    return found


def protocol() -> dict[str, Any]:
    """How the numbers beside LSE were made."""
    shared = critic_report.protocol()
    return {"chance": CHANCE} | {
        name: shared[name] for name in ("shift_found", "shift_followed", "shift_error")
    }
