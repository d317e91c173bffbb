"""Pictures of an Audio-Lip Memory; see `commands/inspect.py` for what each one shows."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from talkjax.infer.contact_sheet import BACKGROUND, GAP_PX, LABEL_PX, save_png
from talkjax.infer.memory import UseTable
from talkjax.ops.image import MOUTH

TILE_PX = 96
GRID_COLUMNS = 12


def slots(path: Path, decoded_u8: np.ndarray, *, order: np.ndarray, facts: dict) -> None:
    """The mouth of each slot with its number and its share of frames, the most used first."""
    counts = facts["top_slot_frames"]
    tiles = []
    for slot in order.tolist():
        label = f"{slot}: {100 * counts[slot] / facts['frames']:.1f}%"
        tiles.append(_tile(mouth(decoded_u8[slot]), label))
    missing = -len(tiles) % GRID_COLUMNS
    tiles += [np.full_like(tiles[0], BACKGROUND)] * missing
    rows = [
        np.concatenate(tiles[first : first + GRID_COLUMNS], axis=1)
        for first in range(0, len(tiles), GRID_COLUMNS)
    ]
    save_png(path, np.concatenate(rows))


def strip(path: Path, decoded_u8: np.ndarray) -> None:
    """Whole crops above their mouths, from one address to the other."""
    shares = np.linspace(0, 100, len(decoded_u8))
    faces = [_tile(image, f"{share:.0f}%") for image, share in zip(decoded_u8, shares, strict=True)]
    mouths = [_tile(mouth(image), "") for image in decoded_u8]
    save_png(path, np.concatenate([np.concatenate(faces, 1), np.concatenate(mouths, 1)]))


def use(path: Path, facts: dict) -> None:
    """Two charts: frames per slot, and the histogram of the addresses' perplexity."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    upper, lower = figure.subplots(2)
    counts = np.sort(facts["top_slot_frames"])[::-1]
    upper.bar(np.arange(len(counts)), counts)
    upper.set_xlabel("slots, the most used first")
    upper.set_ylabel("frames on top")
    edges = np.array(facts["perplexity_histogram"]["edges"])
    frames = facts["perplexity_histogram"]["frames"]
    lower.bar(edges[:-1], frames, width=np.diff(edges), align="edge")
    lower.set_xlabel(f"perplexity of the address (1 = one slot, {facts['slots']} = all alike)")
    lower.set_ylabel("frames")
    _save(figure, path)


def users(path: Path, table: UseTable, *, unit: str) -> None:
    """Share of each word's frames (rows) in which each slot (columns) is on top.

    Args:
      unit: what the names of the table are, "word" or "phone".
    """
    used = np.flatnonzero(table.counts.sum(axis=0))
    shares = table.counts[:, used] / table.counts.sum(axis=1, keepdims=True)
    # Slots beside each other that the same name uses most.
    by_name = np.lexsort((-shares.max(axis=0), shares.argmax(axis=0)))
    height = 1.5 + 0.18 * len(table.names)
    figure = Figure(figsize=(3 + 0.16 * len(used), height), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(shares[:, by_name], aspect="auto", cmap="viridis")
    axes.set_yticks(np.arange(len(table.names)), table.names, fontsize=7)
    axes.set_xticks(np.arange(len(used)), used[by_name], fontsize=6, rotation=90)
    axes.set_xlabel("slot")
    figure.colorbar(drawn, label=f"share of the {unit}'s frames")
    _save(figure, path)


def mouth(image_u8: np.ndarray) -> np.ndarray:
    """The part of a canonical crop around the mouth."""
    top, bottom, left, right = (round(fraction * len(image_u8)) for fraction in MOUTH)
    return image_u8[top:bottom, left:right]


def _tile(image_u8: np.ndarray, label: str) -> np.ndarray:
    height = round(TILE_PX * image_u8.shape[0] / image_u8.shape[1])
    picture = cv2.resize(image_u8, (TILE_PX, height), interpolation=cv2.INTER_AREA)
    framed = np.full([LABEL_PX + height + GAP_PX, TILE_PX + GAP_PX, 3], BACKGROUND, np.uint8)
    framed[LABEL_PX : LABEL_PX + height, :TILE_PX] = picture
    white = (255, 255, 255)
    return cv2.putText(framed, label, (2, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, white, 1, cv2.LINE_AA)


def _save(figure: Figure, path: Path) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    save_png(path, np.asarray(canvas.buffer_rgba())[:, :, :3])
