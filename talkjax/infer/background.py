"""An iterator that runs ahead in a thread, by a bounded number of items.

Decoding, prediction and encoding are generators; chained through `background` they overlap,
and each of them stays a plain loop that can be read alone.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")
# How often a full queue looks whether its reader is gone.
CHECK_STOP_EVERY_S = 0.05


class _Raised(NamedTuple):
    error: BaseException


_END = object()


def background(items: Iterable[T], *, depth: int) -> Iterator[T]:
    """The same items in the same order, made in a thread while the caller works.

    Args:
      items: consumed in the thread; a generator is also closed there.
      depth: how many finished items may wait; with the one in work, depth + 1 exist at most
        besides the caller's own.

    Raises:
      Whatever `items` raises, at its place in the order.
    """
    waiting: queue.Queue = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, waiting, stopped), daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item
    finally:
        stopped.set()
        thread.join()


def _produce(items: Iterable, waiting: queue.Queue, stopped: threading.Event) -> None:
    last = _END
    try:
        for item in items:
            if not _put(waiting, item, stopped):
                return
    except BaseException as error:  # handed to the caller's thread, not swallowed
        last = _Raised(error)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        _put(waiting, last, stopped)


def _put(waiting: queue.Queue, item: object, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            waiting.put(item, timeout=CHECK_STOP_EVERY_S)
        except queue.Full:
            continue
        return True
    return False
