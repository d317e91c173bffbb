"""SIGTERM in the middle of `talkjax generate`: nothing is left of the output."""

import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG_S = 600.0
PATIENCE_S = 120.0


def test_sigterm_leaves_no_output(shared, sound, tmp_path):
    face = shared / "data/public/faces/id01_grid_still.png"
    assert np.asarray(Image.open(face)).ndim == 3
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "tests.infer.run_with_stub", "generate", "--checkpoint", "x"]
    command += ["--face", str(face), "--audio", str(sound(LONG_S)), "--out", str(out / "out.mp4")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_S
    # Until some of the video is on the disk.
    while not any(path.stat().st_size > 0 for path in out.iterdir()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143, stderr
    assert stderr.splitlines()[-1] == "talkjax generate: terminated"
    assert list(out.iterdir()) == []
