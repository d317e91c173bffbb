"""Face boxes of a video that a detector elsewhere has found, from a file.

For the protocol of `talkjax score`: published LSE of real videos stands on the boxes of S3FD,
which is not part of TalkJAX.
"""

import csv
import dataclasses
import json
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from talkjax.errors import UserError

FPS = 25
SUFFIXES = (".json", ".csv")
FRAME_NUMBER = re.compile(r"[0-9]{1,9}")
CSV_COLUMNS = ("frame", "x0", "y0", "x1", "y1")
# Another converter to 25 fps may end a video with a frame or two more or less.
FRAMES_APART = 2
# A box of less has no crop, one of more than so many frames no face: its numbers are no pixels.
MIN_SIDE_PX = 2.0
MAX_SIDE_FRAMES = 2.0


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Face boxes of a video's frames, from a file.

    Attributes:
      path: the file.
      by_frame: frame -> (n, 4) x0, y0, x1, y1 of its faces, px; frames without a face are absent.
      num_frames: how many frames it speaks of.
      lists_all: whether it lists every frame; if not, frames after the last box are not known of.
    """

    path: pathlib.Path
    by_frame: Mapping[int, np.ndarray]
    num_frames: int
    lists_all: bool

    def of_frames(
        self, video: pathlib.Path, *, num_frames: int, size_wh: tuple[int, int]
    ) -> list[np.ndarray]:
        """(n, 4) of each of the frames that the video has here, at 25 fps.

        Raises:
          UserError: if the file was made of another number of frames or of other pixels.
        """
        apart = self.num_frames - num_frames
        if apart > FRAMES_APART or (self.lists_all and apart < -FRAMES_APART):
            raise UserError(
                f"{self.path}: boxes of {self.num_frames} frames, {video} has {num_frames} at "
                f"{FPS} fps; find the faces in the frames of `ffmpeg -i VIDEO -r {FPS}`"
            )
        for frame, boxes in self.by_frame.items():
            self._check_pixels(frame, boxes, video, size_wh)
        return [self.by_frame.get(frame, np.zeros((0, 4))) for frame in range(num_frames)]

    def _check_pixels(
        self, frame: int, boxes: np.ndarray, video: pathlib.Path, size_wh: tuple[int, int]
    ) -> None:
        sides = boxes[:, 2:] - boxes[:, :2]
        good = (sides >= MIN_SIDE_PX) & (sides <= MAX_SIDE_FRAMES * max(size_wh))
        good &= (boxes[:, 2:] > 0) & (boxes[:, :2] < size_wh)
        for box in boxes[~good.all(axis=1)]:
            raise UserError(
                f"{self.path}: frame {frame}: box {box.tolist()} is none of a face in {video}, "
                f"which has {size_wh[0]} x {size_wh[1]} px; want x0, y0, x1, y1 in its pixels"
            )


def read_boxes(path: pathlib.Path) -> Boxes:
    """Face boxes from JSON or CSV; frames count from 0 at 25 fps.

    JSON: a list with an entry for each frame, a list of its faces: [x0, y0, x1, y1] with or
    without a confidence, or {"bbox": [...]} as in syncnet_python's faces.pckl. CSV: a line for
    each face, columns CSV_COLUMNS. What a detector is unsure of must have been left out.

    Raises:
      UserError: if it is neither.
    """
    is_csv = path.suffix.lower() == ".csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            listed = _csv_faces(path, file) if is_csv else json.load(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; want face boxes, JSON or CSV") from error
    except UserError:  # of a line, and a ValueError itself
        raise
    except (ValueError, RecursionError, csv.Error) as error:  # ValueError: text, JSON, numbers
        raise UserError(
            f"{path}: is no {'CSV' if is_csv else 'JSON'} ({error}); want face boxes, JSON or CSV"
        ) from error
    if not is_csv:
        if not isinstance(listed, list) or not all(isinstance(faces, list) for faces in listed):
            raise UserError(f"{path}: want a list with a list of faces for each frame")
        listed = dict(enumerate(listed))
    found = {
        frame: np.stack([_box(path, frame, face) for face in faces])
        for frame, faces in listed.items()
        if faces
    }
    return Boxes(path, found, max(listed, default=-1) + 1, lists_all=not is_csv)


def _csv_faces(path: pathlib.Path, file: Iterable[str]) -> dict[int, list[list[Any]]]:
    rows = csv.DictReader(file)
    if not set(CSV_COLUMNS) <= set(rows.fieldnames or ()):
        raise UserError(
            f"{path}: columns {', '.join(rows.fieldnames or ())}, want {', '.join(CSV_COLUMNS)}"
        )
    faces: dict[int, list[list[Any]]] = {}
    for row in rows:
        frame = row["frame"]
        if not FRAME_NUMBER.fullmatch((frame or "").strip()):
            raise UserError(f"{path}: line {rows.line_num}: frame {frame!r:.40}, want 0, 1, 2, ...")
        faces.setdefault(int(frame), []).append([row[name] for name in CSV_COLUMNS[1:]])
    return faces


def _box(path: pathlib.Path, frame: int, face: Any) -> np.ndarray:
    """(4,) of one face; the number after it, a confidence, is not looked at."""
    values = face.get("bbox") if isinstance(face, dict) else face
    try:
        box = np.array(values, np.float64)
        good = box.shape in ((4,), (5,)) and np.isfinite(box).all() and (box[:2] < box[2:4]).all()
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise UserError(
            f"{path}: frame {frame}: got {face!r:.80}, want a face as [x0, y0, x1, y1] in px with "
            "x0 < x1 and y0 < y1; a frame is the list of its faces, [[x0, y0, x1, y1], ...]"
        )
    return box[:4]
