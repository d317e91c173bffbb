"""Small data sets and records whose content says where it comes from."""

import numpy as np
import pytest
import simplejpeg
from ml_collections import ConfigDict

from talkjax.data import fake, schema, writer

GREY_STEP = 3  # grey levels from one frame to the next; JPEG keeps a flat grey within one


@pytest.fixture(scope="session")
def eight_clips(tmp_path_factory):
    """A prepared folder of 8 train and 8 val clips of 30 frames; not to be written to."""
    folder = tmp_path_factory.mktemp("eight_clips")
    toy = fake.parse("fake://8x30?size=32")
    records = (fake.make_record(toy, s, i) for s in ("train", "val") for i in range(8))
    clips = ((schema.encode(record), writer.ClipMeta.of(record)) for record in records)
    writer.write_dataset(folder, clips, settings={})
    return folder


@pytest.fixture
def data_config(eight_clips):
    """The whole `data` block, on 8 clips of 30 frames."""
    return ConfigDict(
        {
            "path": str(eight_clips),
            "split": "train",
            "sampler": "talking",
            "image_size": 32,
            "clip_frames": 5,
            "lip_radius_frames": 2,
            "mel_frames": 16,
            "audio_shift_frames": -2,
            "windows_per_clip": 3,
            "consecutive": False,
            "flip": True,
            "reference": "any",
            "reference_min_gap_frames": 0,
            "pose_gap_frames": 0,
            "read_threads": 2,
            "read_ahead_mb": 4.0,
            "keep_decoded_mb": 0.0,
        }
    )


@pytest.fixture(scope="session")
def toy_clips():
    """(bytes, meta) of toy clips: 12, 16, 20, 24, 28 frames for train, 12, 16, 20 for val."""
    clips = []
    for split, count in (("train", 5), ("val", 3)):
        for index in range(count):
            toy = fake.Toy(clips=count, frames=12 + 4 * index, size_px=32)
            record = fake.make_record(toy, split, index)
            clips.append((schema.encode(record), writer.ClipMeta.of(record)))
    return clips


@pytest.fixture
def dataset_folder(tmp_path, toy_clips):
    """A prepared folder: 5 train clips in several shards and 3 val clips, 12 to 28 frames."""
    folder = tmp_path / "set"
    writer.write_dataset(folder, toy_clips, settings={"size_px": 32}, shard_bytes=60_000)
    return folder


@pytest.fixture
def telltale():
    """`telltale(frames)` -> a record: frame i is a flat grey of 3 i, mel frame j holds j."""

    def make(frames: int, *, size_px: int = 16, clip_id: str = "telltale") -> schema.Record:
        samples = frames * schema.SAMPLES_PER_FRAME
        mel_frames = 1 + samples // 200
        pictures = [np.full((size_px, size_px, 3), GREY_STEP * i, np.uint8) for i in range(frames)]
        return schema.Record(
            clip_id=clip_id,
            source="made by hand",
            identity="nobody",
            split="train",
            size_px=size_px,
            frames_jpeg=tuple(simplejpeg.encode_jpeg(p, quality=98) for p in pictures),
            frame_times_s=np.arange(frames) / schema.FPS,
            audio_i16=np.zeros(samples, np.int16),
            mel=np.tile(np.arange(mel_frames, dtype=np.float16)[:, None], (1, 80)),
            landmarks_xy_px=np.zeros((frames, 5, 2), np.float32),
            box_xyxy_px=np.zeros((frames, 4), np.float32),
            crop_to_source=np.zeros((frames, 2, 3), np.float32),
            source_hw=(size_px, size_px),
        )

    return make


@pytest.fixture
def frame_numbers():
    """`frame_numbers(pictures)` -> which frame of a telltale each picture is."""

    def read(pictures: np.ndarray) -> np.ndarray:
        grey = pictures.mean(axis=(-3, -2, -1))
        return np.round(grey / GREY_STEP).astype(int)

    return read
