"""Identities: the same draws give the same person, and people differ."""

import dataclasses
import json

import numpy as np
import pytest

from data_prep.synthetic import identity as people
from data_prep.synthetic.identity import sample_identity
from data_prep.synthetic.seeds import generator


@pytest.fixture(scope="module")
def crowd():
    return [sample_identity(generator(5, "identity", i), f"p{i}") for i in range(300)]


def test_same_generator_gives_the_same_person():
    first, again, other = (
        sample_identity(generator(1, "identity", number), "p") for number in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_identity_is_plain_numbers_and_words(crowd):
    text = json.dumps(dataclasses.asdict(crowd[0]))
    assert json.loads(text)["name"] == "p0"


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        ("hair_style", people.HAIR_STYLES),
        ("beard", people.BEARD_STYLES),
        ("glasses", people.GLASSES),
        ("collar", people.COLLARS),
        ("backdrop", people.BACKDROPS),
    ],
)
def test_every_kind_occurs(crowd, field, kinds):
    assert {getattr(person, field) for person in crowd} == set(kinds)


def test_skin_runs_from_very_light_to_very_dark(crowd):
    tones = np.array([np.mean(person.skin) for person in crowd])
    assert tones.min() < 60
    assert tones.max() > 200
    assert np.percentile(tones, 75) - np.percentile(tones, 25) > 60


def test_main_light_shines_on_the_front_of_the_face(crowd):
    keys = np.array([person.key_direction for person in crowd])
    np.testing.assert_allclose(np.linalg.norm(keys, axis=1), 1, atol=1e-6)
    assert (keys[:, 2] > 0.2).all()
    assert (keys[:, 1] > 0).all()


def test_no_two_people_are_alike(crowd):
    assert len({person.shape for person in crowd}) == len(crowd)
