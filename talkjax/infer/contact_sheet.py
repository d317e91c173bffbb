"""A picture that shows a generated video at a glance."""

import os
from pathlib import Path

import cv2
import numpy as np

from talkjax.errors import UserError

COLUMNS = 8
GAP_PX = 4
LABEL_PX = 18
BACKGROUND = 32


class ContactSheet:
    """Columns of square pictures with a label each, taken while frames stream by.

    Attributes:
      numbers: the frames that it wants, evenly spaced over the video.
    """

    def __init__(self, num_frames: int, *, tile_px: int):
        count = min(COLUMNS, num_frames)
        self.numbers = frozenset(np.linspace(0, num_frames - 1, count).round().astype(int).tolist())
        self._tile_px = max(tile_px, 96)
        self._columns: list[np.ndarray] = []

    def add(self, label: str, tiles_u8: list[np.ndarray]) -> None:
        """One column, from top to bottom; square RGB pictures."""
        size = self._tile_px
        column = [_label(label, size)]
        for tile in tiles_u8:
            column += [cv2.resize(tile, (size, size), interpolation=cv2.INTER_AREA)]
            column += [np.full([GAP_PX, size, 3], BACKGROUND, np.uint8)]
        self._columns.append(np.concatenate(column))

    def save(self, path: Path) -> None:
        """Writes the sheet as PNG, whole or not at all."""
        gap = np.full([len(self._columns[0]), GAP_PX, 3], BACKGROUND, np.uint8)
        row = [part for column in self._columns for part in (column, gap)]
        save_png(path, np.concatenate(row[:-1], axis=1))


def save_png(path: Path, rgb_u8: np.ndarray) -> None:
    """Writes an RGB picture as PNG, whole or not at all.

    Raises:
      UserError: if its folder is not there.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path}: its folder does not exist; make it first")
    _, data = cv2.imencode(".png", np.ascontiguousarray(rgb_u8[:, :, ::-1]))
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.write_bytes(data.tobytes())
    os.replace(temporary, path)


def _label(text: str, width_px: int) -> np.ndarray:
    strip = np.full([LABEL_PX, width_px, 3], BACKGROUND, np.uint8)
    white = (255, 255, 255)
    return cv2.putText(strip, text, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, white, 1, cv2.LINE_AA)
