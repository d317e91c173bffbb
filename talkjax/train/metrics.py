"""What a run tells: JSON lines, TensorBoard, the console; and the stop on a non-finite loss.

Metrics stay on the device until the steps that made them are surely done, so that looking at
them never holds the devices up.
"""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
import tensorboardX
import tqdm

from talkjax.arrays import Array, UInt8
from talkjax.errors import UserError

METRICS_FILE = "metrics.jsonl"


class NonFiniteLoss(UserError):
    """A loss became NaN or infinite; the text names the terms and the step."""


class MetricsWriter:
    """`metrics.jsonl` and `tb/` of a workdir. Lines after `resume_step` are cut off first."""

    def __init__(self, workdir: str | os.PathLike, *, resume_step: int):
        folder = pathlib.Path(workdir)
        self._enabled = jax.process_index() == 0
        if not self._enabled:
            return
        cut_jsonl(folder / METRICS_FILE, last_step=resume_step)
        self._file = open(folder / METRICS_FILE, "a", encoding="utf-8")  # noqa: SIM115
        self._board = tensorboardX.SummaryWriter(
            str(folder / "tb"), purge_step=resume_step + 1 if resume_step else None
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One line {"step", "time_s" (since 1970), name: value, ...}."""
        if not self._enabled:
            return
        line = {"step": step, "time_s": round(time.time(), 3), **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, rgb_u8: UInt8[np.ndarray, "h w 3"]) -> None:
        if self._enabled:
            self._board.add_image(name, rgb_u8, step, dataformats="HWC")

    def close(self) -> None:
        if self._enabled:
            self._file.close()
            self._board.close()


def cut_jsonl(path: pathlib.Path, *, last_step: int) -> None:
    """Drops the lines after `last_step`, and a line that a killed process left half written."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            step = json.loads(line)["step"]
        except json.JSONDecodeError:
            continue
        if step <= last_step:
            kept.append(line + "\n")
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.write_text("".join(kept), encoding="utf-8")
    os.replace(temporary, path)


class Window:
    """The steps since the last report: their metrics on the device, and where the time went.

    At most `steps_in_flight` steps are under way: more would only pile up batches in device
    memory.
    """

    def __init__(self, *, steps_in_flight: int):
        self._steps_in_flight = steps_in_flight
        self._pending: list[tuple[int, Mapping[str, Array]]] = []
        self._start_s = time.perf_counter()
        self._waited_s = 0.0
        self._paused_s = 0.0
        self._examples = 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around waiting for data."""
        start_s = time.perf_counter()
        yield
        self._waited_s += time.perf_counter() - start_s

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Around what is not training: validation, pictures, saving."""
        start_s = time.perf_counter()
        yield
        self._paused_s += time.perf_counter() - start_s

    def add(self, step: int, metrics: Mapping[str, Array], *, examples: int) -> None:
        """Notes a step that was started, and waits for the one `steps_in_flight` before it."""
        self._pending.append((step, metrics))
        self._examples += examples
        if len(self._pending) > self._steps_in_flight:
            jax.block_until_ready(self._pending[-1 - self._steps_in_flight][1])

    def split(self) -> "Window":
        """Closes this window and returns the next, empty one."""
        now_s = time.perf_counter()
        self._elapsed_s = now_s - self._start_s - self._paused_s
        return Window(steps_in_flight=self._steps_in_flight)

    def report(self) -> dict[str, float]:
        """Means over the window's steps, and the times; after `split`.

        Raises:
          NonFiniteLoss: naming the first step with a non-finite metric, and the metrics.
        """
        fetched = jax.device_get(self._pending)
        check_finite(fetched)
        values: dict[str, list[float]] = {}
        for _, metrics in fetched:
            for name, value in metrics.items():
                values.setdefault(name, []).append(float(value))
        means = {name: math.fsum(found) / len(found) for name, found in values.items()}
        elapsed_s = max(self._elapsed_s, 1e-9)
        return means | {
            "perf/step_time_s": elapsed_s / len(fetched),
            "perf/data_wait_fraction": self._waited_s / elapsed_s,
            "perf/windows_per_s": self._examples / elapsed_s,
            **device_memory(),
        }

    def check(self) -> None:
        """`check_finite` of what was gathered so far; waits for the device."""
        check_finite(jax.device_get(self._pending))

    def __len__(self) -> int:
        return len(self._pending)


def check_finite(fetched: list[tuple[int, Mapping[str, np.ndarray]]]) -> None:
    """Raises NonFiniteLoss at the first step (number of the step that was run, from 0)."""
    for step, metrics in fetched:
        wrong = sorted(name for name, value in metrics.items() if not np.isfinite(value))
        if wrong:
            first, last = fetched[0][0] + 1, fetched[-1][0] + 1
            raise NonFiniteLoss(
                f"loss is not finite at step {step + 1} (in the window {first}-{last}): "
                f"{', '.join(f'{name} = {float(metrics[name])}' for name in wrong)}; "
                "nothing after the last checkpoint was saved; lower the learning rate, set "
                "config.optim.<net>.clip_norm, or look at the data"
            )


def device_memory() -> dict[str, float]:
    """Live and peak bytes of the first local device; nothing where the backend gives none."""
    stats = jax.local_devices()[0].memory_stats()
    if not stats:
        return {}
    names = {"bytes_in_use": "memory/in_use_mb", "peak_bytes_in_use": "memory/peak_mb"}
    return {out: stats[name] / 1e6 for name, out in names.items() if name in stats}


class Progress:
    """A bar on a terminal, plain lines elsewhere."""

    def __init__(self, *, start: int, steps: int):
        self._steps = steps
        self._enabled = jax.process_index() == 0
        self._bar = None
        if self._enabled and sys.stderr.isatty():
            # Without tqdm's own estimate, which counts compiling and saving as steps.
            self._bar = tqdm.tqdm(
                total=steps,
                initial=start,
                dynamic_ncols=True,
                bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
            )

    def step(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def report(
        self, step: int, values: Mapping[str, float], *, left: tuple[float, list[str]] | None
    ) -> None:
        """The losses and times of a report; `left` is what `Pace.left_s` says."""
        totals = {k: v for k, v in values.items() if k.endswith("/total")}
        text = "  ".join(f"{name} {value:.4g}" for name, value in totals.items())
        step_s = values["perf/step_time_s"]
        text += f"  {step_s:.3g} s/step  data wait {values['perf/data_wait_fraction']:.0%}"
        if left is not None:
            text += f"  ETA {show_duration(left[0])}" + "".join(f" + {name}" for name in left[1])
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        else:
            self.say(f"step {step}/{self._steps}  {text}")

    def say(self, text: str) -> None:
        """A line of its own, beside the bar."""
        if self._enabled:
            tqdm.tqdm.write(text, file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def show_duration(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
