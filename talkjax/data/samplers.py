"""The samplers by name, and a config's settings made one."""

import dataclasses

from talkjax.data.judge_windows import SyncMfcc, Words
from talkjax.data.transforms import Sampler, Settings, Sync, Talking
from talkjax.errors import UserError

SAMPLERS = {"talking": Talking, "sync": Sync, "words": Words, "sync_mfcc": SyncMfcc}


def make_sampler(data: Settings) -> Sampler:
    """The sampler `data.sampler`, from the settings of the same names as its attributes.

    Raises:
      UserError: if there is no such sampler, if a key is missing or if a size makes no sense.
    """
    require(data, "sampler")
    if data["sampler"] not in SAMPLERS:
        raise UserError(f"data.sampler: got {data['sampler']!r}, want one of {', '.join(SAMPLERS)}")
    kind = SAMPLERS[data["sampler"]]
    names = [field.name for field in dataclasses.fields(kind)]
    require(data, *names)
    settings = {name: data[name] for name in names}
    lowest = {
        "image_size": 8,
        "clip_frames": 1,
        "lip_radius_frames": 0,
        "mel_frames": 1,
        "mfcc_steps": 1,
        "windows_per_clip": 1,
        "max_words": 1,
        "reference_min_gap_frames": 0,
        "pose_gap_frames": 0,
    }
    for name, least in lowest.items():
        if name in settings and settings[name] < least:
            raise UserError(f"data.{name}: got {settings[name]}, want at least {least}")
    return kind(**settings)


def require(data: Settings, *names: str) -> None:
    """Raises UserError if one of the keys is missing."""
    for name in names:
        if name not in data:
            raise UserError(f"data.{name}: is missing; set it in the config (see data/pipeline.py)")
