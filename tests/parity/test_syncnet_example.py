"""SyncNet's own example: the three numbers that syncnet_python's README gives for it.

The public files cannot be part of this repository, so this runs where somebody has them:

    TALKJAX_SYNCNET_MODEL=.../syncnet_v2.model TALKJAX_SYNCNET_EXAMPLE=.../example.avi \
        python -m pytest tests/parity/test_syncnet_example.py
"""

import json
import os
import pathlib

import pytest

from talkjax import cli

pytestmark = [pytest.mark.parity, pytest.mark.slow]

# README of joonson/syncnet_python@6efbb1c, demo_syncnet.py: shifts of up to 15 frames.
OFFSET_FRAMES, LEAST_DISTANCE, CONFIDENCE = 3, 5.353, 10.021
# They are rounded to three digits, and another FFmpeg decodes and recompresses the pictures there;
# the recordings of golden/syncnet_v2 allow 1e-2 for a distance. Of the confidence, which is a
# difference of two, twice that.
DISTANCE_ATOL, CONFIDENCE_ATOL = 1e-2, 2e-2
FILES = {
    "TALKJAX_SYNCNET_MODEL": "syncnet_v2.model",
    "TALKJAX_SYNCNET_EXAMPLE": "data/example.avi of joonson/syncnet_python",
}


@pytest.fixture(scope="module")
def files():
    """(path of the model, path of the video); skips unless both are given."""
    if missing := [name for name in FILES if not os.environ.get(name)]:
        how = ", ".join(f"{name} to the path of {what}" for name, what in FILES.items())
        pytest.skip(f"{' and '.join(missing)} not set; to run this, get both files and set {how}")
    paths = [pathlib.Path(os.environ[name]) for name in FILES]
    for path in paths:
        assert path.is_file(), f"{path}: no such file; set {' and '.join(FILES)} to the public ones"
    return paths


def test_the_public_weights_give_the_published_numbers(files, tmp_path, capsys):
    model, video = files
    assert cli.main(["import-weights", "syncnet", str(model), str(tmp_path / "syncnet")]) == 0
    capsys.readouterr()
    # The example is a face crop, of which demo_syncnet.py takes the whole frame.
    words = ["--syncnet", str(tmp_path / "syncnet"), "--variant", "whole", "--json"]
    assert cli.main(["score", str(video), *words]) == 0
    found = json.loads(capsys.readouterr().out)["mean"]
    assert found["lse_offset"] == OFFSET_FRAMES
    assert found["lse_d"] == pytest.approx(LEAST_DISTANCE, abs=DISTANCE_ATOL)
    assert found["lse_c"] == pytest.approx(CONFIDENCE, abs=CONFIDENCE_ATOL)
