"""One face per clip on one picture, with the clip's name below."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkjax.data.schema import Record

CELL_PX = 96
TEXT_PX = 14
COLUMNS = 12
# Beyond this nobody looks; the clips shown are spread over the set.
MAX_FACES = 240


class ContactSheet:
    """Collects faces while the records pass.

    Args:
      total: clips in the set; `MAX_FACES` of them, evenly spread, are shown.
    """

    def __init__(self, total: int):
        shown = min(total, MAX_FACES)
        self._wanted = set(np.linspace(0, max(total - 1, 0), shown).round().astype(int).tolist())
        self._seen = 0
        self._cells: list[Image.Image] = []

    def add(self, record: Record) -> None:
        """Takes the clip's middle frame if it is one to be shown."""
        if self._seen in self._wanted:
            jpeg = record.frames_jpeg[record.num_frames // 2]
            face = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((CELL_PX, CELL_PX))
            cell = Image.new("RGB", (CELL_PX, CELL_PX + TEXT_PX), "white")
            cell.paste(face)
            font = ImageFont.load_default(size=9)
            # The end of a long name tells more than its start.
            name = record.clip_id if len(record.clip_id) <= 18 else "…" + record.clip_id[-17:]
            ImageDraw.Draw(cell).text((2, CELL_PX + 1), name, fill="black", font=font)
            self._cells.append(cell)
        self._seen += 1

    def save(self, path: Path) -> None:
        """Writes a PNG."""
        rows = max(1, -(-len(self._cells) // COLUMNS))
        columns = min(COLUMNS, max(1, len(self._cells)))
        sheet = Image.new("RGB", (columns * CELL_PX, rows * (CELL_PX + TEXT_PX)), "white")
        for number, cell in enumerate(self._cells):
            row, column = divmod(number, COLUMNS)
            sheet.paste(cell, (column * CELL_PX, row * (CELL_PX + TEXT_PX)))
        sheet.save(path, format="PNG")
