"""What is said: commands of a small grammar, and free sentences in several languages.

Every text belongs to one split for good, by a hash of its own characters: whatever the seed, the
size or the order of the corpus, no sentence of test is ever heard in training.
"""

import dataclasses
import hashlib
import itertools

import numpy as np

from data_prep.synthetic.sentences import SENTENCES
from talkjax.errors import UserError

KINDS = ("command", "free")
SPLITS = ("train", "val", "test")

SPLIT_PERCENT = {"train": 80, "val": 10, "test": 10}
"""How many of a hundred texts fall into each split."""

_FEWEST = 2  # sentences of a language in a split

COMMAND_SLOTS = {
    "verb": ("bin", "lay", "place", "set"),
    "colour": ("blue", "green", "red", "white"),
    "preposition": ("at", "by", "in", "with"),
    "letter": tuple("ABCDEFGHIJKLMNOPQRSTUVXYZ"),
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "adverb": ("again", "now", "please", "soon"),
}
"""Slot -> its words, in the order in which a command says them; W, of three syllables, is no
letter. English only. Source: Cooke, Barker, Cunningham and Shao 2006, "An audio-visual corpus
for speech perception and automatic speech recognition", table I."""

COMMAND_WORDS = tuple(itertools.chain.from_iterable(COMMAND_SLOTS.values()))
"""The 51 words of all commands: the vocabulary of a lip reader."""


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A text to be spoken.

    Attributes:
        text: with its punctuation; a command has none.
        language: a key of `SENTENCES`.
        kind: "command" or "free".
    """

    text: str
    language: str
    kind: str


def sentences_for(split: str, *, language: str) -> tuple[Sentence, ...]:
    """The free sentences of a split: those of the language in the order of their hashes, cut in
    the proportions of `SPLIT_PERCENT`, but at least two to a split.

    Raises:
        UserError: there is no such split or language.
    """
    _want("split", split, SPLITS)
    _want("language", language, tuple(SENTENCES))
    texts = sorted(SENTENCES[language], key=_hash)
    num_val, num_test = (
        max(_FEWEST, len(texts) * SPLIT_PERCENT[name] // 100) for name in ("val", "test")
    )
    parts = {
        "val": texts[:num_val],
        "test": texts[num_val : num_val + num_test],
        "train": texts[num_val + num_test :],
    }
    return tuple(Sentence(text, language, "free") for text in parts[split])


def command_split(text: str) -> str:
    """The split to which a command belongs."""
    percent = _hash(text) % 100
    for split in SPLITS:
        percent -= SPLIT_PERCENT[split]
        if percent < 0:
            return split
    raise AssertionError("SPLIT_PERCENT does not sum to 100")


def sample_sentence(rng: np.random.Generator, *, kind: str, language: str, split: str) -> Sentence:
    """A random text of a split; every text of the split is as likely as any other.

    Raises:
        UserError: there is no such kind, split or language, or commands are wanted in another
            language than English.
    """
    _want("kind", kind, KINDS)
    if kind == "free":
        sentences = sentences_for(split, language=language)
        return sentences[int(rng.integers(len(sentences)))]
    _want("split", split, SPLITS)
    _want("language of commands", language, ("en",))
    while True:
        text = " ".join(words[int(rng.integers(len(words)))] for words in COMMAND_SLOTS.values())
        if command_split(text) == split:
            return Sentence(text, language, "command")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _want(name: str, got: str, wanted: tuple[str, ...]) -> None:
    if got not in wanted:
        raise UserError(f"{name}: got {got!r}, want one of {', '.join(wanted)}")
