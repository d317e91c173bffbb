"""How good a sync critic is, on true clips.

Rows: `ground_truth` (true frames with their own sound) and `ground_truth_shuffled` (with
another clip's). Chance: retrieval among 31 shifts 1/31, the accuracies and above_shuffled 0.5.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from talkjax.evals import baselines, intervals, sync
from talkjax.evals.runner import ClipResult, EvalClip, Evaluation

CHANCE = {
    "retrieval_window": 1 / sync.NUM_SHIFTS,
    "retrieval_clip": 1 / sync.NUM_SHIFTS,
    "accuracy_at_half": 0.5,
    "accuracy_ranked": 0.5,
    "above_shuffled": 0.5,
}


@dataclasses.dataclass(frozen=True)
class _Heard:
    """Embeddings of one clip; row i is the window at frame i."""

    face: np.ndarray
    sound: np.ndarray


def evaluate_critic(
    clip_ids: Sequence[str],
    load: Callable[[str], EvalClip],
    critic: sync.Critic,
    *,
    seed: int,
    on_clip_done: Callable[[], None],
) -> Evaluation:
    """Measures a critic on every clip; clips it cannot be given are in `failed`."""
    heard, failed = {}, {}
    for clip_id in sorted(clip_ids):
        try:
            heard[clip_id] = _embed(load(clip_id), critic)
        except ValueError as error:
            failed[clip_id] = str(error)
        on_clip_done()
    voices = baselines.pairing(sorted(heard), seed=seed)
    results = {}
    for clip_id, clip in heard.items():
        other = heard[voices[clip_id][0]] if clip_id in voices else None
        results[clip_id] = ClipResult(values=_values(clip, other), pairs={})
    return Evaluation(results=results, failed=failed, voices=voices)


def _embed(clip: EvalClip, critic: sync.Critic) -> _Heard:
    starts = np.arange(critic.num_windows(len(clip.truth_u8)))
    if len(starts) <= sync.FALSE_GAP_FRAMES:
        raise ValueError(f"clip has {len(starts)} windows, want more than {sync.FALSE_GAP_FRAMES}")
    return _Heard(face=critic.faces(clip.truth_u8, starts), sound=critic.sound(clip.mel, starts))


def _values(clip: _Heard, other: _Heard | None) -> dict[str, dict[str, float]]:
    starts = np.arange(len(clip.face))
    shifted = sync.shift_distances(clip.face, clip.sound, starts)
    pairs = sync.pair_scores(clip.face, clip.sound)
    truth = _score(shifted) | {
        "retrieval_clip": float(sync.clip_retrieval(shifted)),
        "accuracy_at_half": pairs.at_half,
        "accuracy_ranked": pairs.ranked,
    }
    hits = sync.window_retrieval(shifted)
    if len(hits):  # a clip shorter than 31 windows has none with all shifts
        truth["retrieval_window"] = float(hits.mean())
    if other is None:
        return {"ground_truth": truth}
    starts = starts[starts < len(other.sound)]
    face = clip.face[starts]
    own = sync.mean_similarity(face, clip.sound, starts)
    shuffled = sync.mean_similarity(face, other.sound, starts)
    truth["above_shuffled"] = float(own > shuffled)
    wrong = _score(sync.shift_distances(face, other.sound, starts))
    return {"ground_truth": truth, "ground_truth_shuffled": wrong}


def _score(shifted: np.ndarray) -> dict[str, float]:
    score = sync.sync_score(shifted)
    return {
        "sync_distance": score.distance,
        "sync_confidence": score.confidence,
        "sync_offset": float(score.offset_frames),
        "sync_distance_unshifted": score.distance_unshifted,
    }


def offset_histogram(
    evaluation: Evaluation, *, seed: int, key: str = "sync_offset"
) -> dict[str, Any]:
    """Share of clips by offset (frames), with intervals; offsets that no clip has are absent."""
    offsets = np.array([r.values["ground_truth"][key] for r in evaluation.results.values()])
    return {
        f"{int(offset)}": intervals.mean_interval(
            (offsets == offset).astype(np.float64), seed=seed
        ).as_json()
        for offset in np.unique(offsets)
    }
