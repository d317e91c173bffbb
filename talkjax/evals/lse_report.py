"""How good a SyncNet is, on true clips: whether it hears which lips belong to which sound.

Rows: `ground_truth` (true frames with their own sound) and `ground_truth_shuffled` (with
another clip's). Beside LSE stand the same questions that a sync critic is asked; their chance
is in `CHANCE`.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from talkjax.evals import baselines, lse, sync
from talkjax.evals.runner import ClipResult, EvalClip, Evaluation

CHANCE = {
    "retrieval_window": 1 / sync.NUM_SHIFTS,
    "retrieval_clip": 1 / sync.NUM_SHIFTS,
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
    hits = sync.window_retrieval(inside)
    if len(hits):  # a clip shorter than 31 windows has none with all shifts
        truth["retrieval_window"] = float(hits.mean())
    if other is None:
        return {"ground_truth": truth}
    both = min(len(clip.lips), len(other.sound))
    lips = clip.lips[:both]
    wrong = lse.score_of(lse.shift_distances(lips, other.sound[:both]))
    right = lse.score_of(lse.shift_distances(lips, clip.sound[:both]))
    truth["above_shuffled"] = float(right.distance_unshifted < wrong.distance_unshifted)
    return {"ground_truth": truth, "ground_truth_shuffled": wrong.values()}
