"""Windows of a clip: which frames and which stretch of mel a training example holds.

All randomness comes from the generator given (grain makes one per element), in a fixed order of
draws. Only the JPEGs that an example shows are decoded, each once. Frame f goes with the mel
window that starts at `mel_start(f + audio_shift_frames)`; a mel chunk belongs to t frames and
starts at `mel_start` of the first.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import simplejpeg
from jaxtyping import Int, UInt8
from ml_collections import ConfigDict

from talkjax.data import schema
from talkjax.data.kept import KeptClip
from talkjax.errors import UserError
from talkjax.ops.mel import MEL_BINS, mel_start, mel_windows

REFERENCES = ("any", "elsewhere")
Example = dict[str, np.ndarray]
Clip = schema.Record | KeptClip
# The config block `data`; pipeline.py lists its keys.
Settings = ConfigDict | Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of an array that is not there yet; `jax.eval_shape` takes it."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


@runtime_checkable
class Sampler(Protocol):
    """Draws one example from one clip."""

    @property
    def min_frames(self) -> int:
        """Clips with fewer frames have no example to give."""

    def spec(self) -> dict[str, ArraySpec]:
        """What `__call__` returns, without the batch axis."""

    def __call__(self, record: Clip, rng: np.random.Generator) -> Example: ...


@dataclasses.dataclass(frozen=True)
class Talking:
    """Target windows, their lip context and a reference from elsewhere in the clip.

    Attributes:
      image_size: side of the pictures, px; at most that of the records.
      clip_frames: t, length of the target and of the reference.
      lip_radius_frames: r, frames of context on either side of the target.
      mel_frames: length of a mel window.
      audio_shift_frames: frame f gets the window that starts at frame f + this.
      flip: mirror half of the examples, all of their frames alike.
      reference: where the reference may start: "any" start but the target's own, or
        "elsewhere", at least `reference_min_gap_frames` from it. In a clip too short for the
        gap, "elsewhere" takes the farthest start there is.
      reference_min_gap_frames: see `reference`.
      pose_gap_frames: 0 shows the generator the visible rows of the target itself, as the paper
        does. More shows those of another moment of the clip at least so far away: head, eyes and
        cheeks move with speech, and a net that sees the target's own reads the lips off them
        instead of listening.

    Source: the SyncTalkFace data set (papers give t = 5, r = 2); reference frame r0 + i is
    paired with target s + i. `pose_gap_frames` is ours.
    """

    image_size: int
    clip_frames: int
    lip_radius_frames: int
    mel_frames: int
    audio_shift_frames: int
    flip: bool
    reference: str
    reference_min_gap_frames: int
    pose_gap_frames: int

    def __post_init__(self):
        if self.reference not in REFERENCES:
            raise UserError(
                f"data.reference: got {self.reference!r}, want one of {', '.join(REFERENCES)}"
            )

    @property
    def min_frames(self) -> int:
        # the context must fit, and a second start for the reference must exist
        return self.clip_frames + max(2 * self.lip_radius_frames, 1)

    def spec(self) -> dict[str, ArraySpec]:
        t, side = self.clip_frames, self.image_size
        mel_shape = (MEL_BINS, self.mel_frames)
        return {
            "frames_u8": pictures_spec(t + 2 * self.lip_radius_frames, side=side),
            "reference_u8": pictures_spec(t, side=side),
            "pose_u8": pictures_spec(t, side=side),
            "mel_windows": ArraySpec((t, *mel_shape), np.dtype(np.float32)),
            "mel_chunk": ArraySpec(mel_shape, np.dtype(np.float32)),
        }

    def starts(self, frames: int, rng: np.random.Generator) -> tuple[int, int, int]:
        """Starts of target, reference and pose in a clip of so many frames."""
        radius = self.lip_radius_frames
        target = int(rng.integers(radius, frames - self.clip_frames - radius + 1))
        distance = np.abs(np.arange(frames - self.clip_frames + 1) - target)
        gap = self.reference_min_gap_frames if self.reference == "elsewhere" else 0
        reference = _start_at_distance(distance, max(1, gap), rng)
        if self.pose_gap_frames == 0:
            return target, reference, target
        return target, reference, _start_at_distance(distance, self.pose_gap_frames, rng)

    def __call__(self, record: Clip, rng: np.random.Generator) -> Example:
        t, radius = self.clip_frames, self.lip_radius_frames
        target, reference, pose = self.starts(record.num_frames, rng)
        mirrored = self.flip and rng.random() < 0.5
        context = np.arange(target - radius, target + t + radius)
        window = np.arange(t)
        # the target's own frames are there already: a view of them costs nothing
        apart = [] if pose == target else [pose + window]
        wanted = np.concatenate([context, reference + window, *apart])
        pictures = mirror(pictures_of(record, wanted, size_px=self.image_size), mirrored)
        pose_first = radius if pose == target else len(context) + t
        return {
            "frames_u8": pictures[: len(context)],
            "reference_u8": pictures[len(context) : len(context) + t],
            "pose_u8": pictures[pose_first : pose_first + t],
            "mel_windows": mel_of(
                record, target + window + self.audio_shift_frames, self.mel_frames
            ),
            "mel_chunk": mel_of(record, np.array([target]), self.mel_frames)[0],
        }


@dataclasses.dataclass(frozen=True)
class Sync:
    """Several windows of one clip with the sound of each, for a sync critic.

    Attributes:
      image_size, clip_frames, mel_frames, flip: as in `Talking`.
      windows_per_clip: w, windows with distinct starts; they may overlap.
      consecutive: the windows start one frame after the other, and `frames_u8` holds the
        t + w - 1 frames that they span once; else they start anywhere, each with its own t.
    """

    image_size: int
    clip_frames: int
    mel_frames: int
    windows_per_clip: int
    consecutive: bool
    flip: bool

    @property
    def min_frames(self) -> int:
        return self.clip_frames + self.windows_per_clip - 1

    def spec(self) -> dict[str, ArraySpec]:
        w, side = self.windows_per_clip, self.image_size
        frames = (self.clip_frames + w - 1,) if self.consecutive else (w, self.clip_frames)
        return {
            "frames_u8": pictures_spec(*frames, side=side),
            "mel_chunk": ArraySpec((w, MEL_BINS, self.mel_frames), np.dtype(np.float32)),
            "start_frames": ArraySpec((w,), np.dtype(np.int32)),
        }

    def __call__(self, record: Clip, rng: np.random.Generator) -> Example:
        t, w = self.clip_frames, self.windows_per_clip
        if self.consecutive:
            starts = rng.integers(record.num_frames - t - w + 2) + np.arange(w)
            wanted = starts[0] + np.arange(t + w - 1)
        else:
            starts = rng.choice(record.num_frames - t + 1, size=w, replace=False)
            wanted = (starts[:, None] + np.arange(t)).reshape(-1)
        mirrored = self.flip and rng.random() < 0.5
        pictures = mirror(pictures_of(record, wanted, size_px=self.image_size), mirrored)
        return {
            "frames_u8": pictures.reshape(*self.spec()["frames_u8"].shape),
            "mel_chunk": mel_of(record, starts, self.mel_frames),
            "start_frames": starts.astype(np.int32),
        }


def decode_frames(
    record: schema.Record, indices: Int[np.ndarray, " t"], *, size_px: int
) -> UInt8[np.ndarray, "t h w 3"]:
    """Frames of a record as pictures of side `size_px`; each JPEG is decoded once.

    Smaller pictures come straight from the decoder where its eighths hit the size, else from
    the next larger eighth, reduced by area.

    Raises:
      UserError: naming clip and frame, if a JPEG is damaged or not of the record's size, or if
        `size_px` is more than the record has.
    """
    if size_px > record.size_px:
        raise UserError(
            f"{record.clip_id}: crops are {record.size_px} px, data.image_size wants {size_px}; "
            "prepare the data again with larger crops or train on smaller pictures"
        )
    pictures = np.empty((len(indices), size_px, size_px, 3), np.uint8)
    # the decoder scales by eighths; where one gives the size it writes to its place at once
    direct = any(-(-record.size_px * eighths // 8) == size_px for eighths in range(1, 9))
    first_place: dict[int, int] = {}
    for place, frame in enumerate(indices.tolist()):
        if frame in first_place:
            pictures[place] = pictures[first_place[frame]]
            continue
        first_place[frame] = place
        picture = _decode(record, frame, size_px=size_px, out=pictures[place] if direct else None)
        if not direct:
            cv2.resize(
                picture, (size_px, size_px), dst=pictures[place], interpolation=cv2.INTER_AREA
            )
    return pictures


def _decode(
    record: schema.Record, frame: int, *, size_px: int, out: np.ndarray | None
) -> np.ndarray:
    """A frame at the smallest scale that is no smaller than `size_px`, into `out` if given."""
    try:
        picture = simplejpeg.decode_jpeg(
            record.frames_jpeg[frame], min_height=size_px, min_width=size_px, buffer=out
        )
    except ValueError as error:
        raise UserError(
            f"{record.clip_id}: frame {frame} is no readable {record.size_px} px JPEG ({error}); "
            "prepare the data again"
        ) from error
    square = picture.shape[0] == picture.shape[1]
    if not square or (
        picture.shape[0] != size_px if out is not None else picture.shape[0] < size_px
    ):
        raise UserError(
            f"{record.clip_id}: frame {frame} decodes to {picture.shape[1]}x{picture.shape[0]} px, "
            f"want {record.size_px} px square; prepare the data again"
        )
    return picture


def _start_at_distance(
    distance: Int[np.ndarray, " k"], least: int, rng: np.random.Generator
) -> int:
    """A start at least so far from the target's, or the farthest that the clip has."""
    allowed = np.flatnonzero(distance >= min(least, int(distance.max())))
    return int(allowed[rng.integers(len(allowed))])


def pictures_of(
    clip: Clip, indices: Int[np.ndarray, " t"], *, size_px: int
) -> UInt8[np.ndarray, "t h w 3"]:
    if isinstance(clip, KeptClip):
        return clip.pictures(indices)
    return decode_frames(clip, indices, size_px=size_px)


def mirror(pictures: np.ndarray, mirrored: bool) -> np.ndarray:
    return pictures[:, :, ::-1] if mirrored else pictures


def mel_of(record: Clip, frames: np.ndarray, mel_frames: int) -> np.ndarray:
    windows = mel_windows(record.mel, mel_start(frames), mel_frames=mel_frames)
    return windows.astype(np.float32, order="C")


def pictures_spec(*leading: int, side: int) -> ArraySpec:
    return ArraySpec((*leading, side, side, 3), np.dtype(np.uint8))
