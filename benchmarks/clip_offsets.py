"""Do a critic's offsets, clip by clip, agree with an estimate in which there is no critic?

    python -m benchmarks.clip_offsets data/grid data/grid_fixed --out offsets.json
    python -m benchmarks.clip_offsets data/grid          # the lags alone

`talkjax prepare --critic ... --fix-offset` moves the sound of each clip by what a critic says. Were
that the critic's own habit, data moved by it would only please it and its like. So the lags are
estimated once more without any net: the strongest directions of the mouth's picture are predicted
from the sound by ridge regression, for each clip from the others, and a clip's lag is where its
prediction fits best (parabola through the best of steps of 12.5 ms). The estimate is noisy: a clip
has 3 s. Whether it is a clip's own lag, its halves say: estimated apart, they agree where
recordings differ, and do not where all are in step. So does its agreement with the critic.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.coarse_sync import ClipFeatures, clip_features
from talkjax.data.pipeline import iterate_clips
from talkjax.data.schema import FPS
from talkjax.errors import UserError
from talkjax.ops.mel import HOP_SAMPLES, SAMPLE_RATE_HZ, mel_start, mel_windows

COMPONENTS, RIDGE, FOLDS, ROUNDS = 8, 10.0, 5, 3
# 0.2 s of sound around a frame, in bands of four bins; lags of up to 3.1 frames either way.
WINDOW_MEL_FRAMES, BINS_TOGETHER, FRAMES_TOGETHER, MAX_LAG = 16, 4, 2, 10


def lags_of(clips: Sequence[ClipFeatures]) -> np.ndarray:
    """The lag of each clip, frames of 25 fps, (n,); positive where the picture is late."""
    lips = _components(clips)
    sounds = [[_sound(clip, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)] for clip in clips]
    lags = np.zeros(len(clips))
    for _ in range(ROUNDS):
        found = np.empty_like(lags)
        nearest = np.clip(np.round(lags).astype(int), -MAX_LAG, MAX_LAG) + MAX_LAG
        for fold in range(FOLDS):
            fitted = [i for i in range(len(clips)) if i % FOLDS != fold]
            weights = _ridge(
                np.concatenate([sounds[i][nearest[i]] for i in fitted]),
                np.concatenate([lips[i] for i in fitted]),
            )
            for i in range(fold, len(clips), FOLDS):
                fits = [_fit(sound @ weights, lips[i]) for sound in sounds[i]]
                found[i] = _peak(np.array(fits)) - MAX_LAG
        lags = found - np.median(found)
    return found * FPS * HOP_SAMPLES / SAMPLE_RATE_HZ


def _components(clips: Sequence[ClipFeatures]) -> list[np.ndarray]:
    """Each clip's mouth pictures in the strongest directions of all, (t, COMPONENTS)."""
    mouths = np.concatenate([clip.mouth for clip in clips]).astype(np.float64)
    _, vectors = np.linalg.eigh(mouths.T @ mouths)
    return [clip.mouth @ vectors[:, -COMPONENTS:] for clip in clips]


def _sound(clip: ClipFeatures, lag: int) -> np.ndarray:
    """The sound around each frame, `lag` mel frames before it, (t, d) without its mean."""
    # A video frame is 3.2 mel frames long; its middle is the window's middle.
    first = mel_start(np.arange(len(clip.mouth))) + 2 - WINDOW_MEL_FRAMES // 2 - lag
    bands = clip.mel.reshape(len(clip.mel), -1, BINS_TOGETHER).mean(axis=2)
    windows = mel_windows(bands, first, mel_frames=WINDOW_MEL_FRAMES)
    flat = windows.reshape(len(windows), -1, FRAMES_TOGETHER).mean(axis=2).astype(np.float64)
    return flat - flat.mean(axis=0)


def _ridge(sound: np.ndarray, lips: np.ndarray) -> np.ndarray:
    penalty = RIDGE * len(sound) / 1000 * np.eye(sound.shape[1])
    return np.linalg.solve(sound.T @ sound + penalty, sound.T @ lips)


def _fit(said: np.ndarray, lips: np.ndarray) -> float:
    """Correlation of prediction and truth, all directions together."""
    return float(np.sum(said * lips) / np.sqrt(np.sum(said**2) * np.sum(lips**2)))


