"""What `talkjax evaluate` needs of a lip reader: loaded, checked, described, judged by itself."""

import importlib
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from talkjax.commands import evaluation_parts as parts
from talkjax.commands.evaluate import READER_METHOD
from talkjax.commands.labels import critic_label
from talkjax.data.words import count_words, word_classes, word_labels
from talkjax.errors import UserError
from talkjax.evals import baselines, lip_reading
from talkjax.evals.runner import ClipResult, Evaluation
from talkjax.ops.image import MOUTH
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import hashable
from talkjax.train.trained import Trained


def find_reader(path: pathlib.Path, *, data: str) -> tuple[lip_reading.Reader, dict[str, Any]]:
    """A lip reader's workdir or export as a judge, and who it is.

    Raises:
      UserError: if it is something else, or was trained on other crops.
    """
    trained = load_trained(path)
    if trained.config.method != READER_METHOD:
        raise UserError(
            f"{path}: holds a {trained.config.method}, want a {READER_METHOD} as --lip-reader"
        )
    parts.check_crops(trained, path, data)
    return make_reader(trained), identity(trained, path=path)


def make_reader(trained: Trained) -> lip_reading.Reader:
    """A trained lip reader as a compiled function."""
    config = trained.config
    method = importlib.import_module(f"talkjax.methods.{config.method}")
    predict = method.build(**hashable(config.model)).predict_fn
    nets = jax.device_put((trained.params, trained.model_vars))
    compiled = jax.jit(lambda p, v, batch: predict(p, v, batch, jax.random.key(0))["word_logits"])
    return lip_reading.Reader(
        logits=lambda batch: np.asarray(compiled(*nets, batch)),
        image_size=int(config.data.image_size),
        words=tuple(word_labels(config.data.vocabulary)),
        classes=word_classes(config.data.vocabulary),
    )


def identity(trained: Trained, *, path: pathlib.Path) -> dict[str, Any]:
    """Who reads, for the protocol: where it was trained says what its words are worth here."""
    vocabulary = trained.config.data.vocabulary
    words = len(word_labels(vocabulary))
    subject = parts.subject(trained, path=path)
    return subject | {
        "label": critic_label(subject),
        "trained_on_data": str(trained.config.data.path),
        "trained_on_split": str(trained.config.data.split),
        "vocabulary_words": words,
        "vocabulary": {name: list(group) for name, group in vocabulary.items()},
        "chance": 1.0 / words,
        "how": " ".join((lip_reading.__doc__ or "").split()),
    }


def words_protocol(reader: lip_reading.Reader, clips: parts.Clips) -> dict[str, Any]:
    """How many words of the clips the reader knows, and which it does not.

    Raises:
      UserError: if it knows none.
    """
    counts = count_words(clips.spoken())
    known = sum(n for word, n in counts.items() if reader.knows(word))
    unknown = sorted(word for word in counts if not reader.knows(word))
    if not known:
        raise UserError(
            f"the lip reader knows none of the {counts.total()} words of the clips; give clips "
            "with word alignments and a reader that was trained on their words"
        )
    return {"words_spoken": counts.total(), "words_known": known, "unknown": unknown}


def evaluate_reader(
    clip_ids: Sequence[str],
    load: Callable,
    reader: lip_reading.Reader,
    *,
    on_clip_done: Callable[[], None],
) -> Evaluation:
    """Reads the recorded clips, and still pictures of them; what cannot be read is in `failed`."""
    results, failed = {}, {}
    for clip_id in sorted(clip_ids):
        try:
            clip = load(clip_id)
            rows = {
                lip_reading.RECORDED: clip.truth_u8,
                "still_hidden": baselines.still_hidden(
                    clip.truth_u8, clip.truth_u8[0], hide_from=MOUTH[0]
                ),
            }
            read = lip_reading.read_rows(reader, rows, clip.words)
            results[clip_id] = ClipResult(values={}, pairs={}, read=read)
        except ValueError as error:
            failed[clip_id] = str(error)
        on_clip_done()
    return Evaluation(results=results, failed=failed, voices={})
