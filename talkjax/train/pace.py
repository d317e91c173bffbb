"""How long a run still takes: recent steps as they are, and what comes every so many steps.

Compiling is neither. Steps beside a validation or a save are odd, so one of them moves the
estimate little.
"""

import contextlib
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

STEPS_LOOKED_AT = 100
# A step counts as at most this many times the usual one.
MOST = 3.0


class Pace:
    """Times steps and periodic work of a run, and tells how long it still takes.

    Args:
      steps: of the whole run.
      every_steps: {name of periodic work: every how many steps it comes, 0 for never}; it also
        comes after the last step.
    """

    def __init__(
        self,
        steps: int,
        every_steps: Mapping[str, int],
        *,
        clock_s: Callable[[], float] = time.perf_counter,
    ):
        self._steps = steps
        self._every_steps = {name: every for name, every in every_steps.items() if every > 0}
        self._clock_s = clock_s
        self._step_s: deque[float] = deque(maxlen=STEPS_LOOKED_AT)
        self._periodic_s: dict[str, list[float]] = {name: [] for name in every_steps}
        self._last_s: float | None = None

    def step(self) -> None:
        """A step is over. The first call only starts the clock: before it came the start-up."""
        now_s = self._clock_s()
        if self._last_s is not None:
            self._step_s.append(now_s - self._last_s)
        self._last_s = now_s

    @contextlib.contextmanager
    def aside(self, name: str = "") -> Iterator[None]:
        """Around what is no part of a step: periodic work of this name, or compiling ("")."""
        start_s = self._clock_s()
        yield
        spent_s = self._clock_s() - start_s
        if self._last_s is not None:
            self._last_s += spent_s
        if name:
            self._periodic_s[name].append(spent_s)

    def left_s(self, done: int) -> tuple[float, list[str]] | None:
        """Seconds from step `done` to the end, and the periodic work not known yet.

        The first time of periodic work also compiles, so its length is known from the second on.
        None before any step was timed.
        """
        if done == self._steps:
            return 0.0, []
        if not self._step_s:
            return None
        usual_s = statistics.median(self._step_s)
        step_s = statistics.fmean(min(one_s, MOST * usual_s) for one_s in self._step_s)
        left_s, unknown = step_s * (self._steps - done), []
        for name, every in self._every_steps.items():
            times = -(-self._steps // every) - done // every
            if times and len(self._periodic_s[name]) > 1:
                left_s += times * statistics.median(self._periodic_s[name][1:])
            elif times:
                unknown.append(name)
        return left_s, unknown
