"""Lips as numbers: landmark distance, lip opening and width, how well they follow the truth.

Landmarks are dlib's 68 points in pixels of the crop at the evaluation size (128): 0-16 jaw,
36-41 and 42-47 the eyes, 48-67 the mouth. dlib's 68-point model was trained on iBUG 300-W,
whose terms allow research only; it measures here and takes no part in any model.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from talkjax.arrays import Bool, Float, UInt8
from talkjax.errors import UserError
from talkjax.ops import geometry

MOUTH_POINTS = slice(48, 68)
MAX_LAG_FRAMES = 5
MS_PER_FRAME = 40.0

LICENCE_NOTE = (
    "Landmarks: dlib's 68-point model, trained on iBUG 300-W (research use only); "
    "used to measure, not to train or to generate."
)

# frames_u8 (t, 128, 128, 3) -> landmarks_xy_px (t, 68, 2); a module-level function, so that
# worker processes can import it.
TrackLandmarks = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class LipSeries:
    """What the lips of a clip do, in units of the distance between the eye centres.

    opening, width: (t,) float64.
    """

    opening: np.ndarray
    width: np.ndarray

    def frames(self, chosen: slice | Bool[np.ndarray, " t"]) -> "LipSeries":
        return LipSeries(self.opening[chosen], self.width[chosen])


@dataclasses.dataclass(frozen=True)
class Following:
    """How a lip measure follows another over one clip.

    correlation: Pearson, 0 if `pred` is constant, None if the target is.
    error: mean absolute difference, in eye distances.
    """

    correlation: float | None
    error: float


def lip_series(
    landmarks_xy_px: Float[np.ndarray, "t 68 2"], *, framewise: bool = False
) -> LipSeries:
    """Inner-lip opening (62-66) and mouth width (48-54) over the clip's median eye distance.

    The median, because crops are aligned by the eyes: what is left of the eye distance from frame
    to frame is landmark noise, and frames that share the pixels of the eyes share that noise.
    Dividing each frame by its own makes a mouth that never moves "follow" the true width with a
    correlation of 0.45 on GRID, and a face whose visible rows were frozen with 0.40.

    Args:
      framewise: divide each frame by its own eye distance all the same.
    """
    points = np.asarray(landmarks_xy_px, np.float64)
    eyes = geometry.eye_distance68(points)
    in_medians = np.ones_like(eyes) if framewise else eyes / np.median(eyes)
    return LipSeries(
        opening=geometry.lip_opening(points) * in_medians,
        width=geometry.mouth_width(points) * in_medians,
    )


def landmark_distance(
    pred_xy_px: Float[np.ndarray, "t 68 2"], target_xy_px: Float[np.ndarray, "t 68 2"]
) -> Float[np.ndarray, " t"]:
    """LMD: mean distance of the 20 mouth points in each frame, px of the evaluation crop."""
    offsets = pred_xy_px[:, MOUTH_POINTS] - target_xy_px[:, MOUTH_POINTS]
    return np.linalg.norm(np.asarray(offsets, np.float64), axis=2).mean(axis=1)


def centred_landmark_distance(
    pred_xy_px: Float[np.ndarray, "t 68 2"], target_xy_px: Float[np.ndarray, "t 68 2"]
) -> Float[np.ndarray, " t"]:
    """LMD of mouths whose centres were laid on each other: the shape alone, not its place."""
    pred = pred_xy_px[:, MOUTH_POINTS]
    target = target_xy_px[:, MOUTH_POINTS]
    pred = pred - pred.mean(axis=1, keepdims=True)
    target = target - target.mean(axis=1, keepdims=True)
    return np.linalg.norm(np.asarray(pred - target, np.float64), axis=2).mean(axis=1)


def following(pred: Float[np.ndarray, " t"], target: Float[np.ndarray, " t"]) -> Following:
    """Correlation and error of one lip measure over one clip."""
    return Following(
        correlation=correlation(pred, target), error=float(np.mean(np.abs(pred - target)))
    )


def correlation(pred: Float[np.ndarray, " t"], target: Float[np.ndarray, " t"]) -> float | None:
    """Pearson correlation; 0 for a constant prediction, None for a constant target."""
    x, y = pred - pred.mean(), target - target.mean()
    scale_x, scale_y = np.sqrt(x @ x), np.sqrt(y @ y)
    # Rounding leaves a constant of order 1 a deviation of about 1e-15.
    if scale_y < 1e-9:
        return None
    return float(x @ y / (scale_x * scale_y)) if scale_x >= 1e-9 else 0.0


def lag_frames(pred: Float[np.ndarray, " t"], target: Float[np.ndarray, " t"]) -> int | None:
    """The shift within +-5 frames at which pred follows target best; positive: pred is late.

    None when either is constant, or too short to be shifted (12 frames).
    """
    count = len(pred)
    if count < 2 * MAX_LAG_FRAMES + 2 or np.ptp(pred) < 1e-9 or np.ptp(target) < 1e-9:
        return None
    values = {}
    # Smallest shifts first: max() keeps the first of equals.
    for lag in sorted(range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1), key=abs):
        late = pred[max(lag, 0) : count + min(lag, 0)]
        early = target[max(-lag, 0) : count + min(-lag, 0)]
        value = correlation(late, early)
        values[lag] = -1.0 if value is None else value
    return max(values, key=values.get)


class _Processes:
    """Spawned processes, replaced as a whole after one of them died. Started when needed."""

    def __init__(self, count: int):
        self._count = count
        self._pool = self._made()

    def _made(self) -> concurrent.futures.ProcessPoolExecutor:
        # spawn: a forked copy of a process that runs jax's threads can hang.
        context = multiprocessing.get_context("spawn")
        return concurrent.futures.ProcessPoolExecutor(self._count, mp_context=context)

    def submit(self, function: Callable, argument: np.ndarray) -> concurrent.futures.Future:
        try:
            return self._pool.submit(function, argument)
        except BrokenProcessPool:
            self.close()
            self._pool = self._made()
            return self._pool.submit(function, argument)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class LandmarkTracker:
    """Runs a landmark function on clips, in worker processes or at once.

    Example: `with tracker(track, workers=2) as t: points = t.start(frames)()`.
    """

    def __init__(self, track: TrackLandmarks, *, workers: int):
        self._track = track
        self._shared = _Processes(workers) if workers else None
        self._alone = _Processes(1)

    def start(
        self, frames_u8: UInt8[np.ndarray, "t h w 3"]
    ) -> Callable[[], Float[np.ndarray, "t 68 2"]]:
        """Begins to track; the returned function waits for the landmarks.

        It raises UserError if a process that had nothing but these frames died of them.
        """
        if self._shared is None:
            points = self._track(frames_u8)
            return lambda: points
        return functools.partial(self._wait, self._shared.submit(self._track, frames_u8), frames_u8)

    def _wait(self, future: concurrent.futures.Future, frames_u8: np.ndarray) -> np.ndarray:
        try:
            return future.result()
        except BrokenProcessPool:
            pass
        # A death takes all that was under way with it: whose fault it was shows in seclusion.
        try:
            return self._alone.submit(self._track, frames_u8).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"landmarks: the process died on these {len(frames_u8)} frames (no memory left?)"
            ) from error

    def close(self) -> None:
        self._alone.close()
        if self._shared is not None:
            self._shared.close()


@contextlib.contextmanager
def tracker(track: TrackLandmarks, *, workers: int) -> Iterator[LandmarkTracker]:
    """A LandmarkTracker on this many spawned processes; 0 runs everything in this one."""
    made = LandmarkTracker(track, workers=workers)
    try:
        yield made
    finally:
        made.close()


def dlib_landmarks(frames_u8: UInt8[np.ndarray, "t h w 3"]) -> Float[np.ndarray, "t 68 2"]:
    """dlib's 68 points of canonical crops, in pixels of the crop. Runs in workers."""
    from talkjax.media import landmarks

    return np.asarray(landmarks.landmarks68_many(frames_u8), np.float64)


def stack_series(series: Sequence[LipSeries]) -> LipSeries:
    """Several clips' series put end to end."""
    return LipSeries(
        np.concatenate([s.opening for s in series]), np.concatenate([s.width for s in series])
    )
