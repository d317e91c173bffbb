"""A local pool of processes that survives the death of a worker.

`ProcessPoolExecutor` gives up all its tasks when a worker dies (a decoder that crashes on a bad
file, the kernel's out-of-memory killer). Here the tasks that were under way are run again, one
at a time in a pool of one: the one that kills its worker again is named, the others go on.
"""

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

# Tasks handed to the pool ahead of the workers; bounds what is repeated after a crash.
AHEAD_PER_WORKER = 2


class Crashed(NamedTuple):
    """Result of a task whose worker process died."""

    task: Any


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    *,
    workers: int,
    initializer: Callable[[], None] | None = None,
) -> Iterator[Any]:
    """Yields the result of each task, in the order they finish; `Crashed(task)` for a dead one.

    Args:
      function: importable, runs in the workers. Its exceptions are raised here.
      tasks: taken as they are needed, so the list may be long.
      workers: number of processes.
      initializer: runs once in each worker.
    """
    tasks = iter(tasks)
    while True:
        suspects = yield from _run_until_crash(function, tasks, workers, initializer)
        if not suspects:
            return
        for task in suspects:
            again = yield from _run_until_crash(function, iter([task]), 1, initializer)
            if again:
                yield Crashed(task)


def _run_until_crash(
    function: Callable[[Any], Any],
    tasks: Iterator[Any],
    workers: int,
    initializer: Callable[[], None] | None,
) -> Iterator[Any]:
    """Runs tasks until they are done or a worker dies; returns the tasks that were under way."""
    # Spawned, not forked: the parent has threads (tqdm, ArrayRecord), and so have the decoders.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=initializer
    ) as pool:
        running: dict[concurrent.futures.Future, Any] = {}
        try:
            while True:
                while len(running) < workers * AHEAD_PER_WORKER:
                    task = next(tasks, _END)
                    if task is _END:
                        break
                    # Noted before it is submitted, so that a pool found broken here loses none.
                    running[concurrent.futures.Future()] = task
                    pending = next(reversed(running))
                    submitted = pool.submit(function, task)
                    del running[pending]
                    running[submitted] = task
                if not running:
                    return []
                done, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    result = future.result()
                    del running[future]
                    yield result
        except BrokenProcessPool:
            # What finished before the crash is a result; the rest is suspect.
            finished = [f for f in running if f.done() and f.exception() is None]
            for future in finished:
                del running[future]
                yield future.result()
            return list(running.values())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_END = object()