def _peak(fits: np.ndarray) -> float:
    """Where the fits are highest, to a fraction of a step."""
    best = int(np.argmax(fits))
    if not 0 < best < len(fits) - 1:
        return float(best)
    before, most, after = fits[best - 1 : best + 2]
    return best + 0.5 * (before - after) / (before - 2.0 * most + after)


def agreement(clips: dict[str, ClipFeatures], offsets: dict[str, float]) -> dict[str, Any]:
    """The two estimates side by side: {"clips", "correlation", ...}; lags in frames of 25 fps."""
    names = [name for name in clips if name in offsets]
    if len(names) < 3 * FOLDS:
        raise UserError(f"clips with an offset: found {len(names)}, want at least {3 * FOLDS}")
    lags = lags_of([clips[name] for name in names])
    said = np.array([offsets[name] for name in names])
    return {
        "clips": len(names),
        "correlation": round(float(np.corrcoef(lags, said)[0, 1]), 3),
        "std_critic": round(float(said.std()), 3),
        "std_ridge": round(float(lags.std()), 3),
        "std_difference": round(float((lags - said).std()), 3),
        "mean_critic": round(float(said.mean()), 3),
        "mean_ridge": round(float(lags.mean()), 3),
        "slope_of_ridge_on_critic": round(float(np.polyfit(said, lags, 1)[0]), 3),
    }


def halves_agree(clips: Sequence[ClipFeatures]) -> float:
    """Correlation of the lags of the clips' first halves with those of their second halves."""
    firsts, seconds = [], []
    for clip in clips:
        middle = 5 * (len(clip.mouth) // 10)  # five frames are sixteen mel frames
        heard = clip.mel[: mel_start(middle)], clip.mel[mel_start(middle) :]
        seen = clip.mouth[:middle], clip.mouth[middle:]
        for half, mouth, mel in zip((firsts, seconds), seen, heard, strict=True):
            half.append(ClipFeatures(mouth - mouth.mean(axis=0), mel))
    return float(np.corrcoef(lags_of(firsts), lags_of(seconds))[0, 1])


def spread_of(clips: Sequence[ClipFeatures]) -> dict[str, Any]:
    """How far apart the lags of some clips are, frames of 25 fps, and whether they are theirs."""
    lags = lags_of(clips)
    least, most = np.percentile(lags, (2.5, 97.5))
    return {
        "clips": len(lags),
        "mean_ridge": round(float(lags.mean()), 3),
        "std_ridge": round(float(lags.std()), 3),
        "correlation_of_halves": round(halves_agree(clips), 3),
        "percentiles_2.5_97.5": [round(float(least), 2), round(float(most), 2)],
    }


def offsets_of(folder: pathlib.Path) -> dict[str, float]:
    """{source: offset in frames that the critic gave it}, of a set prepared with --fix-offset.

    Raises:
      UserError: if no critic was asked when it was prepared.
    """
    path = folder / "report.json"
    if not path.is_file():
        raise UserError(f"{path}: is not there; want a folder that `talkjax prepare` has written")
    said = json.loads(path.read_text()).get("sync")
    if not said:
        raise UserError(f"{path}: no critic was asked; want data prepared with --critic")
    return {source: clip["fine_offset_frames"] for source, clip in said["clips"].items()}


def measure(recorded: str, fixed: pathlib.Path | None, splits: Sequence[str]) -> dict[str, Any]:
    """`agreement` of the recorded clips with the offsets of the fixed set, or `spread_of` alone."""
    said = None if fixed is None else offsets_of(fixed)
    clips = {
        record.source: clip_features(record)  # as the report of the fixed set names it
        for split in splits
        for record in iterate_clips(recorded, split)
    }
    return spread_of(list(clips.values())) if said is None else agreement(clips, said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recorded", help="data as recorded (`talkjax prepare`)")
    parser.add_argument(
        "fixed",
        nargs="?",
        type=pathlib.Path,
        help="the same, prepared with --fix-offset; without it there is no critic to agree with",
    )
    parser.add_argument("--splits", nargs="+", default=["train", "val", "test"])
    parser.add_argument("--out", type=pathlib.Path, help="JSON to write")
    args = parser.parse_args()
    try:
        found = measure(args.recorded, args.fixed, args.splits)
    except UserError as error:
        parser.exit(2, f"clip_offsets: {error}\n")
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
