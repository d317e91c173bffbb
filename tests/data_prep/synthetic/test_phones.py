"""The inventory of phones and how espeak's labels are taken apart."""

import pytest

from data_prep.synthetic.phones import PAUSE, PHONES, split_label
from talkjax.errors import UserError


def test_labels_can_be_written_in_one_line():
    assert all(label and not label.isspace() and " " not in label for label in PHONES)
    assert PHONES[PAUSE].manner == "pause"


def test_every_phone_has_either_a_place_or_a_height():
    for label, made in PHONES.items():
        if label == PAUSE:
            continue
        vowel = made.manner == "vowel"
        assert vowel == (made.height is not None) == (made.backness is not None)
        assert vowel == (made.place == "")


@pytest.mark.parametrize(
    ("label", "manner", "place", "voiced"),
    [
        ("p", "stop", "bilabial", False),
        ("m", "nasal", "bilabial", True),
        ("v", "fricative", "labiodental", True),
        ("θ", "fricative", "dental", False),
        ("ʎ", "lateral", "palatal", True),
    ],
)
def test_consonants_are_as_in_the_ipa_chart(label, manner, place, voiced):
    assert (PHONES[label].manner, PHONES[label].place, PHONES[label].voiced) == (
        manner,
        place,
        voiced,
    )


def test_vowels_are_as_in_the_ipa_chart():
    assert PHONES["i"].height < PHONES["e"].height < PHONES["ɛ"].height < PHONES["a"].height
    assert PHONES["y"].rounded and not PHONES["i"].rounded
    assert PHONES["u"].backness > PHONES["ʉ"].backness > PHONES["y"].backness
    assert PHONES["ɔ̃"].nasal and PHONES["ɔ̃"].rounded


@pytest.mark.parametrize(
    ("label", "parts", "stress"),
    [
        ("ˈaɪ", ("a", "ɪ"), 2),
        ("ˌuː", ("u",), 1),
        ("tʃ", ("t", "ʃ"), 0),
        ("t͡ʃ", ("t", "ʃ"), 0),
        ("əl", ("ə", "l"), 0),
        ("ss", ("s",), 0),
        ("ɐ̃ʊ̃", ("ɐ̃", "ʊ̃"), 0),
        ("r̝̊", ("r̝̊",), 0),
        ("ə-", ("ə",), 0),
        ("ˈa:", ("a",), 2),
        ("ʲ", ("j",), 0),
    ],
)
def test_labels_are_taken_apart(label, parts, stress):
    assert split_label(label) == (parts, stress)


@pytest.mark.parametrize("label", ["ʘ", "aʘ", "ˈ", "t\N{REPLACEMENT CHARACTER}"])
def test_an_unknown_label_is_named(label):
    with pytest.raises(UserError, match="phone label: got"):
        split_label(label)
