"""Progress of a long loop on stderr: a bar in a terminal, a plain line now and then elsewhere.

The first items also pay for what comes once (processes that start, a net that compiles), so
speed and time left are told from the second round on, without the first.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
# Nothing is shown of what is done sooner.
QUIET_S = 2.0
PLAIN_LINE_EVERY_S = 10.0


class Progress:
    """Counts what is done and says so; a context manager.

    Args:
      total: how many there will be; None where nobody knows, then there is no time left either.
      label: what is done to them, e.g. "generate".
      unit: what they are.
      done: how many an earlier run did.
      at_once: how many are worked on at the same time: a round.
      shown: False says nothing.
    """

    def __init__(
        self,
        total: int | None,
        *,
        label: str,
        unit: str = "clips",
        done: int = 0,
        at_once: int = 1,
        shown: bool = True,
    ):
        self._total, self._label, self._unit = total, label, unit
        self._done, self._first_round_end = done, done + at_once
        self._at_once = at_once
        self._shown, self._bar = shown, None
        self._first_round_s: float | None = None
        self._line_due_s = time.monotonic() + PLAIN_LINE_EVERY_S

    def __enter__(self) -> "Progress":
        if self._shown and sys.stderr.isatty():
            self._bar = tqdm(
                total=self._total,
                initial=self._done,
                desc=f"{self._label}: {self._done}",
                bar_format="{desc}" if self._total is None else "{bar:20} {desc}",
                delay=QUIET_S,
                dynamic_ncols=True,
                file=sys.stderr,
                leave=False,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, note: str = "") -> None:
        """One more is done; `note` is added to what is shown."""
        self._done += 1
        now_s = time.monotonic()
        if self._done == self._first_round_end:
            self._first_round_s = now_s
        if self._bar is not None:
            self._bar.set_description_str(self._line(now_s, note), refresh=False)
            self._bar.update()
        elif self._shown and now_s >= self._line_due_s:
            self._line_due_s = now_s + PLAIN_LINE_EVERY_S
            print(self._line(now_s, note), file=sys.stderr, flush=True)

    def _line(self, now_s: float, note: str) -> str:
        of_total = "" if self._total is None else f" of {self._total}"
        parts = [f"{self._label}: {self._done}{of_total} {self._unit}", *filter(None, [note])]
        if self._done >= self._first_round_end + self._at_once:
            item_s = (now_s - self._first_round_s) / (self._done - self._first_round_end)
            parts.append(_speed(item_s))
            if self._total is not None and self._done < self._total:
                parts.append(f"about {_duration(item_s * (self._total - self._done))} left")
        return ", ".join(parts)


def progress(
    items: Iterable[T],
    *,
    total: int | None,
    label: str,
    unit: str = "frames",
) -> Iterator[T]:
    """The same items, counted; the arguments are those of `Progress`."""
    with Progress(total, label=label, unit=unit) as bar:
        for item in items:
            yield item
            bar.step()


def _speed(item_s: float) -> str:
    return f"{item_s:.1f} s each" if item_s >= 1.0 else f"{1 / max(item_s, 1e-9):.1f} a second"


def _duration(seconds: float) -> str:
    for name, length_s in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {name}"
    return f"{seconds:.0f} s"
