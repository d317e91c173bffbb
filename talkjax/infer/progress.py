"""Progress of a long loop on stderr: a bar in a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")
# Nothing is shown of what is done sooner.
QUIET_S = 2.0
PLAIN_LINE_EVERY_S = 10.0


def progress(
    items: Iterable[T],
    *,
    total: int | None,
    label: str,
    unit: str = "frames",
    stream: TextIO | None = None,
) -> Iterator[T]:
    """The same items, counted.

    Args:
      total: how many there will be; None where nobody knows, then there is no time left either.
      label: what is done to them, e.g. "generate".
      unit: what they are.
    """
    stream = sys.stderr if stream is None else stream
    if stream.isatty():
        yield from tqdm(
            items,
            total=total,
            desc=label,
            unit=f" {unit}",
            delay=QUIET_S,
            file=stream,
            leave=False,
        )
        return
    started = time.monotonic()
    line_due = started + PLAIN_LINE_EVERY_S
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now >= line_due:
            line_due = now + PLAIN_LINE_EVERY_S
            line = _line(label, done, total, seconds=now - started, unit=unit)
            print(line, file=stream, flush=True)


def _line(label: str, done: int, total: int | None, *, seconds: float, unit: str) -> str:
    rate = done / seconds
    if total is None:
        return f"{label}: {done} {unit}, {rate:.1f} a second"
    left_s = (total - done) / rate
    return f"{label}: {done} of {total} {unit}, {rate:.1f} a second, {left_s:.0f} s left"
