"""Training windows per second and core: the data pipeline against the usual loader.

The usual loader is written here, after what `Dataset.__getitem__` of the public training scripts
does (train.py of jinny960812/SyncTalkFace@9d5d08d, which follows Wav2Lip): a folder of JPEGs and
a wav for each clip; frames found by glob, read and resized with cv2; the wav read and the mel
spectrogram of the whole clip computed anew for each item with librosa. It is measured twice:

* `usual`: with the rest of that function too, which turns the pictures into the float arrays of
  the nets (masked input, target, five lip windows) on the host. TalkJAX ships uint8 and does
  this on the device, inside the train step.
* `usual_uint8`: without that, so that it returns exactly the arrays that TalkJAX returns.

All read the same clips: 9 frames around the target, 5 reference frames, 5 mel windows and a mel
chunk, stacked to batches. Speed is given per core-second of this process (user + system time of
all threads), because that is what a training machine has to offer, and per second of wall time.
Linear algebra runs in one thread (idle ones would count as work). Rounds alternate, so that a
busy machine is busy for all. The files are in the page cache.
"""

import argparse
import glob
import os
import pathlib
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from typing import Any

import numpy as np

from talkjax.errors import UserError

TARGET_RATIO = 20.0
BATCH_SIZE = 16
Item = dict[str, np.ndarray]
SETTINGS = {
    "sampler": "talking",
    "clip_frames": 5,
    "lip_radius_frames": 2,
    "mel_frames": 16,
    "audio_shift_frames": -2,
    "flip": False,
    "reference": "any",
    "reference_min_gap_frames": 0,
    "pose_gap_frames": 0,
    "read_ahead_mb": 64.0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        default="fake://16x75?size=128",
        help="a prepared folder, or a toy (default: %(default)s), which is written out first",
    )
    parser.add_argument("--split", default="train", help="default: %(default)s")
    parser.add_argument("--clips", type=int, default=64, help="use the first so many clips")
    parser.add_argument(
        "--image-size", type=int, help="side of the pictures; default: that of the crops"
    )
    parser.add_argument("--threads", type=int, default=2, help="read threads of the pipeline")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each loader")
    parser.add_argument("--seconds", type=float, default=2.0, help="wall time of a round, at least")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures both loaders in this process; see the module's head."""
    import cv2
    import threadpoolctl

    from talkjax.data import pipeline

    if args.rounds < 1 or args.clips < 1 or args.seconds <= 0:
        raise UserError("bench data: --rounds, --clips and --seconds must be positive")
    with tempfile.TemporaryDirectory(prefix="talkjax_bench_data_") as scratch:
        clips = _write_both_ways(pathlib.Path(scratch), args)
        image_size = args.image_size or clips["size_px"]
        settings = SETTINGS | {
            "path": str(pathlib.Path(scratch) / "records"),
            "split": args.split,
            "image_size": image_size,
            "read_threads": args.threads,
        }
        ours = pipeline.make_train(settings, batch_size=BATCH_SIZE, seed=0)
        usual = UsualLoader(pathlib.Path(scratch) / "folders", image_size=image_size)
        rng = np.random.default_rng(0)
        loaders = {
            "talkjax": lambda: next(ours),
            "usual": lambda: usual.batch(BATCH_SIZE, rng, finish=network_inputs),
            "usual_uint8": lambda: usual.batch(BATCH_SIZE, rng),
        }
        cv2.setNumThreads(1)
        with threadpoolctl.threadpool_limits(1):
            rounds = _alternate(loaders, args.rounds, args.seconds)
        ours.close()
    return _result(args, clips, image_size, rounds)


class UsualLoader:
    """Windows from folders of frames, the way the public training scripts read them."""

    def __init__(self, root: pathlib.Path, *, image_size: int):
        self._folders = sorted(glob.glob(str(root / "*/")))
        self._image_size = image_size
        self._min_frames = SETTINGS["clip_frames"] + 2 * SETTINGS["lip_radius_frames"]

    def batch(
        self,
        batch_size: int,
        rng: np.random.Generator,
        *,
        finish: Callable[[Item], Item] = lambda item: item,
    ) -> Item:
        items = [finish(self.item(rng)) for _ in range(batch_size)]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def item(self, rng: np.random.Generator) -> Item:
        folder = self._folders[int(rng.integers(len(self._folders)))]
        names = glob.glob(os.path.join(folder, "*.jpg"))
        t, radius = SETTINGS["clip_frames"], SETTINGS["lip_radius_frames"]
        target = int(rng.integers(radius, len(names) - t - radius + 1))
        places = len(names) - t + 1
        reference = (target + int(rng.integers(1, places))) % places
        return self.windows(folder, target, reference)

    def windows(self, folder: str, target: int, reference: int) -> Item:
        """The arrays of one example whose target and reference windows start there."""
        t, radius = SETTINGS["clip_frames"], SETTINGS["lip_radius_frames"]
        mel = self._mel(os.path.join(folder, "audio.wav"))
        shifted = range(target + SETTINGS["audio_shift_frames"], target + t)
        windows = [self._window(mel, frame) for frame in list(shifted)[:t]]
        return {
            "frames_u8": self._frames(folder, target - radius, target + t + radius),
            "reference_u8": self._frames(folder, reference, reference + t),
            "mel_windows": np.stack(windows),
            "mel_chunk": self._window(mel, target),
        }

    def _frames(self, folder: str, first: int, end: int) -> np.ndarray:
        import cv2

        pictures = []
        for frame in range(first, end):
            picture = cv2.imread(os.path.join(folder, f"{frame}.jpg"))
            if picture.shape[0] != self._image_size:
                picture = cv2.resize(picture, (self._image_size, self._image_size))
            pictures.append(picture)
        return np.stack(pictures)

    def _mel(self, path: str) -> np.ndarray:
        import librosa
        import soundfile

        audio, _ = soundfile.read(path, dtype="float32")  # what librosa.load calls
        emphasised = np.append(audio[0], audio[1:] - 0.97 * audio[:-1])
        magnitude = np.abs(
            librosa.stft(
                y=emphasised, n_fft=800, hop_length=200, win_length=800, pad_mode="reflect"
            )
        )
        level_db = 20 * np.log10(np.maximum(1e-5, _basis() @ magnitude)) - 20
        return np.clip(8 * (level_db + 100) / 100 - 4, -4, 4).T

    def _window(self, mel: np.ndarray, frame: int) -> np.ndarray:
        first = frame * 16 // 5
        places = np.clip(np.arange(first, first + SETTINGS["mel_frames"]), 0, len(mel) - 1)
        return mel[places].T.astype(np.float32)


