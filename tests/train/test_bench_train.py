"""`talkjax bench train`: it times the steps, and knows waiting for data from training."""

import json
import math
import time

import pytest

from benchmarks.train import Trainer
from talkjax import cli
from tests.train import train_toys


class SlowBatches(train_toys.Batches):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds
        self.closed = False

    def __next__(self):
        time.sleep(self.seconds)
        return super().__next__()

    def close(self):
        self.closed = True


def trainer(data):
    config = {"method": "gan", "run": {}, "data": {"read_ahead_mb": 0.0}}
    return Trainer(train_toys.gan_job(config=config), data)


def test_slow_data_is_waited_for_and_quick_data_is_not():
    slow, quick = trainer(SlowBatches(0.1)), trainer(SlowBatches(0.0))
    for each in (slow, quick):
        each.round(5)  # compiles
    step_s, share = slow.round(5)
    assert step_s > 0.1 and share > 0.5
    assert quick.round(5)[1] < share


def test_each_set_of_phases_is_compiled_once_and_that_is_no_step_time():
    data = SlowBatches(0.0)
    bench = trainer(data)
    started = time.perf_counter()
    step_s, _ = bench.round(5)  # steps 0 and 4 have the penalty, the others have not
    elapsed_s = time.perf_counter() - started
    assert len(bench.compile_s) == 2
    assert 5 * step_s <= elapsed_s - sum(bench.compile_s)
    bench.round(8)
    assert len(bench.compile_s) == 2
    assert int(bench.state.step) == 13
    # 2 of read-ahead are thrown away before each round.
    assert data.position == 13 + 4
    assert bench.compiled_memory_mb["together"] > 0
    bench.close()
    assert data.closed


@pytest.mark.slow
def test_one_command_prints_and_writes_the_speed(tmp_path, capsys):
    out = tmp_path / "bench.json"
    words = ["--config", "configs/sync_critic_grid.py:smoke", "--steps", "2", "--rounds", "2"]
    words += ["--set", "data.batch_size=8", "--set", "data.windows_per_clip=2"]
    words += ["--data", "fake://8x40?size=32", "--out", str(out)]
    assert cli.main(["bench", "train", *words]) == 0
    assert capsys.readouterr().out == out.read_text()
    result = json.loads(out.read_text())
    assert result["batch"] == {"clips": 8, "windows": 16}
    assert result["data"] == "fake://8x40?size=32"
    steps, windows = result["steps_per_s"], result["windows_per_s"]
    assert math.isclose(windows["most"], 16 * steps["most"], rel_tol=1e-3)
    assert 0 < steps["least"] <= steps["median"] <= steps["most"]
    assert 0 <= result["data_wait_share"]["median"] <= 1
    assert set(result["definitions"]) <= set(result)


def test_a_wrong_config_is_one_line(capsys):
    assert cli.main(["bench", "train", "--config", "configs/no_such.py"]) == 2
    words = ["--config", "configs/sync_critic_grid.py:smoke", "--set", "data.no_such=1"]
    assert cli.main(["bench", "train", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    words = ["--config", "configs/sync_critic_grid.py:smoke", "--steps", "0"]
    assert cli.main(["bench", "train", *words]) == 2
    assert "--steps and --rounds must be positive" in capsys.readouterr().err
