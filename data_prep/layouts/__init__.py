"""Where each public data set keeps its files and splits: `list_clips(layout, root, ...)`."""

from pathlib import Path

from data_prep.layouts import folder, grid, hdtf, lrs2, lrw, voxceleb2
from data_prep.layouts.api import SPLITS, Clip, Fractions, with_every_split
from data_prep.layouts.contents import passed_over
from talkjax.errors import UserError

LAYOUTS = ("folder", "grid", "lrw", "lrs2", "hdtf", "voxceleb2")
# What the split's hash is taken of, where there is no published split.
SPLIT_KEYS = {"folder": "identities", "grid": "sentences", "hdtf": "people", "voxceleb2": "people"}
# Layouts whose sets come with words for each clip.
WITH_WORDS = ("grid", "lrw", "lrs2")
DEFAULT_FRACTIONS = Fractions(val=0.1, test=0.1)

__all__ = [
    "DEFAULT_FRACTIONS",
    "LAYOUTS",
    "SPLITS",
    "SPLIT_KEYS",
    "WITH_WORDS",
    "Clip",
    "Fractions",
    "fill_splits",
    "list_clips",
    "list_missing",
    "passed_over",
]


def list_clips(
    layout: str, root: Path, *, fractions: Fractions = DEFAULT_FRACTIONS, split_by: str = "identity"
) -> list[Clip]:
    """The clips of a data set, sorted by id, each with its split.

    Args:
      layout: one of LAYOUTS.
      root: the data set's folder.
      fractions: shares of val and test, where the set has no published split.
      split_by: layout folder only: "identity" or "clip", what the split's hash is taken of.

    Raises:
      UserError: if the layout is unknown or no clips are found.
    """
    match layout:
        case "folder":
            return folder.list_clips(root, fractions=fractions, split_by=split_by)
        case "grid":
            return grid.list_clips(root, fractions=fractions)
        case "lrw":
            return lrw.list_clips(root)
        case "lrs2":
            return lrs2.list_clips(root)
        case "hdtf":
            return hdtf.list_clips(root, fractions=fractions)
        case "voxceleb2":
            return voxceleb2.list_clips(root, fractions=fractions)
    raise UserError(f"layout: got {layout!r}, want one of {' '.join(LAYOUTS)}")


def fill_splits(layout: str, clips: list[Clip], fractions: Fractions) -> list[Clip]:
    """`with_every_split` for those of the clips that were kept."""
    if layout == "voxceleb2":
        fractions = voxceleb2.held_out_of_dev(fractions)
    return with_every_split(clips, fractions)


def list_missing(layout: str, root: Path) -> list[str]:
    """Videos that the set's own lists name and that need not be there, but are not.

    Only HDTF has such: its videos go from YouTube. LRS2 with a gap is refused.
    """
    return hdtf.missing(root) if layout == "hdtf" else []
