"""A toy judge, and a face detector that sees what it is told to."""

import pytest

from talkjax.commands import video_lse
from tests.evals.syncnet.toy_syncnet import SIDES_SEEN, export, seeing
from tests.evals.test_evaluate_command import _copying
from tests.infer import stub
from tests.media.test_track import ScriptedDetector


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    for name, build in (("copying", _copying), ("syncnet", seeing)):
        stub.install(monkeypatch, name=name, builder=build)
    SIDES_SEEN.clear()


@pytest.fixture
def judge(tmp_path):
    return export(tmp_path / "judge")


@pytest.fixture
def faces(monkeypatch):
    """`faces(script)` makes the detector see them; a script gets a frame's first pixel."""

    def see(script):
        monkeypatch.setattr(video_lse, "DlibDetector", lambda: ScriptedDetector(script))

    return see


@pytest.fixture
def no_detector(monkeypatch):
    def refuse():
        raise AssertionError("boxes are given, so nothing is detected")

    monkeypatch.setattr(video_lse, "DlibDetector", refuse)
