"""Pictures of a run: a row per example, a column per thing to compare."""

import os
import pathlib
from collections.abc import Mapping

import cv2
import numpy as np

from talkjax.arrays import UInt8

GAP_PX = 2


def grid(columns: Mapping[str, UInt8[np.ndarray, "b h w 3"]]) -> UInt8[np.ndarray, "rows cols 3"]:
    """One sheet: example i is row i, the columns stand in the mapping's order.

    Raises:
      ValueError: if the columns differ in shape.
    """
    shapes = {name: column.shape for name, column in columns.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"columns of a picture: got shapes {shapes}, want equal ones")
    pad = ((0, 0), (0, GAP_PX), (0, GAP_PX), (0, 0))
    padded = [np.pad(column, pad, constant_values=255) for column in columns.values()]
    rows = np.concatenate(padded, axis=2)  # b h (columns w) 3
    return rows.reshape(-1, *rows.shape[2:])


def write_png(path: str | os.PathLike, rgb_u8: UInt8[np.ndarray, "h w 3"]) -> None:
    """Writes the whole file or nothing; makes the folder."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", rgb_u8[..., ::-1])
    if not done:
        raise ValueError(f"{path}: PNG encoding of {rgb_u8.shape} failed")
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.write_bytes(data.tobytes())
    os.replace(temporary, path)
