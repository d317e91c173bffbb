"""Two processes with jax.distributed on one machine: the same run, and one stop for both."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import train_toys as toys

from talkjax.train.loop import Hooks, fit

PROGRAM = """
import os, pathlib, signal, sys, time
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
from talkjax.train.loop import Hooks, fit
from talkjax.train.stopping import Stopped
from talkjax.train.sharding import initialize_distributed
initialize_distributed(multihost=True)
sys.path.insert(0, sys.argv[2])
import train_toys as toys
class Part(toys.Batches):
    def __next__(self):
        if self.position == 5 and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.position >= 5:
            time.sleep(0.3)  # the notice travels between the processes
        rows = toys.BATCH // 2
        first = jax.process_index() * rows
        return {name: x[first : first + rows] for name, x in super().__next__().items()}
try:
    fit(toys.gan_job(steps=100), Part(), workdir=pathlib.Path(sys.argv[1]), hooks=Hooks())
except Stopped as stopped:
    print("STOPPED", stopped)
"""


@pytest.mark.slow
def test_two_processes_stop_together_and_one_goes_on(tmp_path):
    workdir = tmp_path / "w"
    workdir.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    here = str(pathlib.Path(__file__).parent)
    processes = []
    for index in range(2):
        variables = {
            "TALKJAX_COORDINATOR": f"127.0.0.1:{port}",
            "TALKJAX_NUM_PROCESSES": "2",
            "TALKJAX_PROCESS_ID": str(index),
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(workdir), here],
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    # gloo writes lines of its own
    stops = [[line for line in out.splitlines() if "STOPPED" in line] for out in outputs]
    assert len(stops[0]) == 1 and stops[0] == stops[1]
    step = max(int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert 5 < step < 100
    alone = tmp_path / "alone"
    alone.mkdir()
    states = [
        fit(toys.gan_job(steps=step + 2), toys.Batches(), workdir=folder, hooks=Hooks())
        for folder in (workdir, alone)
    ]
    for x, y in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-5, atol=1e-6)
