"""Random generators by name: same names same draws, different names different draws."""

import hashlib
import itertools

import numpy as np
import pytest

from data_prep.synthetic.seeds import generator


def _draws(seed: int, *names: str | int) -> tuple[int, ...]:
    return tuple(generator(seed, *names).integers(0, 2**63, size=4).tolist())


def test_same_seed_and_names_give_the_same_draws():
    assert _draws(3, "clip", 12, "blinks") == _draws(3, "clip", 12, "blinks")


def test_numpy_integers_name_the_same_stream_as_python_ones():
    assert _draws(3, "clip", np.int64(12)) == _draws(3, "clip", 12)


def test_each_name_seed_and_split_of_names_is_its_own_stream():
    keys = [(0,), (1,), (-1,), (0, ""), (0, "a"), (0, "ab", "c"), (0, "a", "bc"), (0, "abc")]
    keys += [(0, 3), (0, "3"), (0, "clip", 1), (0, "clip", 11), (0, "clip", 1, 1), (0, 1, "clip")]
    for first, second in itertools.combinations(keys, 2):
        assert _draws(*first) != _draws(*second), (first, second)


def test_draws_do_not_change_between_versions_and_machines():
    """Keyed by SHA-256 of the tagged names, drawn by Philox4x64: both published and fixed."""
    digest = hashlib.sha256(b"i1:0" + b"s4:clip" + b"i1:0").digest()
    key = [int.from_bytes(digest[start : start + 8], "little") for start in (0, 8)]
    bits = generator(0, "clip", 0).bit_generator
    assert bits.state["bit_generator"] == "Philox"
    assert bits.state["state"]["key"].tolist() == key
    draws = generator(0, "clip", 0).integers(0, 2**32, size=2)
    assert draws.tolist() == [2117351564, 754814213]


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="neither str nor int"):
        generator(0, 1.5)
    with pytest.raises(TypeError, match="neither str nor int"):
        generator(0, True)
