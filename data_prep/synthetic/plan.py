"""What each clip of the corpus is: a pure function of the settings and the clip's number.

Faces and sentences are disjoint between the splits: a face belongs to one split, and a clip's
sentence is drawn from those of its face's split. A face has no voice of its own: who speaks is
drawn for each clip, so that nothing but the sound tells what the lips do.
"""

import dataclasses
import functools
import itertools
import string
from collections.abc import Iterator

from data_prep.layouts import DEFAULT_FRACTIONS, Clip
from data_prep.synthetic.motion import STYLES
from data_prep.synthetic.seeds import generator
from data_prep.synthetic.settings import CorpusSettings

MANNER_RANGE = (0.75, 1.25)
LEAD_IN_RANGE_S = (0.12, 0.4)
TAIL_RANGE_S = (0.16, 0.5)
PEAK_RANGE_DBFS = (-12.0, -1.0)
NOISE_RANGE_DBFS = (-75.0, -55.0)
LANGUAGE_OF_COMMANDS = "en"


@dataclasses.dataclass(frozen=True)
class ClipPlan:
    """All that is decided of a clip before it is made.

    Attributes:
      number: of the clip, from 0.
      identity_number: of the face, from 0.
      clip: its name, face and split.
      kind: "command" or "free", of the sentence.
      language: of the sentence and its voice.
      manner: of articulation, 1 is normal, less is mumbled.
      head_style: one of `motion.STYLES`.
      lead_in_s, tail_s: silence before and after the sentence.
      peak_dbfs: of the speech.
      noise_dbfs: root mean square of the room's noise.
    """

    number: int
    identity_number: int
    clip: Clip
    kind: str
    language: str
    manner: float
    head_style: str
    lead_in_s: float
    tail_s: float
    peak_dbfs: float
    noise_dbfs: float


def plan_clip(settings: CorpusSettings, number: int) -> ClipPlan:
    """What clip `number` is to be."""
    rng = generator(settings.seed, "clip", number, "plan")
    language = settings.languages[int(rng.integers(len(settings.languages)))]
    is_command = rng.random() < settings.command_fraction and language == LANGUAGE_OF_COMMANDS
    return ClipPlan(
        number=number,
        identity_number=number % settings.identities,
        clip=clip_at(settings, number),
        kind="command" if is_command else "free",
        language=language,
        manner=float(rng.uniform(*MANNER_RANGE)),
        head_style=STYLES[int(rng.integers(len(STYLES)))],
        lead_in_s=float(rng.uniform(*LEAD_IN_RANGE_S)),
        tail_s=float(rng.uniform(*TAIL_RANGE_S)),
        peak_dbfs=float(rng.uniform(*PEAK_RANGE_DBFS)),
        noise_dbfs=float(rng.uniform(*NOISE_RANGE_DBFS)),
    )


def clip_at(settings: CorpusSettings, number: int) -> Clip:
    """Name, face and split of a clip; the faces take turns."""
    identity_number = number % settings.identities
    split = identity_splits(settings)[identity_number]
    name = identity_name(identity_number, split)
    clip_id = f"{name}/{number:06d}"
    source = f"synthetic/seed{settings.seed}/{clip_id}"
    return Clip(clip_id, root="", source=source, identity=name, split=split)


@functools.lru_cache(maxsize=8)
def identity_splits(settings: CorpusSettings) -> tuple[str, ...]:
    """The split of each face: train first, then test, then val, as far as the faces go.

    A fraction above 0 gets at least one face where one is left for train.
    """
    left = settings.identities - 1
    held_out = []
    for split, fraction in (("test", settings.test_fraction), ("val", settings.val_fraction)):
        wanted = max(1, round(fraction * settings.identities)) if fraction > 0 else 0
        held_out += [split] * min(wanted, left)
        left -= min(wanted, left)
    return ("train",) * (left + 1) + tuple(held_out)


@functools.lru_cache(maxsize=100_000)
def identity_name(identity_number: int, split: str) -> str:
    """A name such as "face0007" or "face0007c".

    Its letters are the first for which `talkjax prepare --layout folder`, which splits by a hash
    of the name, puts the face into `split`: videos that are prepared again keep their splits.
    """
    names = (f"face{identity_number:04d}{letters}" for letters in _letters())
    return next(name for name in names if DEFAULT_FRACTIONS.split_of(name) == split)


def _letters() -> Iterator[str]:
    """ "", then "a", "b" ... "z", "aa" ..."""
    for length in itertools.count():
        yield from map("".join, itertools.product(string.ascii_lowercase, repeat=length))
