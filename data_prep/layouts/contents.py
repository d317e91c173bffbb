"""What the files of a data set are that no layout takes, by suffix and, where it says nothing, by
content; and the list of those that were passed over, with the reason.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from data_prep.layouts.api import Clip, has_video_suffix, relative
from talkjax.errors import UserError
from talkjax.media.container import is_still_picture, open_media, video_stream

# Companions of videos, told by their suffix alone: a set may have one or two for each clip.
COMPANIONS = {
    "sound": ".aac .aif .aiff .flac .m4a .mp3 .ogg .opus .wav .wma",
    "a picture": ".bmp .gif .heic .jpeg .jpg .png .tif .tiff .webp",
    "text or a table": ".align .csv .htm .html .json .lab .lst .md .srt .textgrid .tsv .txt .vtt "
    ".xml .yaml .yml",
    "code, an array or an archive": ".7z .array_record .gz .h5 .m .mat .npy .npz .pdf .pkl .pt "
    ".py .rar .sh .tar .tgz .zip",
}
KIND_OF_SUFFIX = {
    suffix: kind for kind, suffixes in COMPANIONS.items() for suffix in suffixes.split()
}
# Files opened to see what they are; each costs some milliseconds.
MAX_PROBED = 1000


class Prober:
    """Says of files whether they are videos; opens those whose suffix tells nothing.

    At most MAX_PROBED are opened; those beyond it are no videos. So ask in a fixed order.
    """

    def __init__(self) -> None:
        self._left = MAX_PROBED

    def is_video(self, path: Path) -> bool:
        return not self.why_not(path)

    def why_not(self, path: Path) -> str:
        """ "" for a video, else what the file is, in one line."""
        suffix = path.suffix.lower()
        if has_video_suffix(path):
            return ""
        if suffix in KIND_OF_SUFFIX:
            return f"{KIND_OF_SUFFIX[suffix]} by its suffix"
        if not self._left:
            return f"not looked into: its suffix is not a video's, and {MAX_PROBED} others were"
        self._left -= 1
        try:
            with open_media(path) as container:
                if video_stream(container) is None:
                    return "no video stream in it"
                return "a picture" if is_still_picture(container) else ""
        except UserError as error:
            return str(error).removeprefix(f"{path}: ")


def passed_over(layout: str, root: Path, clips: Iterable[Clip]) -> dict[str, str]:
    """{source: reason} of all below root that no clip uses. A hidden folder is one entry."""
    used = {
        name
        for clip in clips
        for name in (clip.source, clip.audio_source, clip.words_source)
        if name
    }
    prober = Prober()
    reasons = {}
    for path in _all_below(root):
        name = relative(path, root)
        if name in used or (path.is_dir() and any(use.startswith(f"{name}/") for use in used)):
            continue
        # Names need not be UTF-8 here, the report is.
        plain = name.encode(errors="backslashreplace").decode()
        reasons[plain] = _reason(layout, path, prober)
    return reasons


def _reason(layout: str, path: Path, prober: Prober) -> str:
    if path.name.startswith("."):
        return "hidden: its name starts with a dot"
    if path.is_dir():
        return "a link to a folder, which is not followed"
    if not path.is_file():
        return "no file that can be read (a link to nothing?)"
    if layout != "folder" and not has_video_suffix(path):
        suffix = path.suffix.lower()
        kind = KIND_OF_SUFFIX.get(suffix, "no video")
        return f"{kind} by its suffix"
    return prober.why_not(path) or f"a video that layout {layout} does not name: see its tree"


def _all_below(root: Path) -> list[Path]:
    """Files, hidden folders and links to folders below root, sorted."""
    found = []
    for folder, names, files in os.walk(root):
        here = Path(folder)
        aside = [name for name in names if name.startswith(".") or (here / name).is_symlink()]
        names[:] = [name for name in names if name not in aside]
        found += [here / name for name in (*files, *aside)]
    return sorted(found)
