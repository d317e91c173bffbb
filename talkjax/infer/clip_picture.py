"""One clip at a glance: frames, sound, phones, lips, lids and head on one clock.

What is not known of the clip has no panel.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import simplejpeg
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from talkjax.arrays import Float, UInt8
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ
from talkjax.errors import UserError
from talkjax.infer.contact_sheet import save_png

Spans = Sequence[tuple[float, float, str]]

SUFFIXES = (".png", ".jpg")
JPEG_QUALITY = 92
DPI = 100
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX, GAP_PX = 92, 14, 30, 40, 5
SOUND_PX, SPANS_PX = 80, 24
# Pictures are this wide where nothing else is asked for, and this far apart.
TILE_PX, TILE_GAP_PX = 96, 2
FONT = "DejaVu Sans"  # comes with matplotlib and has the IPA
FONT_PT, NAME_PT = 8, 9
# The one phone of the corpus that the font lacks: an upsilon with a stroke laid over it.
SUBSTITUTES = {"ᵿ": "ʊ\N{COMBINING SHORT STROKE OVERLAY}"}
# A letter at NAME_PT; names that do not fit into their span are left out.
LETTER_PX = 6
SOUND, SHADE, LINES = "#4a4a4a", "#dfe6ef", "#9aa3ad"


@dataclasses.dataclass(frozen=True)
class Panel:
    """How a curve is drawn: what is written beside it, its height, its range (None: its own)."""

    label: str
    height_px: int
    limits: tuple[float, float] | None = None


PANELS = {
    "opening": Panel("lip opening", 130),
    "width": Panel("mouth width", 80),
    "blink": Panel("lids", 44, (-0.1, 1.15)),
    "pitch": Panel("head pitch, °", 66),
}
STYLES = {
    "known": {"color": "#1f5fa8", "linewidth": 2.0},
    "measured": {"color": "#7a7a7a", "linewidth": 1.2},
    "generated": {"color": "#d1571b", "linewidth": 1.6},
}
LEGEND = {
    "known": "known",
    "measured": "dlib on the true frames",
    "generated": "dlib on the generated frames",
}


@dataclasses.dataclass(frozen=True)
class ClipView:
    """What is shown of a clip.

    Attributes:
      title: one line above it.
      rows: pictures of all frames by what they are called: (t, h, w, 3) RGB.
      audio: (n,) float, -1 to 1, from the first frame on.
      phones, words: (start_s, end_s, name); () where they are not known.
      shaded: spans to lay behind the lips' curves.
      curves: names of PANELS to names of STYLES to (t,): opening and width in eye distances, blink
        0 open to 1 shut, pitch in degrees. NaN where there is nothing.
    """

    title: str
    rows: Mapping[str, UInt8[np.ndarray, "t h w 3"]]
    audio: Float[np.ndarray, " n"]
    phones: Spans
    words: Spans
    shaded: Spans
    curves: Mapping[str, Mapping[str, Float[np.ndarray, " t"]]]


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Which frames are shown, first to stop - 1, and a picture of every so many (None: as many as
    there is room for), in a picture of this width."""

    first: int
    stop: int
    every: int | None
    width_px: int

    @property
    def inner_px(self) -> int:
        return self.width_px - LEFT_PX - RIGHT_PX

    def edges(self) -> np.ndarray:
        """Borders of the equally long slots of the pictures, in frames; what is over at the end
        has no picture."""
        length = self.stop - self.first
        if self.every is None:
            count = min(max(1, self.inner_px // TILE_PX), length)
            return np.linspace(self.first, self.stop, count + 1)
        every = min(self.every, length)
        return np.arange(self.first, self.stop + 1, every).astype(np.float64)

    def frames(self) -> list[int]:
        """The frames that have a picture: the middle ones of the slots."""
        edges = self.edges()
        return np.floor((edges[:-1] + edges[1:]) / 2).astype(int).tolist()

    def column_px(self, frame: float) -> float:
        """Where a frame begins on the panels."""
        return (frame - self.first) / (self.stop - self.first) * self.inner_px


def save(path: Path, view: ClipView, stretch: Stretch) -> None:
    """Draws a stretch of a clip, whole or not at all.

    Args:
      path: of SUFFIXES; a JPEG is a third as large.

    Raises:
      UserError: if the folder of `path` does not exist, or its name ends otherwise.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: want a name that ends in {' or '.join(SUFFIXES)}")
    rows = {name: _strip(pictures, stretch) for name, pictures in view.rows.items()}
    with matplotlib.rc_context({"font.family": FONT, "font.size": FONT_PT}):
        picture, tops_px = _drawn(view, stretch, {name: len(s) for name, s in rows.items()})
    for name, strip in rows.items():
        picture[tops_px[name] : tops_px[name] + len(strip)][:, LEFT_PX:-RIGHT_PX] = strip
    if path.suffix.lower() == ".png":
        save_png(path, picture)
    else:
        _save_jpeg(path, picture)


def _save_jpeg(path: Path, picture: np.ndarray) -> None:
    if not path.parent.is_dir():
        raise UserError(f"{path}: its folder does not exist; make it first")
    data = simplejpeg.encode_jpeg(picture, JPEG_QUALITY, "RGB", "444")
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def printable(text: str) -> str:
    """The text with a box for every character that the font lacks."""
    known = FT2Font(findfont(FontProperties(family=FONT))).get_charmap()
    text = text.translate(str.maketrans(SUBSTITUTES))
    return "".join(letter if ord(letter) in known else "□" for letter in text)


def _strip(pictures: np.ndarray, stretch: Stretch) -> np.ndarray:
    """Pictures beside each other, each in its slot, white between."""
    lefts = [stretch.column_px(edge) for edge in stretch.edges()]
    width = max(1, int(lefts[1] - lefts[0]) - TILE_GAP_PX)
    height = max(1, round(width * pictures.shape[1] / pictures.shape[2]))
    strip = np.full([height, stretch.inner_px, 3], 255, np.uint8)
    how = cv2.INTER_AREA if width < pictures.shape[2] else cv2.INTER_LANCZOS4
    for left_px, frame in zip(lefts[:-1], stretch.frames(), strict=True):
        left = int(left_px) + TILE_GAP_PX // 2
        tile = cv2.resize(pictures[frame], (width, height), interpolation=how)
        strip[:, left : left + width] = tile
    return strip


def _drawn(
    view: ClipView, stretch: Stretch, heights_px: Mapping[str, int]
) -> tuple[np.ndarray, dict[str, int]]:
    """The picture with room for the rows of frames, and where their tops are."""
    panels: list[tuple[str, int, Callable[[Axes], None]]] = [
        (name, height_px, _empty) for name, height_px in heights_px.items()
    ]
    panels.append(("sound", SOUND_PX, lambda axes: _sound(axes, view.audio, stretch)))
    for name in ("phones", "words"):
        spans = getattr(view, name)
        if spans:
            panels.append((name, SPANS_PX, lambda axes, spans=spans: _spans(axes, spans, stretch)))
    for name, panel in PANELS.items():
        if view.curves.get(name):
            draw = lambda axes, name=name: _curves(axes, name, view, stretch)  # noqa: E731
            panels.append((panel.label, panel.height_px, draw))
    height_px = TOP_PX + BOTTOM_PX + sum(height + GAP_PX for _, height, _ in panels)
    figure = Figure(figsize=(stretch.width_px / DPI, height_px / DPI), dpi=DPI)
    figure.text(LEFT_PX / stretch.width_px, 1 - 0.62 * TOP_PX / height_px, printable(view.title))
    tops_px, top_px = {}, TOP_PX
    for name, panel_px, draw in panels:
        bottom = 1 - (top_px + panel_px) / height_px
        place = (LEFT_PX / stretch.width_px, bottom)
        size = (stretch.inner_px / stretch.width_px, panel_px / height_px)
        axes = figure.add_axes((*place, *size))
        _frame(axes, name, stretch, is_last=name == panels[-1][0])
        draw(axes)
        tops_px[name] = top_px
        top_px += panel_px + GAP_PX
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :3].copy(), tops_px


def _frame(axes: Axes, name: str, stretch: Stretch, *, is_last: bool) -> None:
    axes.set_xlim(stretch.first / FPS, stretch.stop / FPS)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(LINES)
    axes.tick_params(axis="x", bottom=is_last, labelbottom=is_last, color=LINES)
    axes.tick_params(axis="y", color=LINES, labelsize=FONT_PT - 1, pad=2)
    axes.text(
        -0.6 * LEFT_PX / stretch.inner_px,
        0.5,
        printable(name).replace(" ", "\n", 1),
        transform=axes.transAxes,
        ha="center",
        va="center",
    )
    if is_last:
        axes.spines["bottom"].set_visible(True)
        axes.spines["bottom"].set_color(LINES)
        axes.set_xlabel("seconds", labelpad=1)


def _empty(axes: Axes) -> None:
    axes.set_axis_on()
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _sound(axes: Axes, audio: np.ndarray, stretch: Stretch) -> None:
    """Lowest and highest sample of each column of pixels."""
    _empty(axes)
    edges_s = np.linspace(stretch.first, stretch.stop, stretch.inner_px + 1) / FPS
    edges = np.clip((edges_s * SAMPLE_RATE_HZ).astype(int), 0, len(audio) - 1)
    low, high = np.minimum.reduceat(audio, edges[:-1]), np.maximum.reduceat(audio, edges[:-1])
    axes.fill_between(edges_s[:-1], low, high, color=SOUND, linewidth=0.6)
    loudest = max(float(np.abs(audio).max()), 1e-3)
    axes.set_ylim(-1.05 * loudest, 1.05 * loudest)
    for frame in stretch.frames():
        axes.axvline((frame + 0.5) / FPS, ymin=0.93, color=LINES, linewidth=0.8)


def _spans(axes: Axes, spans: Spans, stretch: Stretch) -> None:
    """Names between the borders of their times."""
    _empty(axes)
    axes.set_ylim(0, 1)
    pixels_per_s = stretch.inner_px * FPS / (stretch.stop - stretch.first)
    for start_s, end_s, name in spans:
        middle_s = (start_s + end_s) / 2
        if not stretch.first / FPS <= middle_s <= stretch.stop / FPS:
            continue
        for edge_s in (start_s, end_s):
            axes.axvline(edge_s, color=LINES, linewidth=0.5)
        if LETTER_PX * len(name) <= (end_s - start_s) * pixels_per_s:
            where = {"ha": "center", "va": "center", "fontsize": NAME_PT}
            axes.text(middle_s, 0.45, printable(name), **where)


def _curves(axes: Axes, name: str, view: ClipView, stretch: Stretch) -> None:
    panel, times_s = PANELS[name], (np.arange(stretch.first, stretch.stop) + 0.5) / FPS
    if name in ("opening", "width"):
        for start_s, end_s, _ in view.shaded:
            axes.axvspan(start_s, end_s, color=SHADE, linewidth=0)
    for kind, values in view.curves[name].items():
        style = {"label": LEGEND[kind]} | STYLES[kind]
        axes.plot(times_s, values[stretch.first : stretch.stop], **style)
    if panel.limits:
        axes.set_ylim(*panel.limits)
    else:
        axes.locator_params(axis="y", nbins=4)
    if name == "opening" or "opening" not in view.curves:
        where = dict(loc="lower right", bbox_to_anchor=(1.0, 1.0))  # above, not upon the curves
        axes.legend(**where, frameon=False, ncols=3, borderaxespad=0.1, handlelength=1.5)
