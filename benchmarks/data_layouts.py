"""The same clips twice on disk, for `bench data`: TalkJAX records, and folders of frames.

`from_videos` makes both from raw video, each the way its users get it: the records by
`data_prep.prepare`; the folders as preprocess.py of Wav2Lip leaves them, face crops at their
NATIVE size as JPEGs of cv2's default quality and the sound as ffmpeg writes it, at the source's
own rate and channels. `from_records` has no source video to go back to: its folders hold the
crops and the 16 kHz mono sound of the records, which is less work to read.

Differs: a native crop is the upright square with the centre and the side of our (turned) crop,
so that both loaders see the same part of the picture; Wav2Lip's is the box of its detector.
"""

import dataclasses
import os
import pathlib
import wave
from typing import Any

import numpy as np

from talkjax.errors import UserError

SPLIT = "train"


@dataclasses.dataclass
class Layouts:
    """Where the two copies are, and what is in them.

    Attributes:
      records, folders: the copies.
      made: "from_videos" or "from_records".
      split: of the records.
      size_px: side of the crops in the records.
      clips, frames: how many.
      record_jpeg_bytes, folder_jpeg_bytes: of all frames.
      folder_side_px: side of each frame of the folders (rows), for the median.
      audio_rate_hz, audio_channels: of the folders' sound; of the last clip.
    """

    records: pathlib.Path
    folders: pathlib.Path
    made: str
    split: str
    size_px: int = 0
    clips: int = 0
    frames: int = 0
    record_jpeg_bytes: int = 0
    folder_jpeg_bytes: int = 0
    folder_side_px: list[int] = dataclasses.field(default_factory=list)
    audio_rate_hz: int = 0
    audio_channels: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "made": self.made,
            "clips": self.clips,
            "frames_per_clip": self.frames / self.clips,
            "records": {
                "crop_size_px": self.size_px,
                "jpeg_bytes_per_frame": round(self.record_jpeg_bytes / self.frames),
            },
            "folders": {
                "crop_size_px_median": round(float(np.median(self.folder_side_px))),
                "jpeg_bytes_per_frame": round(self.folder_jpeg_bytes / self.frames),
                "audio_rate_hz": self.audio_rate_hz,
                "audio_channels": self.audio_channels,
            },
        }

    def count(self, record: Any, folder: pathlib.Path) -> None:
        self.size_px = record.size_px
        self.clips += 1
        self.frames += record.num_frames
        self.record_jpeg_bytes += sum(map(len, record.frames_jpeg))
        self.folder_jpeg_bytes += sum(path.stat().st_size for path in folder.glob("*.jpg"))

    def heard(self, rate_hz: int, channels: int) -> None:
        self.audio_rate_hz, self.audio_channels = rate_hz, channels


def from_videos(
    videos: str | os.PathLike, scratch: pathlib.Path, *, clips: int, size_px: int, workers: int
) -> Layouts:
    """Prepares the first `clips` videos below a folder, and writes their native crops too.

    Raises:
      UserError: if there are no videos or none can be used.
    """
    from data_prep.layouts.api import Fractions, video_files
    from data_prep.prepare import prepare
    from data_prep.settings import Settings
    from talkjax.data import pipeline

    root = pathlib.Path(videos)
    chosen = scratch / "videos"
    for path in video_files(root, ("**/*",))[:clips]:
        link = chosen / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    found = Layouts(scratch / "records", scratch / "folders", "from_videos", SPLIT)
    prepare(
        chosen,
        found.records,
        layout="folder",
        settings=Settings(size_px=size_px),
        workers=workers,
        fractions=Fractions(val=0.0, test=0.0),
        quiet=True,
    )
    for record in pipeline.iterate_clips(found.records, SPLIT):
        folder = found.folders / f"{found.clips:05d}"
        found.folder_side_px += write_native_crops(folder, chosen / record.source, record)
        found.heard(*write_native_sound(folder, chosen / record.source, record))
        found.count(record, folder)
    return found


