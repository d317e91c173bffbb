"""Warnings of a run: each once while it holds, and not before anything can be known."""

from collections.abc import Callable, Mapping

# What a report or a validation gives reason to warn of: {kind: a warning, or None where all is
# well}. A kind that the values say nothing of is not in it.
FindAlerts = Callable[[Mapping[str, float]], Mapping[str, str | None]]

# Nets know nothing in their first steps: no warning before this many and this share of the run,
# except at its end, however soon that comes.
FIRST_STEPS, FIRST_SHARE = 200, 0.2
# A run of fewer steps is a trial of the machinery.
FEWEST_STEPS = 50


class Alerts:
    """What there is to warn of, and has not been warned of yet.

    A warning is given once while it holds, again if it went away and came back, and again at the
    end of the run, whose last words should say what is wrong with it.
    """

    def __init__(self, find: FindAlerts | None, *, steps: int):
        self._find = find if steps >= FEWEST_STEPS else None
        self._first_step = min(max(FIRST_STEPS, FIRST_SHARE * steps), steps)
        self._steps = steps
        self._holding: set[str] = set()

    def new(self, step: int, values: Mapping[str, float]) -> list[str]:
        """The warnings that these values of a step are the first to give reason for."""
        if self._find is None or step < self._first_step:
            return []
        found = self._find(values)
        said = set() if step >= self._steps else self._holding
        fresh = [text for kind, text in found.items() if text and kind not in said]
        self._holding -= found.keys()
        self._holding |= {kind for kind, text in found.items() if text}
        return fresh
