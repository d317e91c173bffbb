"""SIGTERM and SIGINT stop a run after the step under way, when it has saved itself."""

import contextlib
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from talkjax.train.checkpoint import Checkpoints


class Stopped(Exception):
    """The run was told to stop and has saved itself; `signal_number` says by what."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.signal_number = signal_number


@contextlib.contextmanager
def stop_signals() -> Iterator[dict[str, int]]:
    """Notes SIGTERM and SIGINT instead of dying; a second one kills as usual."""
    noted: dict[str, int] = {}
    before = {}

    def note(number: int, _frame: Any) -> None:
        noted["signal"] = number
        signal.signal(number, before[number])

    numbers = (signal.SIGTERM, signal.SIGINT)
    if jax.distributed.is_initialized():
        # orbax listens for SIGTERM itself, so that all processes stop at one step.
        numbers = (signal.SIGINT,) if jax.process_count() == 1 else ()
    for number in numbers:
        before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def told_to_stop(noted: Mapping[str, int], checkpoints: Checkpoints, step: int) -> bool:
    """True once this process, or in distributed runs any process, was told to stop."""
    if jax.distributed.is_initialized() and checkpoints.reached_preemption(step):
        return True
    return bool(noted)
