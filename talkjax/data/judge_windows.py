"""Windows for the judges: mouths with their words for a lip reader, MFCC windows for SyncNet.

What holds for the windows of transforms.py holds for these.
"""

import dataclasses

import numpy as np

from talkjax.data.jpeg import recompress
from talkjax.data.transforms import (
    ArraySpec,
    Clip,
    Example,
    mel_of,
    mirror,
    pictures_of,
    pictures_spec,
)
from talkjax.data.words import Vocabulary, choose_start, inside, known_words, word_labels
from talkjax.errors import UserError
from talkjax.ops.image import mouth_box
from talkjax.ops.mel import MEL_BINS
from talkjax.ops.mfcc import CEPSTRA, STEPS_PER_FRAME, mfcc_windows


@dataclasses.dataclass(frozen=True)
class Words:
    """A window of mouths with the words that lie wholly in it, for a lip reader.

    Attributes:
      image_size: side of the crops that the mouths are cut from (`ops.image.mouth_box`).
      clip_frames: t, length of the window. A shorter clip stays on its last frame.
      mel_frames: length of the mel window that begins with each frame.
      max_words: l, places for words; one-hot rows of places without a word are zero.
      vocabulary: class -> its words; see words.py.
      flip: as in `Talking`.
    """

    image_size: int
    clip_frames: int
    mel_frames: int
    max_words: int
    vocabulary: Vocabulary
    flip: bool

    def __post_init__(self):
        object.__setattr__(self, "_labels", word_labels(self.vocabulary))

    @property
    def min_frames(self) -> int:
        return 1

    def spec(self) -> dict[str, ArraySpec]:
        t, (top, bottom, left, right) = self.clip_frames, mouth_box(self.image_size)
        return {
            "mouth_u8": ArraySpec((t, bottom - top, right - left, 3), np.dtype(np.uint8)),
            "mel_windows": ArraySpec((t, MEL_BINS, self.mel_frames), np.dtype(np.float32)),
            "word_spans": ArraySpec((self.max_words, 2), np.dtype(np.float32)),
            "word_one_hot": ArraySpec((self.max_words, len(self._labels)), np.dtype(np.float32)),
        }

    def __call__(self, record: Clip, rng: np.random.Generator) -> Example:
        spans, labels = known_words(record.words, self._labels)
        first = choose_start(spans, frames=self.clip_frames, clip_frames=record.num_frames, rng=rng)
        mirrored = self.flip and rng.random() < 0.5
        wanted = np.minimum(first + np.arange(self.clip_frames), record.num_frames - 1)
        here = np.flatnonzero(inside(spans, first=first, frames=self.clip_frames))
        if len(here) > self.max_words:  # long clips of fast speech
            here = np.sort(rng.choice(here, size=self.max_words, replace=False))
        word_spans = np.zeros((self.max_words, 2), np.float32)
        word_spans[: len(here)] = spans[here] - first
        one_hot = np.zeros((self.max_words, len(self._labels)), np.float32)
        one_hot[np.arange(len(here)), labels[here]] = 1.0
        top, bottom, left, right = mouth_box(self.image_size)
        pictures = pictures_of(record, wanted, size_px=self.image_size)
        return {
            "mouth_u8": mirror(pictures[:, top:bottom, left:right], mirrored),
            "mel_windows": mel_of(record, wanted, self.mel_frames),
            "word_spans": word_spans,
            "word_one_hot": one_hot,
        }


@dataclasses.dataclass(frozen=True)
class SyncMfcc:
    """As `Sync`, with the sound as MFCC (ops/mfcc.py): for SyncNet.

    Attributes:
      image_size, clip_frames, windows_per_clip, flip: as in `Sync`, but the window that ends with
        the clip is left out, as in SyncNet's evaluation: its sound would end later.
      mfcc_steps: steps of 10 ms in a window.
      jpeg_quality: (least, most) of a JPEG that the pictures of an example are passed through,
        drawn each time: SyncNet judges recompressed frames. (100, 100) leaves them alone.
    """

    image_size: int
    clip_frames: int
    mfcc_steps: int
    windows_per_clip: int
    flip: bool
    jpeg_quality: tuple[int, ...]

    def __post_init__(self):
        if not 1 <= self.jpeg_quality[0] <= self.jpeg_quality[-1] <= 100:
            raise UserError(f"data.jpeg_quality: got {self.jpeg_quality}, want two of 1 to 100")

    @property
    def min_frames(self) -> int:
        return self.clip_frames + self.windows_per_clip

    def spec(self) -> dict[str, ArraySpec]:
        w, side = self.windows_per_clip, self.image_size
        return {
            "frames_u8": pictures_spec(w, self.clip_frames, side=side),
            "mfcc": ArraySpec((w, CEPSTRA, self.mfcc_steps), np.dtype(np.float32)),
            "start_frames": ArraySpec((w,), np.dtype(np.int32)),
        }

    def __call__(self, record: Clip, rng: np.random.Generator) -> Example:
        t, w = self.clip_frames, self.windows_per_clip
        starts = rng.choice(record.num_frames - t, size=w, replace=False)
        mirrored = self.flip and rng.random() < 0.5
        quality = int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[-1], endpoint=True))
        wanted = (starts[:, None] + np.arange(t)).reshape(-1)
        pictures = mirror(pictures_of(record, wanted, size_px=self.image_size), mirrored)
        if quality < 100:
            pictures = recompress(pictures, quality=quality)
        first_steps = starts * STEPS_PER_FRAME
        return {
            "frames_u8": pictures.reshape(w, t, *pictures.shape[1:]),
            "mfcc": mfcc_windows(record.audio_i16, first_steps, steps=self.mfcc_steps),
            "start_frames": starts.astype(np.int32),
        }
