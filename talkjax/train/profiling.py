"""config.run.profile_steps: a trace of some steps, for TensorBoard's profiler."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence

import jax

from talkjax.errors import UserError


@contextlib.contextmanager
def profiler(workdir: pathlib.Path, steps: Sequence[int]) -> Iterator[Callable[[int], None]]:
    """Gives a function to call before each step; traces the steps first..last."""
    if len(steps) not in (0, 2):
        raise UserError(f"config.run.profile_steps: got {list(steps)}, want (first, last) or ()")
    running = False

    def before(step: int) -> None:
        nonlocal running
        if steps and step == steps[0]:
            jax.profiler.start_trace(str(workdir / "profile"))
            running = True
        elif running and step == steps[1] + 1:
            jax.profiler.stop_trace()
            running = False

    try:
        yield before
    finally:
        if running:
            jax.profiler.stop_trace()
