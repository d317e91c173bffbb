"""Layout `folder`: any videos, at any depth.

    SRC/anna/01.mp4  SRC/anna/trip/02.mov  SRC/interview.mp4

Identity is the first folder below SRC ("anna"), or the file itself for a file that lies
directly in SRC. The split is decided by a hash of the identity, so that nobody is in two splits
(or of the clip id, with split_by="clip"). Files go by their content where the suffix is no known
one; `contents` says what is known.
"""

from collections import Counter
from pathlib import Path

from data_prep.layouts.api import Clip, Fractions, checked, relative, video_files, with_every_split
from data_prep.layouts.contents import Prober

PATTERNS = ("**/*",)
SPLIT_BY = ("identity", "clip")


def list_clips(root: Path, *, fractions: Fractions, split_by: str = "identity") -> list[Clip]:
    """All videos below root. Two files that differ in their suffix only keep it in their id.

    A file whose suffix says nothing is a video if its content is.
    """
    files = video_files(root, PATTERNS, is_video=Prober().is_video)
    stems = Counter(relative(path.with_suffix(""), root) for path in files)
    clips = []
    for path in files:
        source = relative(path, root)
        stem = relative(path.with_suffix(""), root)
        clip_id = stem if stems[stem] == 1 else source
        identity = source.split("/")[0] if "/" in source else clip_id
        key = identity if split_by == "identity" else clip_id
        split = fractions.split_of(key)
        clips.append(Clip(clip_id, str(root), source, identity, split, split_key=key))
    return checked(with_every_split(clips, fractions), root)
