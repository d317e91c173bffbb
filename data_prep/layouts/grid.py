"""Layout `grid`: the GRID corpus (Cooke, Barker, Cunningham, Shao 2006), CC BY 4.0.

    SRC/s1/bbaf2n.mpg    SRC/s1/align/bbaf2n.align     the published tree, also s1/video/*.mpg
    SRC/s1/bbaf2n.mpg    SRC/alignments/s1/bbaf2n.align
    SRC/bbaf2n.mpg       SRC/bbaf2n.align              one speaker's folder

The file name spells the sentence (command colour preposition letter digit adverb). Clips are
held out BY SENTENCE: the split is a hash of the sentence's text, so no sentence is in two
splits, whoever says it. Identity is the speaker (the folder).
"""

import re
from pathlib import Path

from data_prep.layouts.api import Clip, Fractions, checked, relative, video_files, with_every_split

PATTERNS = ("**/*.mpg", "**/*.avi", "**/*.mp4")
# Source: Cooke et al. 2006, table I.
_SENTENCE = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    {"z": "zero", "1": "one", "2": "two", "3": "three", "4": "four"}
    | {"5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
ALIGN_FOLDERS = ("align", "alignments")
_MEDIA_FOLDERS = frozenset({"video", "mpg_6000", "mpg_vcd", "mpg"})


def sentence(stem: str) -> str:
    """The sentence that a GRID file name spells: "bbaf2n" -> "bin blue at f two now".

    A name that is no GRID code (a renamed file) stands for itself.
    """
    code = re.sub(r"^.*[_.-]", "", stem).lower()
    if len(code) == len(_SENTENCE) and all(c in t for c, t in zip(code, _SENTENCE, strict=True)):
        return " ".join(table[letter] for letter, table in zip(code, _SENTENCE, strict=True))
    return stem.lower()


def list_clips(root: Path, *, fractions: Fractions) -> list[Clip]:
    """All clips of the published tree, or of one speaker's folder."""
    files = []
    for path in video_files(root, PATTERNS):
        folders = [part for part in path.relative_to(root).parts[:-1]]
        folders = [part for part in folders if part not in _MEDIA_FOLDERS]
        files.append((path, folders, folders[0] if folders else root.resolve().name))
    is_only_speaker = len({speaker for _, _, speaker in files}) == 1
    clips = []
    for path, folders, speaker in files:
        align = _align_file(path, root, speaker, is_only_speaker=is_only_speaker)
        key = sentence(path.stem)
        clips.append(
            Clip(
                clip_id="/".join([speaker, *folders[1:], path.stem]),
                root=str(root),
                source=relative(path, root),
                identity=speaker,
                split=fractions.split_of(key),
                split_key=key,
                words_source=relative(align, root) if align else "",
                words_format="grid" if align else "",
            )
        )
    return checked(with_every_split(clips, fractions), root)


def _align_file(path: Path, root: Path, speaker: str, *, is_only_speaker: bool) -> Path | None:
    """The clip's .align: beside it or in an align folder of the speaker, or in align/speaker."""
    name = path.stem + ".align"
    places, folder, is_speakers = [], path.parent, True
    while True:
        aligns = [folder / align for align in ALIGN_FOLDERS]
        # Speakers say the same sentences: above a speaker's folder, names alone do not tell.
        if is_speakers:
            places += [folder / name, *(align / name for align in aligns)]
        places += [align / speaker / name for align in aligns]
        if folder == root:
            return next((place for place in places if place.is_file()), None)
        is_speakers = is_only_speaker or (is_speakers and folder.name != speaker)
        folder = folder.parent
