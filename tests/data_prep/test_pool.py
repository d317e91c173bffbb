"""A worker that dies takes only its own clip with it."""

import os
import signal

import pytest

from data_prep import prepare
from data_prep.layouts import Clip
from data_prep.pool import Crashed, run_tasks
from data_prep.prepare import Task


def double_or_die(task: int) -> int:
    if task == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * task


def refuse(task: int) -> int:
    raise ValueError(f"task {task}")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_task_that_kills_its_worker_is_named_and_all_others_finish(workers):
    results = list(run_tasks(double_or_die, range(12), workers=workers))
    assert [r for r in results if isinstance(r, Crashed)] == [Crashed(5)]
    finished = sorted(r for r in results if not isinstance(r, Crashed))
    assert finished == [2 * task for task in range(12) if task != 5]


def test_an_error_of_the_program_is_not_hidden():
    with pytest.raises(ValueError, match="task 0"):
        list(run_tasks(refuse, range(3), workers=1))


def test_an_error_of_the_program_names_the_clip(monkeypatch, tmp_path):
    def broken(clip, settings):
        raise TypeError("a bug")

    monkeypatch.setattr(prepare, "prepare_parts", broken)
    clip = Clip("a/1", "raw", "a/1.mp4", "a", "train")
    with pytest.raises(TypeError, match="a bug") as error:
        prepare.run_task(Task(0, clip, None, str(tmp_path)))
    assert error.value.__notes__ == ["while preparing raw/a/1.mp4"]
