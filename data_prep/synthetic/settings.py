"""All that decides what a synthetic corpus holds: equal settings give equal bytes."""

import dataclasses
from typing import Any

from data_prep.layouts import DEFAULT_FRACTIONS, Fractions
from talkjax.errors import UserError
from talkjax.ops.geometry import SMOOTH_SIGMA_FRAMES

# Of ten faces one in each held-out split is a tenth; of three it would be a third.
LEAST_IDENTITIES = 10
CLIPS_PER_IDENTITY = 8
# The camera's picture for each pixel of the crop: eye distances are a fifth of the picture and
# a third of the crop, so crop and picture then have about one scale.
SOURCE_OVER_CROP = 2
SIZES_PX = (32, 512)


@dataclasses.dataclass(frozen=True)
class CorpusSettings:
    """What is drawn, and how it is stored; JSON values only.

    Attributes:
      clips: how many, 1 or more.
      seed: of every draw.
      identities: how many faces; 0 makes it one for CLIPS_PER_IDENTITY clips, at least
        LEAST_IDENTITIES as far as the clips go.
      size_px: side of the face crops; the camera's picture is twice as large.
      languages: of the sentences that are not commands; commands are English.
      command_fraction: share of the English clips that say a command of the fixed grammar.
      val_fraction, test_fraction: shares of the identities; not 0 is at least one identity.
      smooth_sigma_frames: smoothing of the crop over time, as in `talkjax prepare`.
      jpeg_quality: of the stored crops, 1 to 100, colour at full resolution.
    """

    clips: int
    seed: int = 0
    identities: int = 0
    size_px: int = 128
    languages: tuple[str, ...] = ("en",)
    command_fraction: float = 0.4
    val_fraction: float = DEFAULT_FRACTIONS.val
    test_fraction: float = DEFAULT_FRACTIONS.test
    smooth_sigma_frames: float = SMOOTH_SIGMA_FRAMES
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        limits = {
            "clips": (1, 10_000_000),
            "identities": (0, self.clips),
            "size_px": SIZES_PX,
            "command_fraction": (0, 1),
            "smooth_sigma_frames": (0, 100),
            "jpeg_quality": (1, 100),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}: got {getattr(self, name)}, want {low} to {high}")
        if not self.languages or len(set(self.languages)) < len(self.languages):
            named = ",".join(self.languages)
            raise UserError(f"languages: got {named!r}, want one or more, each once")
        Fractions(val=self.val_fraction, test=self.test_fraction)  # checks them
        if self.identities == 0:
            wanted = max(LEAST_IDENTITIES, self.clips // CLIPS_PER_IDENTITY)
            object.__setattr__(self, "identities", min(wanted, self.clips))

    @property
    def source_px(self) -> int:
        """Side of the camera's picture."""
        return SOURCE_OVER_CROP * self.size_px

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"languages": list(self.languages)}
