"""The record: one clip = one ArrayRecord entry. Its writer and its reader stand side by side.

A record is msgpack. Frames are JPEGs in one blob with offsets, so that a window decodes only
the frames it needs. Video is 25 fps, audio 16 kHz mono; frame f shows [0.04 f, 0.04 (f+1)) s
of the audio, and `audio_i16` covers exactly the frames (640 samples a frame).
"""

import dataclasses
import itertools
from collections.abc import Mapping

import msgpack
import numpy as np

VERSION = 1
FPS = 25
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
# group_size 1 for random access; the payload is compressed already.
WRITER_OPTIONS = "group_size:1,uncompressed"


@dataclasses.dataclass(frozen=True)
class Record:
    """One prepared clip.

    Attributes:
      clip_id: unique within the set, stable between runs, e.g. "s1/bbaf2n".
      source: the raw file, relative to the root that was prepared.
      identity: who speaks; clips of one person share it.
      split: "train", "val" or "test".
      size_px: side of the square face crops.
      frames_jpeg: t JPEGs, RGB, size_px square; a decoded record has views of one blob, which
        compare and hash like bytes.
      frame_times_s: (t,) float64, time of each frame on the source's own clock.
      audio_i16: (t * 640,) int16, 16 kHz mono.
      mel: (s, 80) float16, log-mel of the audio (ops/mel.py), s = 1 + n // 200.
      landmarks_xy_px: (t, 5, 2) float32, dlib's five points in the crop.
      box_xyxy_px: (t, 4) float32, the detected face in the source frame.
      crop_to_source: (t, 2, 3) float32, affine from crop pixels to source pixels.
      source_hw: rows and columns of the source frame, as displayed.
      words: (start_s, end_s, word) where an alignment is known.
      labels: optional arrays where they are known: "phone_times_s" (l, 2),
        "lip_opening" (t,), "head_pose" (t, 6), "blink" (t,), "articulation" (t, d), ...
      texts: optional strings where they are known: "transcript", "phones" (space separated).
    """

    clip_id: str
    source: str
    identity: str
    split: str
    size_px: int
    frames_jpeg: tuple[bytes | memoryview, ...]
    frame_times_s: np.ndarray
    audio_i16: np.ndarray
    mel: np.ndarray
    landmarks_xy_px: np.ndarray
    box_xyxy_px: np.ndarray
    crop_to_source: np.ndarray
    source_hw: tuple[int, int]
    words: tuple[tuple[float, float, str], ...] = ()
    labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        return len(self.frames_jpeg)

    @property
    def seconds(self) -> float:
        return self.num_frames / FPS


# name -> (dtype, shape), where "t" is the number of frames and None is free.
ARRAYS = {
    "frame_times_s": (np.float64, ("t",)),
    "audio_i16": (np.int16, (None,)),
    "mel": (np.float16, (None, 80)),
    "landmarks_xy_px": (np.float32, ("t", 5, 2)),
    "box_xyxy_px": (np.float32, ("t", 4)),
    "crop_to_source": (np.float32, ("t", 2, 3)),
}
TEXTS = ("clip_id", "source", "identity", "split")


def validate(record: Record) -> None:
    """Raises ValueError, naming the clip and the field, if a record breaks the schema."""
    t = record.num_frames
    if t == 0:
        raise ValueError(f"{record.clip_id}: no frames, want at least one")
    for name, (dtype, shape) in ARRAYS.items():
        array = getattr(record, name)
        want = tuple(t if side == "t" else side for side in shape)
        fits = array.ndim == len(want) and all(
            w is None or w == a for a, w in zip(array.shape, want, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise ValueError(
                f"{record.clip_id}: {name} is {array.dtype}{list(array.shape)}, "
                f"want {np.dtype(dtype)}{list(want)} for {t} frames"
            )
    if len(record.audio_i16) != t * SAMPLES_PER_FRAME:
        raise ValueError(
            f"{record.clip_id}: audio has {len(record.audio_i16)} samples, "
            f"want {t * SAMPLES_PER_FRAME} for {t} frames"
        )
    if len(record.mel) != 1 + len(record.audio_i16) // 200:
        raise ValueError(
            f"{record.clip_id}: mel has {len(record.mel)} frames, "
            f"want {1 + len(record.audio_i16) // 200} for {len(record.audio_i16)} samples"
        )


def encode(record: Record) -> bytes:
    """A record as bytes; equal records give equal bytes."""
    validate(record)
    payload = {"version": VERSION, "size_px": record.size_px, "source_hw": list(record.source_hw)}
    payload |= {name: getattr(record, name) for name in TEXTS}
    payload |= {name: _pack_array(getattr(record, name)) for name in ARRAYS}
    payload["words"] = [list(word) for word in record.words]
    payload["labels"] = {k: _pack_array(np.asarray(v)) for k, v in sorted(record.labels.items())}
    payload["texts"] = dict(sorted(record.texts.items()))
    payload["frame_bytes"] = [len(frame) for frame in record.frames_jpeg]
    payload["frames"] = b"".join(record.frames_jpeg)
    return msgpack.packb(payload)


def decode(data: bytes) -> Record:
    """The inverse of `encode`. Frames stay compressed.

    Raises:
      ValueError: if the bytes are no record, or one of another schema version.
    """
    try:
        payload = msgpack.unpackb(data)
        version = payload["version"]
    except (ValueError, TypeError, KeyError, msgpack.exceptions.ExtraData) as error:
        raise ValueError(f"not a TalkJAX record ({error}); prepare the data again") from error
    if version != VERSION:
        raise ValueError(f"record schema version: got {version}, want {VERSION}; prepare it again")
    ends = list(itertools.accumulate(payload["frame_bytes"]))
    blob = memoryview(payload["frames"])
    frames = tuple(blob[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True))
    return Record(
        **{name: payload[name] for name in TEXTS},
        **{name: _unpack_array(payload[name]) for name in ARRAYS},
        size_px=payload["size_px"],
        source_hw=tuple(payload["source_hw"]),
        frames_jpeg=frames,
        words=tuple((a, b, word) for a, b, word in payload["words"]),
        labels={k: _unpack_array(v) for k, v in payload["labels"].items()},
        texts=payload["texts"],
    )


def _pack_array(array: np.ndarray) -> list:
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return [little_endian.dtype.str, list(array.shape), little_endian.tobytes()]


def _unpack_array(packed: list) -> np.ndarray:
    dtype, shape, data = packed
    return np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape)
