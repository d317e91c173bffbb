"""Sentences: a small grammar, eight languages, splits that share nothing."""

import itertools
import re

import numpy as np
import pytest

from data_prep.synthetic.seeds import generator
from data_prep.synthetic.sentences import SENTENCES
from data_prep.synthetic.text import (
    COMMAND_SLOTS,
    COMMAND_WORDS,
    SPLITS,
    command_split,
    sample_sentence,
    sentences_for,
)
from talkjax.errors import UserError


def test_there_are_enough_sentences_and_none_twice():
    assert len(SENTENCES["en"]) >= 200
    assert len(SENTENCES) >= 6
    for texts in SENTENCES.values():
        assert len(texts) >= 20
        assert len(set(texts)) == len(texts)


def test_commands_have_51_words_as_grid_has():
    assert len(set(COMMAND_WORDS)) == len(COMMAND_WORDS) == 51
    assert [len(words) for words in COMMAND_SLOTS.values()] == [4, 4, 4, 25, 10, 4]


@pytest.mark.parametrize("language", SENTENCES)
def test_splits_hold_every_sentence_once(language):
    parts = {split: sentences_for(split, language=language) for split in SPLITS}
    texts = [sentence.text for part in parts.values() for sentence in part]
    assert sorted(texts) == sorted(SENTENCES[language])
    assert all(len(part) >= 2 for part in parts.values())
    assert len(parts["train"]) >= 0.7 * len(texts)


def test_a_command_is_drawn_for_its_own_split_only():
    drawn = {
        split: {
            sample_sentence(generator(1, split, i), kind="command", language="en", split=split).text
            for i in range(200)
        }
        for split in SPLITS
    }
    for one, other in itertools.combinations(SPLITS, 2):
        assert not drawn[one] & drawn[other]
    for text in drawn["test"]:
        assert all(w in slot for w, slot in zip(text.split(), COMMAND_SLOTS.values(), strict=True))


def test_four_of_five_commands_are_for_training():
    commands = [" ".join(words) for words in itertools.product(*COMMAND_SLOTS.values())]
    picked = commands[:: len(commands) // 4000]
    share = np.mean([command_split(text) == "train" for text in picked])
    assert abs(share - 0.8) < 0.03


def test_a_draw_depends_on_its_generator_alone():
    first, again, other = (
        [
            sample_sentence(generator(seed, i), kind="free", language="fr", split="train")
            for i in range(20)
        ]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"kind": "song"}, "kind: got 'song'"),
        ({"language": "xx"}, "language: got 'xx'"),
        ({"split": "dev"}, "split: got 'dev'"),
        ({"kind": "command", "language": "de"}, "language of commands: got 'de'"),
    ],
)
def test_a_wrong_word_is_named(wrong, named):
    asked = {"kind": "free", "language": "en", "split": "train", **wrong}
    with pytest.raises(UserError, match=re.escape(named)):
        sample_sentence(generator(0), **asked)
