"""How well a lip reader reads the words that a clip's voice says: the readability test of CALS.

Accuracy is over all words that the reader knows and that lie wholly in the frames, each word
among the whole vocabulary; no word is excluded by the grammar of its sentence. Its times are
given. The reader also sees the frames beside a word, so it may use what stands there. What times
and neighbours give by themselves, without lips, is what the rows of still pictures get.

Rows: `recorded` (the true frames as they were recorded, the "real video" that accuracies are
relative to) and those of `baselines`; `shuffled_audio` is judged by the words of the face's own
clip, `swapped_voice_vs_voice`, the same frames, by those of the voice's.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.evals import intervals
from talkjax.evals.image_quality import resize_frames
from talkjax.ops.image import mouth_box

FPS = 25
RECORDED = "recorded"
ROWS = (
    RECORDED,
    "ground_truth",
    "generated",
    "swapped_voice_vs_voice",
    "shuffled_audio",
    "still_mouth",
    "still_hidden",
)
ALL_WORDS = "all words"
# Clips are made longer to a multiple of this, and lists of words likewise: few programs compile.
FRAMES_STEP, WORDS_STEP = 16, 8
CONFUSIONS_SHOWN = 12

# (start_s, end_s, word), as records hold them.
Spoken = Sequence[tuple[float, float, str]]


@dataclasses.dataclass(frozen=True)
class WordRead:
    """A word, its class, and what was read."""

    said: str
    word_class: str
    read: str

    @property
    def right(self) -> bool:
        return self.said == self.read


@dataclasses.dataclass(frozen=True)
class Reader:
    """A trained lip reader as a function.

    Attributes:
      logits: {"mouth_u8" (2, t, h, w, 3), "word_spans" (2, l, 2)} -> (2, l, v).
      image_size: side of the crops that it cuts mouths from, px.
      words: the word of each label.
      classes: the class of each word.
    """

    logits: Callable[[dict[str, np.ndarray]], np.ndarray]
    image_size: int
    words: tuple[str, ...]
    classes: Mapping[str, str]

    def knows(self, word: str) -> bool:
        return word.casefold() in self.classes

    def read(self, frames_u8: UInt8[np.ndarray, "t h w 3"], spoken: Spoken) -> tuple[WordRead, ...]:
        """Reads the known words that lie in the frames; mean of the clip and its mirror image."""
        duration_s = len(frames_u8) / FPS
        known = [(a, b, w.casefold()) for a, b, w in spoken if self.knows(w) and b <= duration_s]
        if not known:
            return ()
        spans = np.array([[a, b] for a, b, _ in known], np.float32) * FPS
        logits = self._whole_clip(frames_u8, spans)
        return tuple(
            WordRead(word, self.classes[word], self.words[int(label)])
            for (*_, word), label in zip(known, logits.argmax(axis=-1), strict=True)
        )

    def _whole_clip(
        self, frames_u8: UInt8[np.ndarray, "t h w 3"], spans: Float[np.ndarray, "l 2"]
    ) -> Float[np.ndarray, "l v"]:
        top, bottom, left, right = mouth_box(self.image_size)
        mouths = resize_frames(frames_u8, self.image_size)[:, top:bottom, left:right]
        mouths = np.pad(mouths, ((0, -len(mouths) % FRAMES_STEP), *[(0, 0)] * 3), mode="edge")
        padded = np.pad(spans, ((0, -len(spans) % WORDS_STEP), (0, 0)), mode="edge")
        both = {
            "mouth_u8": np.stack([mouths, mouths[:, :, ::-1]]),
            "word_spans": np.stack([padded, padded]),
        }
        return np.asarray(self.logits(both), np.float32).mean(axis=0)[: len(spans)]


# Row -> the words of one clip, as they were read.
RowsRead = Mapping[str, tuple[WordRead, ...]]


def read_rows(
    reader: Reader,
    frames: Mapping[str, UInt8[np.ndarray, "t h w 3"]],
    spoken: Spoken,
    *,
    voice: Spoken = (),
) -> dict[str, tuple[WordRead, ...]]:
    """Reads every row of a clip.

    Args:
      frames: by row.
      spoken: what the clip says.
      voice: what the voice of the row shuffled_audio says.
    """
    found = {row: reader.read(made, spoken) for row, made in frames.items() if row in ROWS}
    if "shuffled_audio" in frames:
        found["swapped_voice_vs_voice"] = reader.read(frames["shuffled_audio"], voice)
    return {row: words for row, words in found.items() if words}


def summary(clips: Mapping[str, RowsRead], *, seed: int) -> dict[str, Any]:
    """The part `lip_reading` of metrics.json.

    Args:
      clips: what was read in each clip.

    Returns:
      "accuracy": row -> class of words, and all of them -> interval; "relative": the same over
      that of the recorded frames of the same clips; "words": how many, by row; "commonest": what
      always saying the commonest word of a class, or of all, would get; "confusions": the
      most frequent of the recorded frames, [said, read, times]; "clips": clip -> row -> [right,
      words].
    """
    rows = [row for row in ROWS if any(row in read for read in clips.values())]
    found: dict[str, Any] = {"accuracy": {}, "relative": {}, "words": {}}
    found["commonest"] = _commonest(clips)
    for row in rows:
        both = [read for read in clips.values() if row in read]
        tallies = _tallies([read[row] for read in both])
        found["words"][row] = {name: int(tally[:, 1].sum()) for name, tally in tallies.items()}
        found["accuracy"][row] = {
            name: intervals.share_interval(tally[:, 0], tally[:, 1], seed=seed).as_json()
            for name, tally in tallies.items()
        }
        if row != RECORDED and all(RECORDED in read for read in both):
            real = _tallies([read[RECORDED] for read in both])
            found["relative"][row] = {
                name: intervals.share_ratio(tally, real[name], seed=seed).as_json()
                for name, tally in tallies.items()
                if name in real and real[name][:, 0].any()
            }
    wrong = collections.Counter(
        (word.said, word.read)
        for read in clips.values()
        for word in read.get(RECORDED, ())
        if not word.right
    )
    found["confusions"] = [[*pair, n] for pair, n in wrong.most_common(CONFUSIONS_SHOWN)]
    found["clips"] = {
        clip: {row: [sum(word.right for word in words), len(words)] for row, words in read.items()}
        for clip, read in sorted(clips.items())
    }
    return found


def _commonest(clips: Mapping[str, RowsRead]) -> dict[str, float]:
    """The share of the commonest word, among all words and by class."""
    said = collections.defaultdict(collections.Counter)
    for read in clips.values():
        for word in read.get(RECORDED) or next(iter(read.values())):
            for name in (ALL_WORDS, word.word_class):
                said[name][word.said] += 1
    return {name: max(counts.values()) / counts.total() for name, counts in sorted(said.items())}


def _tallies(clips: Sequence[Sequence[WordRead]]) -> dict[str, np.ndarray]:
    """(b, 2) right and all words of each clip, for all words and by class."""
    names = [ALL_WORDS, *sorted({word.word_class for words in clips for word in words})]
    tallies = {name: np.zeros((len(clips), 2)) for name in names}
    for place, words in enumerate(clips):
        for word in words:
            for name in (ALL_WORDS, word.word_class):
                tallies[name][place] += [word.right, 1]
    return tallies


def markdown(found: Mapping[str, Any], *, reader: Mapping[str, Any]) -> list[str]:
    """The lines of the report: one table of accuracies, one of what they are relative to.

    Args:
      found: a `summary`.
      reader: who read, as in the protocol.
    """
    accuracy = found["accuracy"]
    lines = ["## Lip reading", ""]
    lines += [f"Read by {reader['label']}, trained on {reader['trained_on_data']}:"]
    lines[-1] += f" {reader['vocabulary_words']} words, chance {reader['chance']:.3f}."
    commonest = found["commonest"]
    shares = [f"{commonest[name]:.2f}" if name in commonest else "-" for name in _names(accuracy)]
    lines += ["", *_table(accuracy, corner="accuracy")]
    lines += [f"| always the commonest word | {' | '.join(shares)} |", ""]
    if found["relative"]:
        lines += [*_table(found["relative"], corner=f"relative to {RECORDED}"), ""]
    counts = next(iter(found["words"].values()))
    lines += ["Words: " + ", ".join(f"{name} {n}" for name, n in counts.items()) + ".", ""]
    return lines


def _names(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The classes of words of all rows, as they come."""
    return list(dict.fromkeys(name for cells in rows.values() for name in cells))


def _table(rows: Mapping[str, Mapping[str, Mapping[str, float]]], *, corner: str) -> list[str]:
    names = _names(rows)
    lines = [f"| {corner} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row, cells in rows.items():
        shown = [
            "{mean:.2f} [{low:.2f}, {high:.2f}]".format(**cells[name]) if name in cells else "-"
            for name in names
        ]
        lines.append(f"| {row} | " + " | ".join(shown) + " |")
    return lines
