"""Readers of the word files that data sets ship: (start_s, end_s, word) and the transcript."""

import dataclasses
import re
from pathlib import Path

from data_prep.layouts.api import text_lines
from talkjax.errors import UserError

# GRID counts thousandths of a frame at 25 fps (Cooke et al. 2006, the .align files).
GRID_UNITS_PER_S = 25_000
GRID_PAUSES = frozenset({"sil", "sp"})
# LRW: 29 frames at 25 fps with the word in the middle (Chung & Zisserman 2016).
LRW_MIDDLE_S = 29 / 25 / 2


@dataclasses.dataclass(frozen=True)
class Words:
    """Words with times on the source's timeline, and the whole text. Either may be empty."""

    words: tuple[tuple[float, float, str], ...]
    transcript: str


def read_grid(path: Path) -> Words:
    """GRID .align: lines "start end word"; silence and pauses are left out."""
    words = []
    for line in text_lines(path):
        fields = line.split()
        if len(fields) != 3 or not (fields[0].isdigit() and fields[1].isdigit()):
            raise UserError(f"{path}: found the line {line!r}, want 'start end word'")
        if fields[2] not in GRID_PAUSES:
            start, end = (int(field) / GRID_UNITS_PER_S for field in fields[:2])
            words.append((start, end, fields[2]))
    return Words(tuple(words), " ".join(word for _, _, word in words))


def read_lrw(path: Path) -> Words:
    """LRW .txt: the file name's word, centred, as long as the line "Duration: 0.53 seconds" says.

    Source: the data set's description (Chung & Zisserman 2016): the word is in the middle of
    the 29 frames.
    """
    word = path.stem.rsplit("_", 1)[0]
    for line in text_lines(path):
        found = re.fullmatch(r"Duration:\s*([0-9.]+)\s*seconds?", line)
        if found:
            half_s = float(found.group(1)) / 2
            return Words(((LRW_MIDDLE_S - half_s, LRW_MIDDLE_S + half_s, word),), word)
    raise UserError(f"{path}: found no line 'Duration: ... seconds', want the LRW metadata file")


def read_lrs2(path: Path) -> Words:
    """LRS2 .txt: "Text: ...", and in some parts a table "WORD START END ASDSCORE" in seconds."""
    lines = text_lines(path)
    if not lines or not lines[0].startswith("Text:"):
        raise UserError(f"{path}: found no first line 'Text: ...', want an LRS2 text file")
    transcript = " ".join(lines[0].removeprefix("Text:").split())
    words = []
    table = [i for i, line in enumerate(lines) if line.startswith("WORD START END")]
    for line in lines[table[0] + 1 :] if table else ():
        fields = line.split()
        try:
            words.append((float(fields[1]), float(fields[2]), fields[0]))
        except (IndexError, ValueError) as error:
            raise UserError(f"{path}: found the line {line!r}, want 'WORD START END'") from error
    return Words(tuple(words), transcript)


READERS = {"grid": read_grid, "lrw": read_lrw, "lrs2": read_lrs2}