def from_records(
    data: str, split: str, scratch: pathlib.Path, *, clips: int, min_frames: int
) -> Layouts:
    """Copies the first `clips` records of a prepared folder or a toy, in both layouts.

    Raises:
      UserError: if the data cannot be read, or if its crops differ in size.
    """
    from talkjax.data import pipeline, schema, writer

    found = Layouts(scratch / "records", scratch / "folders", "from_records", split)

    def copied():
        for record in pipeline.iterate_clips(data, split, limit=clips):
            if record.num_frames < min_frames:
                continue
            if found.size_px not in (0, record.size_px):
                raise UserError(f"{data}: crops differ in size; give a set of one size")
            folder = found.folders / f"{found.clips:05d}"
            write_record(folder, record)
            found.folder_side_px += [record.size_px] * record.num_frames
            found.heard(schema.SAMPLE_RATE_HZ, 1)
            found.count(record, folder)
            yield schema.encode(record), writer.ClipMeta.of(record)

    writer.write_dataset(found.records, copied(), settings={"made_from": data})
    return found


def write_record(folder: pathlib.Path, record: Any) -> None:
    """The frames and the sound of a record, as they are."""
    folder.mkdir(parents=True)
    for frame, jpeg in enumerate(record.frames_jpeg):
        (folder / f"{frame}.jpg").write_bytes(jpeg)
    samples = record.audio_i16.astype("<i2")[:, None]
    _write_wav(folder / "audio.wav", samples, rate_hz=16_000)


def write_native_crops(folder: pathlib.Path, video: pathlib.Path, record: Any) -> list[int]:
    """The record's crops, cut from the video without scaling; returns their rows."""
    import cv2

    from talkjax.media.video import FrameReader

    folder.mkdir(parents=True)
    rows = []
    low = _first_frame(record, video)
    with FrameReader(video) as reader:
        for frame in reader:
            place = frame.index - low
            if place >= record.num_frames:
                break
            if place >= 0:
                box = native_square(record.crop_to_source[place], record.size_px, frame.rgb.shape)
                face = np.ascontiguousarray(frame.rgb[box][..., ::-1])
                cv2.imwrite(str(folder / f"{place}.jpg"), face)
                rows.append(face.shape[0])
    return rows


def native_square(
    crop_to_source: np.ndarray, size_px: int, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """Rows and columns of the upright square with a crop's centre and side, cut to the frame."""
    linear, offset = crop_to_source[:, :2], crop_to_source[:, 2]
    centre_x, centre_y = linear @ np.full(2, (size_px - 1) / 2) + offset
    half = size_px * float(np.sqrt(abs(np.linalg.det(linear)))) / 2
    rows, columns = (
        slice(max(round(float(centre - half)), 0), min(round(float(centre + half)), end))
        for centre, end in ((centre_y, shape[0]), (centre_x, shape[1]))
    )
    return rows, columns


def write_native_sound(folder: pathlib.Path, video: pathlib.Path, record: Any) -> tuple[int, int]:
    """The sound of the record's frames, not resampled; returns its rate and channels."""
    import av

    from talkjax.data import schema

    with av.open(str(video)) as container:
        stream = container.streams.audio[0]
        rate_hz, channels = stream.rate, stream.layout.nb_channels
        to_i16 = av.AudioResampler(format="s16", layout=stream.layout, rate=rate_hz)
        frames = [part for frame in container.decode(stream) for part in to_i16.resample(frame)]
    samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    samples = samples.reshape(-1, channels)
    first = round(_first_frame(record, video) * rate_hz / schema.FPS)
    count = round(record.num_frames * rate_hz / schema.FPS)
    _write_wav(folder / "audio.wav", samples[first : first + count], rate_hz=rate_hz)
    return rate_hz, channels


def _first_frame(record: Any, video: pathlib.Path) -> int:
    """Which frame of the video, at 25 a second, is the record's first."""
    from talkjax.data import schema
    from talkjax.media.video import probe

    return round((float(record.frame_times_s[0]) - probe(video).start_s) * schema.FPS)


def _write_wav(path: pathlib.Path, samples: np.ndarray, *, rate_hz: int) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(samples.shape[1])
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