def network_inputs(item: Item) -> Item:
    """What the nets are fed, made on the host: floats in [-1, 1], colours first."""

    def scale(pictures: np.ndarray) -> np.ndarray:
        return np.transpose(pictures / (255.0 / 2) - 1, (3, 0, 1, 2))

    context = scale(item["frames_u8"])
    radius, t, half = SETTINGS["lip_radius_frames"], SETTINGS["clip_frames"], context.shape[2] // 2
    target, lips = context.copy(), context.copy()
    context[:, :, half:] = 0.0
    lips[:, :, :half] = 0.0
    shown = slice(radius, radius + t)
    arrays = {
        "x": np.concatenate([context[:, shown], scale(item["reference_u8"])]),
        "mel_windows": item["mel_windows"],
        "mel_chunk": item["mel_chunk"],
        "y": target[:, shown],
        "lip": np.stack([lips[:, f : f + 2 * radius + 1] for f in range(t)]),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


_basis_cache: list[np.ndarray] = []


def _basis() -> np.ndarray:
    # made once and kept, as their audio.py does
    import librosa

    if not _basis_cache:
        _basis_cache.append(
            librosa.filters.mel(sr=16_000, n_fft=800, n_mels=80, fmin=55, fmax=7600)
        )
    return _basis_cache[0]


def _write_both_ways(scratch: pathlib.Path, args: argparse.Namespace) -> dict[str, Any]:
    """The same clips as records and as folders of frames; says what they are."""
    from talkjax.data import pipeline, schema, writer

    need_frames = SETTINGS["clip_frames"] + 2 * SETTINGS["lip_radius_frames"]
    found: dict[str, Any] = {"clips": 0, "frames": 0, "jpeg_bytes": 0, "size_px": None}

    def clips():
        for record in pipeline.iterate_clips(args.data, args.split, limit=args.clips):
            if record.num_frames < need_frames:
                continue
            if found["size_px"] not in (None, record.size_px):
                raise UserError(f"{args.data}: crops differ in size; give a set of one size")
            _write_folder(scratch / "folders" / f"{found['clips']:05d}", record)
            found["clips"] += 1
            found["frames"] += record.num_frames
            found["jpeg_bytes"] += sum(map(len, record.frames_jpeg))
            found["size_px"] = record.size_px
            yield schema.encode(record), writer.ClipMeta.of(record)

    writer.write_dataset(scratch / "records", clips(), settings={"made_from": args.data})
    return found


def _write_folder(folder: pathlib.Path, record: Any) -> None:
    folder.mkdir(parents=True)
    for frame, jpeg in enumerate(record.frames_jpeg):
        (folder / f"{frame}.jpg").write_bytes(jpeg)
    with wave.open(str(folder / "audio.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(record.audio_i16.astype("<i2").tobytes())


def _alternate(
    loaders: dict[str, Callable[[], Any]], rounds: int, seconds: float
) -> dict[str, list[tuple[float, float]]]:
    """(windows per core-second, windows per second) of each loader in each round."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    for next_batch in loaders.values():  # imports, first reads
        for _ in range(3):
            next_batch()
    for _ in range(rounds):
        for name, next_batch in loaders.items():
            measured[name].append(_time(next_batch, seconds))
    return measured


def _time(next_batch: Callable[[], Any], seconds: float) -> tuple[float, float]:
    windows = 0
    cpu_start_s, wall_start_s = time.process_time(), time.perf_counter()
    while time.perf_counter() - wall_start_s < seconds:
        next_batch()
        windows += BATCH_SIZE
    cpu_s = time.process_time() - cpu_start_s
    return windows / cpu_s, windows / (time.perf_counter() - wall_start_s)


def _result(
    args: argparse.Namespace,
    clips: dict[str, Any],
    image_size: int,
    rounds: dict[str, list[tuple[float, float]]],
) -> dict[str, Any]:
    per_core = {name: [core for core, _ in pairs] for name, pairs in rounds.items()}
    ours = per_core["talkjax"]
    ratios = {
        f"over_{name}": _spread([a / b for a, b in zip(ours, others, strict=True)])
        for name, others in per_core.items()
        if name != "talkjax"
    }
    return {
        "data": args.data,
        "split": args.split,
        "clips": clips["clips"],
        "frames_per_clip": clips["frames"] / clips["clips"],
        "crop_size_px": clips["size_px"],
        "image_size_px": image_size,
        "jpeg_bytes_per_frame": round(clips["jpeg_bytes"] / clips["frames"]),
        "frames_per_window": 14,
        "batch_size": BATCH_SIZE,
        "read_threads": args.threads,
        "windows_per_core_second": {name: _spread(values) for name, values in per_core.items()},
        "windows_per_second": {
            name: _spread([wall for _, wall in pairs]) for name, pairs in rounds.items()
        },
        "ratio_per_core": ratios,
        "target_ratio": TARGET_RATIO,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
    }
