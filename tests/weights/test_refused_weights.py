"""Weights of a wrong rank, type or range through the command: one line with the key, no import."""

import numpy as np
import pytest

from tests.weights import torch_writer
from tests.weights.test_every_kind import writable
from tests.weights.test_hostile_objects import refused
from tests.weights.toy_expert import expert_state
from tests.weights.toy_files import StateDict
from tests.weights.toy_psp import published_arcface_state
from tests.weights.toy_stylegan2 import rosinality_state
from tests.weights.toy_stylegan3 import make_state
from tests.weights.toy_syncnet import syncnet_state

RESIDUAL = "face_encoder.5.conv_block.0.weight"  # (4, 4, 3, 3)
NORM = "face_encoder.5.conv_block.1"
ANY4 = "(any, any, any, any)"


def zeros(*shape):
    return np.zeros(shape, np.float32)


def no_mapping():
    state = make_state("t").items()
    return {key: array for key, array in state if not key.startswith("mapping")}


# kind, its state, what is changed in it, the line
TABLE = {
    "residual of 2 axes": ("expert", {RESIDUAL: zeros(4, 4)}, f"has shape (4, 4), want {ANY4}"),
    "residual of 1 axis": ("expert", {RESIDUAL: zeros(4)}, f"has shape (4,), want {ANY4}"),
    "residual of 5 axes": (
        "expert",
        {RESIDUAL: zeros(4, 2, 2, 3, 3)},
        f"has shape (4, 2, 2, 3, 3), want {ANY4}",
    ),
    "residual as a number": ("expert", {RESIDUAL: zeros()}, f"has shape (), want {ANY4}"),
    "whole numbers": (
        "expert",
        {RESIDUAL: np.ones((4, 4, 3, 3), np.int64)},
        "holds int64, want floats",
    ),
    "true and false": ("expert", {f"{NORM}.weight": np.ones(4, bool)}, "holds bool, want floats"),
    "negative variance": (
        "expert",
        {f"{NORM}.running_var": np.array([1, 1, -1e-3, 1], np.float32)},
        "holds negative variances",
    ),
    "scale of 2 axes": ("expert", {f"{NORM}.weight": zeros(2, 2)}, "has shape (2, 2), want"),
    "stem of 2 axes": (
        "arcface",
        {"input_layer.0.weight": zeros(64, 27)},
        f"has shape (64, 27), want {ANY4}",
    ),
    "output as a number": ("arcface", {"output_layer.3.weight": zeros()}, "want 2 dimensions"),
    "clip kernel of 4 axes, as it is here": (
        "syncnet",
        {"netcnnlip.4.weight": zeros(5, 5, 2, 3)},
        "has shape (5, 5, 2, 3), want 5 axes",
    ),
    "sound kernel of 5 axes": (
        "syncnet",
        {"netcnnaud.4.weight": zeros(4, 3, 1, 3, 3)},
        "want 4 axes",
    ),
    "head of 1 axis": (
        "syncnet",
        {"netfcaud.3.weight": zeros(90)},
        "has shape (90,), want (any, any)",
    ),
    "two kernels in one": (
        "stylegan2",
        {"convs.1.conv.weight": zeros(2, 6, 6, 3, 3)},
        "has shape (2, 6, 6, 3, 3), want (1, any, any, any, any)",
    ),
    "constant as it is here": (
        "stylegan2",
        {"input.input": zeros(4, 4, 6)},
        "has shape (4, 4, 6), want (1, any, any, any)",
    ),
    "style layer of 3 axes": (
        "stylegan3",
        {"mapping.fc0.weight": zeros(5, 5, 1)},
        "has shape (5, 5, 1), want (any, any)",
    ),
}
STATES = {
    "expert": ("wav2lip-expert", expert_state),
    "arcface": ("arcface", published_arcface_state),
    "syncnet": ("syncnet", lambda: syncnet_state(last_kernel=6)),
    "stylegan2": ("stylegan2", rosinality_state),
    "stylegan3": ("stylegan3", lambda: make_state("t")),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_key_is_named_with_what_is_wanted(name, tmp_path, capsys):
    of, change, text = TABLE[name]
    kind, make = STATES[of]
    state = make()
    assert change.keys() <= state.keys()
    path = torch_writer.write_zip(tmp_path / "weights.pth", writable(StateDict(state | change)))
    told = refused(capsys, path, kind=kind)
    (key,) = change
    assert key in told and text in told


def test_a_generator_without_its_mapping_is_told_what_to_save(tmp_path, capsys):
    path = torch_writer.write_zip(tmp_path / "weights.pth", no_mapping())
    told = refused(capsys, path, kind="stylegan3")
    assert "holds no mapping network" in told and "save the whole generator" in told


REMEDIES = {
    "text": (b"hello world, these are no weights", "starts with b'hello wo'", "get the file again"),
    "list": (
        torch_writer.Writer().dumps([1, 2]),
        "holds a list, want",
        "save the net's state_dict",
    ),
    "numbers": (torch_writer.Writer().dumps({1: 2}), "keys are not all text", "save the net's"),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_what_is_no_file_of_weights_is_told_what_to_do(name, tmp_path, capsys):
    data, found, remedy = REMEDIES[name]
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    told = refused(capsys, path)
    assert found in told and remedy in told
