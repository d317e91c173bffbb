"""SIGTERM in the middle of `talkjax prepare`: no half data set, no process is left."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from data_prep.workfolder import PARTIAL_NAME, PLAN_NAME

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


def test_sigterm_leaves_no_half_data_set(make_video, tmp_path):
    make_video(tmp_path / "raw/0.mp4", frames=10)
    for number in range(1, 300):
        shutil.copy(tmp_path / "raw/0.mp4", tmp_path / f"raw/{number}.mp4")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "talkjax", "prepare", str(tmp_path / "raw"), str(out)]
    command += ["--layout", "folder", "--workers", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE_S
    while not list(out.glob(f"{PARTIAL_NAME}/*/*.json")):  # a clip is done
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143, stderr
    assert stderr.splitlines()[-1] == "talkjax prepare: terminated"
    # What is done waits for the next run; there is nothing that could be taken for a set.
    assert sorted(path.name for path in out.iterdir()) == [PARTIAL_NAME, PLAN_NAME]
    done = list(out.glob(f"{PARTIAL_NAME}/*/*"))
    assert 0 < len(done) < 300 and {path.suffix for path in done} == {".json"}
    # Python's resource tracker goes a moment after its process.
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
