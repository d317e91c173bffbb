"""All that decides what a prepared set holds. Equal settings and sources give equal shards."""

import dataclasses
from typing import Any

from talkjax.errors import UserError
from talkjax.ops.geometry import SMOOTH_SIGMA_FRAMES

SEVERAL_FACES = ("largest", "reject")
ON_DEFECT = ("trim", "reject")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a clip is cut, filtered and stored; JSON values only.

    Attributes:
      size_px: side of the face crops.
      min_seconds: a clip with less usable video is rejected (too_short).
      max_seconds: a longer clip is cut into parts of about equal length, at most this; each is
        a record of its own, with its own face. 0 never cuts.
      min_face_px: least median width of the face box in the source (face_too_small).
      several_faces: "largest" keeps the largest face of the first second and stays on it;
        "reject" rejects the clip (several_faces).
      on_defect: what to do where a stretch without the face, a shot cut or damaged frames end
        the usable part: "trim" keeps the longest good stretch, "reject" rejects the clip.
      min_kept_fraction: with "trim", the least part of the clip that must be good.
      max_gap_frames: stretches without a detection up to this long are interpolated.
      smooth_sigma_frames: smoothing of the crop over time (standard deviation).
      detect_every_frames: a full detection at least this often; in between the face is followed.
      jpeg_quality: of the stored crops, 1 to 100, colour at full resolution (4:4:4).
    """

    size_px: int = 128
    min_seconds: float = 0.5
    max_seconds: float = 20.0
    min_face_px: float = 48.0
    several_faces: str = "largest"
    on_defect: str = "trim"
    min_kept_fraction: float = 0.5
    max_gap_frames: int = 5
    smooth_sigma_frames: float = SMOOTH_SIGMA_FRAMES
    detect_every_frames: int = 5
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        # Two mel transforms need more sound than this; a window of five frames too.
        limits = {
            "size_px": (16, 1024),
            "min_seconds": (0.2, 3600),
            "max_seconds": (0, 100_000),
            "min_face_px": (0, 10_000),
            "min_kept_fraction": (0, 1),
            "max_gap_frames": (0, 1000),
            "smooth_sigma_frames": (0, 100),
            "detect_every_frames": (1, 1000),
            "jpeg_quality": (1, 100),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}: got {getattr(self, name)}, want {low} to {high}")
        for name, choices in (("several_faces", SEVERAL_FACES), ("on_defect", ON_DEFECT)):
            if getattr(self, name) not in choices:
                raise UserError(
                    f"{name}: got {getattr(self, name)!r}, want one of {' '.join(choices)}"
                )

        if 0 < self.max_seconds < self.min_seconds:
            raise UserError(
                f"max_seconds: got {self.max_seconds:g}, want at least min_seconds "
                f"({self.min_seconds:g}), or 0 to cut nothing"
            )

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
