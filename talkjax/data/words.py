"""Words as labels: the vocabulary, and which words of a clip lie in a window of it.

A vocabulary is a mapping from the name of a class of words ("colour") to its words ("red",
"blue", ...), as `config.data.vocabulary` holds it; so it goes into each checkpoint. A word's label
is its place among all words in alphabetical order. Capitals do not count. A word that is not in
the vocabulary is no label: it is skipped.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from ml_collections import ConfigDict

from talkjax.data import schema
from talkjax.errors import UserError

Vocabulary = ConfigDict | Mapping[str, Sequence[str]]
# (start_s, end_s, word), as records hold them.
Spoken = Sequence[tuple[float, float, str]]
# The class of all words of a vocabulary that was counted, not written.
COUNTED_CLASS = "word"


def word_labels(vocabulary: Vocabulary) -> dict[str, int]:
    """The label of each word.

    Raises:
      UserError: if the vocabulary is empty, or if a word stands in it twice.
    """
    words = [word.casefold() for group in vocabulary.values() for word in group]
    twice = sorted(word for word, count in collections.Counter(words).items() if count > 1)
    if twice or not words:
        found = f"{', '.join(twice)} twice" if twice else "no words"
        raise UserError(f"data.vocabulary: has {found}; give every word once, in one class")
    return {word: label for label, word in enumerate(sorted(words))}


def word_classes(vocabulary: Vocabulary) -> dict[str, str]:
    """The class of each word."""
    return {word.casefold(): name for name, group in vocabulary.items() for word in group}


def count_words(spoken: Iterable[Spoken]) -> collections.Counter[str]:
    """How often each word is spoken in some clips."""
    return collections.Counter(word.casefold() for words in spoken for _, _, word in words)


def counted_vocabulary(
    counts: Mapping[str, int], *, min_count: int, where: str
) -> dict[str, tuple[str, ...]]:
    """The words that are spoken at least so often, as one class.

    Args:
      where: the data set, for the message.

    Raises:
      UserError: if fewer than two words are.
    """
    words = tuple(sorted(word for word, count in counts.items() if count >= min_count))
    if len(words) < 2:
        raise UserError(
            f"{where}: {len(words)} words are spoken {min_count} times or more, want 2 at least; "
            "lower data.min_word_count, or prepare data with word alignments"
        )
    return {COUNTED_CLASS: words}


def known_words(
    words: Spoken, labels: Mapping[str, int]
) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, " n"]]:
    """Spans (frames; frame f is [f, f + 1)) and labels of the words that have a label."""
    known = [(a, b, labels[w.casefold()]) for a, b, w in words if w.casefold() in labels]
    spans = np.array([[a, b] for a, b, _ in known], np.float64).reshape(-1, 2) * schema.FPS
    return spans, np.array([label for *_, label in known], np.int64)


def inside(spans: Float[np.ndarray, "n 2"], *, first: int, frames: int) -> Bool[np.ndarray, " n"]:
    """Which spans lie wholly in the window [first, first + frames)."""
    return (spans[:, 0] >= first) & (spans[:, 1] <= first + frames)


def choose_start(
    spans: Float[np.ndarray, "n 2"], *, frames: int, clip_frames: int, rng: np.random.Generator
) -> int:
    """A window of `frames` frames: it holds a word drawn at random, and all neighbours it can.

    Where several starts hold equally many, one of them is drawn. A clip that is no longer than
    the window begins it; without a word that fits, any start may be drawn.
    """
    starts = np.arange(max(clip_frames - frames, 0) + 1)
    held = np.stack([inside(spans, first=int(s), frames=frames) for s in starts])  # starts, words
    fitting = np.flatnonzero(held.any(axis=0))
    if len(fitting):
        starts = starts[held[:, fitting[rng.integers(len(fitting))]]]
        counts = held[starts].sum(axis=1)
        starts = starts[counts == counts.max()]
    return int(starts[rng.integers(len(starts))])
