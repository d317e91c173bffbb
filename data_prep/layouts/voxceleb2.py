"""Layout `voxceleb2`: VoxCeleb2 (Chung, Nagrani, Zisserman 2018).

    SRC/dev/mp4/id00012/21Uxsk56VDQ/00001.mp4      split train, some identities held out as val
    SRC/test/mp4/id00017/01dfn2spqyE/00001.mp4     split test (other people, as published)
    SRC/dev/aac/id00012/21Uxsk56VDQ/00001.m4a      the sound, used where the video has none

Identity is the published one. dev has no published validation part: it is a hash of the
identity, with the fraction `val`.
"""

from pathlib import Path

from data_prep.layouts.api import Clip, Fractions, checked, relative, video_files, with_every_split

PATTERNS = ("dev/mp4/id*/*/*.mp4", "test/mp4/id*/*/*.mp4")


def held_out_of_dev(fractions: Fractions) -> Fractions:
    """What a hash decides: the test people are published."""
    return Fractions(val=fractions.val, test=0.0)


def list_clips(root: Path, *, fractions: Fractions) -> list[Clip]:
    """All clips. `fractions.test` is not used: the published test people are."""
    dev = held_out_of_dev(fractions)
    clips = []
    for path in video_files(root, PATTERNS):
        part, _, identity, video = path.relative_to(root).parts[:4]
        sound = root / part / "aac" / identity / video / f"{path.stem}.m4a"
        clips.append(
            Clip(
                clip_id=f"{identity}/{video}/{path.stem}",
                root=str(root),
                source=relative(path, root),
                identity=identity,
                split="test" if part == "test" else dev.split_of(identity),
                audio_source=relative(sound, root) if sound.is_file() else "",
                split_key="" if part == "test" else identity,
            )
        )
    return checked(with_every_split(clips, dev), root)
