"""Layout `lrw`: Lip Reading in the Wild (Chung & Zisserman 2016), BBC research agreement.

    SRC/ABOUT/train/ABOUT_00001.mp4  SRC/ABOUT/train/ABOUT_00001.txt      (also below lipread_mp4/)

Published splits. The set does not say who speaks: each clip is its own identity.
"""

from pathlib import Path

from data_prep.layouts.api import SPLITS, Clip, checked, relative, video_files

PATTERNS = tuple(f"*/{split}/*.mp4" for split in SPLITS)


def list_clips(root: Path) -> list[Clip]:
    """All clips with their published split."""
    base = root / "lipread_mp4" if (root / "lipread_mp4").is_dir() else root
    clips = []
    for path in video_files(base, PATTERNS):
        text = path.with_suffix(".txt")
        has_text = text.is_file()
        clips.append(
            Clip(
                clip_id=relative(path.with_suffix(""), base),
                root=str(root),
                source=relative(path, root),
                identity=path.stem,
                split=path.parent.name,
                words_source=relative(text, root) if has_text else "",
                words_format="lrw" if has_text else "",
            )
        )
    return checked(clips, root)
