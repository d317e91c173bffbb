"""The usual loader, for `bench data` to compare with: JPEGs by glob, cv2, the clip's mel anew.

Written here after what public training scripts do for each item; no code is theirs.

Source: Dataset.__getitem__ in train.py of jinny960812/SyncTalkFace@9d5d08d (9 frames around the
target and 5 reference frames, each a JPEG named by its number; 5 mel windows and a mel chunk;
what does not fit is drawn again), audio.py and preprocess.py of Rudrabha/Wav2Lip@4909852 and
@0e2f2ff (librosa.core.load at 16 kHz, scipy.signal.lfilter, librosa.stft), which it follows.
Differs: in its favour. It skips their `copy` of the mel, the items that they throw away after
reading them because the mel ends too soon, and the copies between worker processes. librosa is
the installed one. Its resampler is a choice: its own default, soxr_hq, or kaiser_best, the
default of the librosa 0.7.0 that Wav2Lip's requirements.txt pins, which needs resampy and takes
many times as long.
"""

import glob
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Item = dict[str, np.ndarray]
SAMPLE_RATE_HZ = 16_000
RESAMPLER = "soxr_hq"
PINNED_RESAMPLER = "kaiser_best"


class UsualLoader:
    """Windows from folders of frames, the way the public training scripts read them.

    Args:
      root: holds a folder for each clip: 0.jpg, 1.jpg, ... and audio.wav.
      settings: the config block `data` of the sampler "talking"; its window sizes are read.
      resampler: `res_type` of librosa.load; not used for sound at 16 kHz.
    """

    def __init__(self, root: pathlib.Path, settings: Mapping[str, Any], *, resampler: str):
        self._resampler = resampler
        self._folders = sorted(glob.glob(str(root / "*/")))
        self._image_size = settings["image_size"]
        self._clip_frames = settings["clip_frames"]
        self._radius = settings["lip_radius_frames"]
        self._mel_frames = settings["mel_frames"]
        self._audio_shift_frames = settings["audio_shift_frames"]

    def batch(
        self,
        batch_size: int,
        rng: np.random.Generator,
        *,
        finish: Callable[[Item], Item] = lambda item: item,
    ) -> Item:
        """Items stacked; `finish` is applied to each before."""
        items = [finish(self.item(rng)) for _ in range(batch_size)]
        return {name: np.stack([item[name] for item in items]) for name in items[0]}

    def item(self, rng: np.random.Generator) -> Item:
        """A random clip, two random pictures of it; drawn again until both windows fit."""
        while True:
            folder = self._folders[int(rng.integers(len(self._folders)))]
            names = glob.glob(os.path.join(folder, "*.jpg"))
            target, reference = (_number(names[i]) for i in rng.choice(len(names), 2, False))
            if all(self._fits(folder, frame) for frame in (target, reference)):
                return self.windows(folder, target, reference)

    def windows(self, folder: str, target: int, reference: int) -> Item:
        """The arrays of one example whose target and reference windows start there.

        `frames_u8` and `reference_u8` are BGR uint8 (frames, h, w, 3); `mel_windows` and
        `mel_chunk` float32.
        """
        t, radius = self._clip_frames, self._radius
        frames = self._frames(folder, target - radius, target + t + radius)
        reference_frames = self._frames(folder, reference, reference + t)
        mel = self._mel(os.path.join(folder, "audio.wav"))
        first = target + self._audio_shift_frames
        return {
            "frames_u8": frames,
            "reference_u8": reference_frames,
            "mel_windows": np.stack([self._window(mel, first + i) for i in range(t)]),
            "mel_chunk": self._window(mel, target),
        }

    def _fits(self, folder: str, frame: int) -> bool:
        first, end = frame - self._radius, frame + self._clip_frames + self._radius
        paths = (os.path.join(folder, f"{number}.jpg") for number in range(first, end))
        return first >= 0 and all(os.path.isfile(path) for path in paths)

    def _frames(self, folder: str, first: int, end: int) -> np.ndarray:
        import cv2

        side = self._image_size
        paths = (os.path.join(folder, f"{frame}.jpg") for frame in range(first, end))
        return np.asarray([cv2.resize(cv2.imread(path), (side, side)) for path in paths])

    def _mel(self, path: str) -> np.ndarray:
        import librosa
        from scipy import signal

        audio, _ = librosa.load(path, sr=SAMPLE_RATE_HZ, res_type=self._resampler)
        emphasised = signal.lfilter([1, -0.97], [1], audio)
        spectrum = librosa.stft(
            y=emphasised, n_fft=800, hop_length=200, win_length=800, pad_mode="reflect"
        )
        level_db = 20 * np.log10(np.maximum(1e-5, _basis() @ np.abs(spectrum))) - 20
        return np.clip(8 * (level_db + 100) / 100 - 4, -4, 4).T

    def _window(self, mel: np.ndarray, frame: int) -> np.ndarray:
        first = frame * 16 // 5
        places = np.clip(np.arange(first, first + self._mel_frames), 0, len(mel) - 1)
        return mel[places].T.astype(np.float32)


def network_inputs(item: Item) -> Item:
    """What the nets are fed, made on the host: floats in [-1, 1], colours first.

    `x` (6, t, h, w): the target with its lower half black, over the reference; `y` (3, t, h, w):
    the target; `lip` (t, 3, 2r+1, h, w): its context with the upper half black; and the mels.
    """

    def scale(pictures: np.ndarray) -> np.ndarray:
        return np.transpose(pictures / (255.0 / 2) - 1, (3, 0, 1, 2))

    context = scale(item["frames_u8"])
    t, half = len(item["reference_u8"]), context.shape[2] // 2
    radius = (context.shape[1] - t) // 2
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


def _number(path: str) -> int:
    return int(os.path.basename(path).split(".")[0])


_basis_cache: list[np.ndarray] = []


def _basis() -> np.ndarray:
    # made once and kept, as their audio.py does
    import librosa

    if not _basis_cache:
        _basis_cache.append(
            librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=800, n_mels=80, fmin=55, fmax=7600)
        )
    return _basis_cache[0]
