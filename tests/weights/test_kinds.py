"""Which kind a file is of, and that each kind is complete."""

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.train import trained
from talkjax.weights import building, kinds, wav2lip
from tests.weights.toy_expert import expert_state

KEYS = {
    "wav2lip-expert": tuple(expert_state()),
    "syncnet": ("netcnnaud.0.weight", "netcnnlip.0.weight"),
    "synctalkface": ("mem.key", "audio_encoder.0.conv_block.0.weight"),
    "stylegan2": ("style.1.weight", "convs.0.conv.weight"),
    "stylegan3": ("synthesis.input.freqs", "mapping.fc0.weight"),
    "psp": ("encoder.styles.0.linear.weight", "decoder.style.1.weight"),
    "arcface": ("input_layer.0.weight", "output_layer.3.weight"),
}


def found(keys):
    return {"state_dict": dict.fromkeys(keys, np.zeros(2))}


def test_every_kind_is_built_by_something():
    assert set(kinds.KINDS) == set(building.BUILDERS) == set(KEYS)
    assert kinds.NO_METHOD == trained.NO_METHOD


def test_every_layout_has_its_own_terms():
    """SyncTalkFace's expert has the blocks of Wav2Lip's, and not its licence."""
    layouts = kinds.KINDS["wav2lip-expert"].layouts
    assert set(layouts) == set(wav2lip.EXPERTS)
    assert "non-commercial" in layouts["Wav2Lip"].licence
    ours, theirs = layouts["SyncTalkFace"], kinds.KINDS["synctalkface"].layouts["SyncTalkFace"]
    assert ours == theirs and "Wav2Lip" not in ours.source + ours.licence
    for kind in kinds.KINDS.values():
        assert all(layout.source and layout.licence for layout in kind.layouts.values())


@pytest.mark.parametrize("name", KEYS)
def test_a_file_is_known_by_its_keys_and_called_by_its_kind(name):
    kinds.check_kind(name, found(f"module.{key}" for key in KEYS[name]), where="a.pth")
    for other in KEYS.keys() - {name}:
        with pytest.raises(UserError, match=f"no {other}'s; it looks like a {name}; say: "):
            kinds.check_kind(other, found(KEYS[name]), where="a.pth")


def test_nvidias_keys_are_known_too():
    kinds.check_kind("stylegan2", found(["synthesis.b4.const"]), where="a.pkl")


def test_files_that_are_often_mistaken_are_named():
    keys = ("face_encoder_blocks.0.0.conv_block.0.weight", "audio_encoder.0.conv_block.0.weight")
    with pytest.raises(UserError, match="looks like Wav2Lip's generator, which cannot be imported"):
        kinds.check_kind("synctalkface", found(keys), where="wav2lip.pth")


def test_a_file_of_no_kind_is_told_what_there_is():
    with pytest.raises(
        UserError, match=r"its keys \(a, b, \.\.\.\) are no syncnet's; it is none of"
    ):
        kinds.check_kind("syncnet", found(["a", "b"]), where="a.pth")


def test_an_entry_to_ignore_must_be_there():
    with pytest.raises(UserError, match="--ignore nets: there is no such entry; it has state_dict"):
        kinds.check_ignore(("nets",), found(["a"]), where="a.pth")
