"""A performance and a face -> a record: known landmarks, crops by the eyes, drawn frames.

The crop is that of `talkjax prepare` (ops/geometry.py), from the eye corners that are known here
instead of found; it is drawn through its own transform, so nothing is resampled.
"""

import dataclasses
from typing import Protocol

import numpy as np
import simplejpeg

from data_prep.layouts import Clip
from data_prep.synthetic.performance import Performance
from data_prep.synthetic.settings import CorpusSettings
from data_prep.synthetic.sound import FULL_SCALE
from talkjax.arrays import Float, UInt8
from talkjax.data.schema import FPS, Record
from talkjax.media.detector import box_from_landmarks
from talkjax.ops import geometry
from talkjax.ops.mel import log_mel

# dlib's five points among iBUG's 68: outer and inner corner of the eye on the right of the
# picture, outer and inner corner of the other, base of the nose.
FIVE_OF_68 = (45, 42, 36, 39, 33)


class Renderer(Protocol):
    """What draws a face: `render.FaceRenderer`. Arguments are those of a `Performance`."""

    def landmarks(
        self,
        articulation: Float[np.ndarray, "t 8"],
        head_pose: Float[np.ndarray, "t 6"],
        blink: Float[np.ndarray, " t"],
        expression: Float[np.ndarray, "t 3"],
        *,
        source_px: int,
    ) -> Float[np.ndarray, "t 68 2"]:
        """iBUG's points in the camera's picture of side `source_px`, nothing drawn."""
        ...

    def render(
        self,
        articulation: Float[np.ndarray, "8"],
        head_pose: Float[np.ndarray, "6"],
        blink: float,
        expression: Float[np.ndarray, "3"],
        *,
        source_px: int,
        view: Float[np.ndarray, "2 3"],
        size_px: int,
    ) -> UInt8[np.ndarray, "size size 3"]:
        """One frame seen through `view`, an affine from its pixels to the camera's."""
        ...


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Where the face is.

    Attributes:
      landmarks68_xy_px: (t, 68, 2) in the camera's picture.
      crop_to_source: (t, 2, 3) float32, from crop pixels to the camera's.
    """

    landmarks68_xy_px: np.ndarray
    crop_to_source: np.ndarray

    @property
    def landmarks5_xy_px(self) -> np.ndarray:
        return self.landmarks68_xy_px[:, FIVE_OF_68]


def locate(performance: Performance, renderer: Renderer, settings: CorpusSettings) -> Geometry:
    """The known landmarks, and the crops that follow from them."""
    points = renderer.landmarks(
        performance.articulation,
        performance.head_pose,
        performance.blink,
        performance.expression,
        source_px=settings.source_px,
    )
    crops = geometry.smooth_crops(
        points[:, FIVE_OF_68], settings.size_px, settings.smooth_sigma_frames
    )
    return Geometry(points, crops)


def draw(
    performance: Performance, renderer: Renderer, frame: int, *, source_px: int, **window
) -> UInt8[np.ndarray, "size size 3"]:
    """One frame of the performance; `window` is `view` and `size_px` of `Renderer.render`."""
    return renderer.render(
        performance.articulation[frame],
        performance.head_pose[frame],
        float(performance.blink[frame]),
        performance.expression[frame],
        source_px=source_px,
        **window,
    )


def make_record(
    clip: Clip, performance: Performance, renderer: Renderer, settings: CorpusSettings
) -> Record:
    """The record of a clip, with all that is known of it as labels."""
    found = locate(performance, renderer, settings)
    size_px, source_px = settings.size_px, settings.source_px
    frames = []
    for number, view in enumerate(found.crop_to_source):
        face = draw(performance, renderer, number, source_px=source_px, view=view, size_px=size_px)
        frames.append(
            simplejpeg.encode_jpeg(face, settings.jpeg_quality, "RGB", "444", fastdct=False)
        )
    samples = performance.audio_i16.astype(np.float32) / FULL_SCALE
    boxes = np.stack([box_from_landmarks(points) for points in found.landmarks5_xy_px])
    return Record(
        clip_id=clip.clip_id,
        source=clip.source,
        identity=clip.identity,
        split=clip.split,
        size_px=size_px,
        frames_jpeg=tuple(frames),
        frame_times_s=np.arange(performance.num_frames) / FPS,
        audio_i16=performance.audio_i16,
        mel=log_mel(samples).astype(np.float16),
        landmarks_xy_px=in_crop(found.landmarks5_xy_px, found.crop_to_source),
        box_xyxy_px=boxes,
        crop_to_source=found.crop_to_source,
        source_hw=(source_px, source_px),
        words=performance.words,
        labels=labels(performance, found),
        texts=performance.texts,
    )


def labels(performance: Performance, found: Geometry) -> dict[str, np.ndarray]:
    """What is known exactly, a name each, as `schema.Record.labels` has it.

    articulation (t, 8), see articulation.ARTICULATORS; head_pose (t, 6): yaw, pitch, roll in
    radians, x, y, z in eye distances; blink (t,): 0 open to 1 shut; expression (t, 3): brows,
    gaze x, gaze y, -1 to 1; lip_opening, lip_width (t,): see `lip_measures`;
    landmarks68_xy_px (t, 68, 2): iBUG's points in the crop; phone_times_s (l, 2).
    """
    points = in_crop(found.landmarks68_xy_px, found.crop_to_source)
    opening, width = lip_measures(points)
    times_s = [(phone.start_s, phone.end_s) for phone in performance.phones]
    return {
        "articulation": performance.articulation,
        "head_pose": performance.head_pose,
        "blink": performance.blink,
        "expression": performance.expression,
        "lip_opening": opening,
        "lip_width": width,
        "landmarks68_xy_px": points,
        "phone_times_s": np.array(times_s, dtype=np.float64).reshape(-1, 2),
    }


def lip_measures(
    landmarks68_xy: Float[np.ndarray, "t 68 2"],
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Distance of the inner lips and of the mouth corners, over the clip's median eye distance.

    Of points in the crop and by the clip's median, as `talkjax evaluate` measures drawn frames.
    """
    eyes = geometry.eye_distance68(landmarks68_xy)
    scale = eyes / np.median(eyes)
    opening, width = geometry.lip_opening(landmarks68_xy), geometry.mouth_width(landmarks68_xy)
    return (opening * scale).astype(np.float32), (width * scale).astype(np.float32)


def in_crop(
    points_xy_px: Float[np.ndarray, "t k 2"], crop_to_source: Float[np.ndarray, "t 2 3"]
) -> Float[np.ndarray, "t k 2"]:
    """Points of the camera's picture in the pixels of each frame's crop, float32."""
    moved = [
        geometry.transform_points(geometry.invert(matrix), points.astype(np.float64))
        for matrix, points in zip(crop_to_source, points_xy_px, strict=True)
    ]
    return np.stack(moved).astype(np.float32)
