"""Layout `lrs2`: Lip Reading Sentences 2 (Afouras et al. 2018), BBC research agreement.

    SRC/train.txt val.txt test.txt pretrain.txt           lines "5535415699068794046/00001"
    SRC/main/5535415699068794046/00001.mp4  .txt          train, val and test
    SRC/pretrain/5535415699068794046/00001.mp4  .txt      with the time of each word; split train

The lists may lie in SRC or beside mvlrs_v1/. Identity is the broadcast (the folder): the set
does not say who speaks.
"""

from pathlib import Path

from data_prep.layouts.api import Clip, checked, relative, text_lines
from talkjax.errors import UserError

# list -> (folder, split)
LISTS = {
    "train": ("main", "train"),
    "val": ("main", "val"),
    "test": ("main", "test"),
    "pretrain": ("pretrain", "train"),
}


def list_clips(root: Path) -> list[Clip]:
    """All clips named in the published lists.

    Raises:
      UserError: if no list is there, or a list names files that are missing.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder, want the LRS2 tree")
    base = root / "mvlrs_v1" if (root / "mvlrs_v1").is_dir() else root
    clips = []
    lists = [path for name in LISTS for path in _list_files(name, (root, base))]
    if not lists:
        names = " ".join(f"{name}.txt" for name in LISTS)
        raise UserError(f"{root}: no clips found; looked for the split lists {names}")
    for path in lists:
        folder, split = LISTS[path.stem]
        # Some lists carry a second column (face track flags).
        keys = [line.split()[0] for line in text_lines(path)]
        missing = [key for key in keys if not (base / folder / f"{key}.mp4").is_file()]
        if missing:
            raise UserError(
                f"{path}: {len(missing)} of {len(keys)} clips are not below {base / folder}, "
                f"first {missing[0]}.mp4; complete the tree or take them out of the list"
            )
        clips += [_clip(root, base / folder / f"{key}.mp4", split) for key in keys]
    return checked(clips, root)


def _list_files(name: str, folders: tuple[Path, ...]) -> list[Path]:
    found = {folder / f"{name}.txt" for folder in folders if (folder / f"{name}.txt").is_file()}
    return sorted(found)[:1]


def _clip(root: Path, path: Path, split: str) -> Clip:
    text = path.with_suffix(".txt")
    has_text = text.is_file()
    part, programme = path.parts[-3:-1]
    return Clip(
        clip_id=f"{part}/{programme}/{path.stem}",
        root=str(root),
        source=relative(path, root),
        identity=programme,
        split=split,
        words_source=relative(text, root) if has_text else "",
        words_format="lrs2" if has_text else "",
    )
