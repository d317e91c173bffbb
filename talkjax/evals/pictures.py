"""Contact sheets and curves for the report folder.

A sheet's lines, from the top: truth, generated, the same face with another clip's voice, and the
clip that voice comes from.
"""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from talkjax.arrays import UInt8
from talkjax.evals.image_quality import EVAL_SIZE_PX, resize_frames
from talkjax.evals.intervals import SeriesPair

SHEET_COLUMNS = 10
GAP_PX = 2
MS_PER_FRAME = 40


def contact_sheet(rows: Sequence[np.ndarray]) -> UInt8[np.ndarray, "y x 3"]:
    """One line per film, SHEET_COLUMNS frames each, evenly spaced over the shortest film.

    Args:
      rows: films (t, size, size, 3) uint8, each of its own length and size.
    """
    count = min(len(row) for row in rows)
    chosen = np.linspace(0, count - 1, min(SHEET_COLUMNS, count)).round().astype(int)
    lines = [_line(resize_frames(row[chosen], EVAL_SIZE_PX)) for row in rows]
    gap = np.full((GAP_PX, lines[0].shape[1], 3), 255, np.uint8)
    parts = [part for line in lines for part in (line, gap)]
    return np.concatenate(parts[:-1])


def _line(frames_u8: np.ndarray) -> np.ndarray:
    gap = np.full((frames_u8.shape[1], GAP_PX, 3), 255, np.uint8)
    parts = [part for frame in frames_u8 for part in (frame, gap)]
    return np.concatenate(parts[:-1], axis=1)


def save_picture(path: pathlib.Path, picture_u8: UInt8[np.ndarray, "y x 3"]) -> None:
    """Writes a PNG, as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    Image.fromarray(picture_u8).save(partial, format="PNG")
    partial.replace(path)


def opening_curves(
    clips: Mapping[str, Mapping[str, SeriesPair]], *, rows: Sequence[str]
) -> UInt8[np.ndarray, "y x 3"]:
    """Lip opening over time: one line of panels per clip, one panel per row of the report.

    Args:
      clips: clip -> row -> (opening of the row, opening it is judged by).
      rows: panels, left to right; one that a clip lacks stays empty.
    """
    height, width = 2.0 * max(len(clips), 1), 4.0 * len(rows)
    figure = Figure(figsize=(width, height), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(max(len(clips), 1), len(rows), squeeze=False, sharey=True)
    for line, (clip, found) in zip(axes, clips.items(), strict=False):
        for axis, row in zip(line, rows, strict=True):
            axis.set_title(f"{clip}: {row}", fontsize=7)
            axis.tick_params(labelsize=6)
            if row not in found:
                continue
            pred, target = found[row]
            times_s = np.arange(len(target)) * MS_PER_FRAME / 1000
            axis.plot(times_s, target, color="0.5", label="true")
            axis.plot(times_s, pred, color="tab:red", label=row)
        line[0].set_ylabel("opening / eye distance", fontsize=6)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
