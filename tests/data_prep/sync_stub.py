"""Critics without a trained net: one goes by the file's name, one hears a cartoon's loudness."""

import dataclasses
import os
import pathlib
import uuid

import numpy as np

from data_prep.sync_check import Heard
from talkjax.evals.sync import Critic
from talkjax.ops.mel import mel_start

LEAST_FRAMES = 75


class NameListener:
    """Says what the name says: "anna_+3_0.5.mpg" is heard 3 frames late, confidence 0.5."""

    least_frames = LEAST_FRAMES

    def __call__(self, record):
        _, offset, confidence = pathlib.PurePath(record.source).stem.split("_")
        return Heard(int(offset), float(confidence))


@dataclasses.dataclass(frozen=True)
class NameCritic:
    """A source of `NameListener`; each opening leaves a file named after its process."""

    log: str

    def open(self):
        pathlib.Path(self.log, f"{os.getpid()}-{uuid.uuid4()}").touch()
        return NameListener()


def cartoon_critic() -> Critic:
    """Compares the height of the cartoon's mouth with the loudness, both over five frames."""
    return Critic(
        embed_faces=_embed_faces,
        embed_sound=_embed_sound,
        image_size=32,
        clip_frames=5,
        mel_frames=16,
    )


def _embed_faces(batch):
    frames = batch["frames_u8"].astype(np.float32)  # 1 w 5 32 32 3
    dark = frames[..., 16:30, 14:18, :].mean(axis=-1) < 60
    return _unit(dark.sum(axis=(-2, -1)))


def _embed_sound(batch):
    level = 10 ** (0.625 * (batch["mel_chunk"] + 4)).mean(axis=2)  # amplitude of 1 w 16
    return _unit(level[..., mel_start(np.arange(5)) + 1])


def _unit(values):
    moves = values - values.mean(axis=-1, keepdims=True)
    return moves / np.maximum(np.linalg.norm(moves, axis=-1, keepdims=True), 1e-9)
