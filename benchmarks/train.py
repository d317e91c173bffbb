"""Training steps per second of a config: compile time, waiting for data, device memory.

The parts are those of `talkjax train`: its config, data pipeline, placements and compiled step,
with at most two steps under way. There is no validation, picture or checkpoint, and nothing is
written. Frozen experts get random weights unless `--experts config`: speed does not depend on
what the weights are, so no expert has to be trained first.

Before each round the batches that were read ahead are thrown away, so that the data pipeline
starts with nothing ready and its part in the time is that of a long run.
"""

import argparse
import contextlib
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from talkjax.errors import UserError

WARM_UP_STEPS = 2
DEFAULT_CONFIG = "configs/synctalkface_grid.py:cpu"
DEFINITIONS = {
    "steps_per_s": "of wall time, over all steps of a round, data included",
    "windows_per_s": "training windows (clips, times the windows of each for the sync critic)",
    "data_wait_share": "part of the wall time in which the loop waited for a batch",
    "compile_s": "tracing and compiling the step, of each set of active phases; no cache",
    "compiled_memory_mb": "of one device, by the compiler's plan: what a step needs",
    "device_memory_mb": "live and peak by the device's allocator; null where it does not count",
    "host_peak_memory_mb": "of this process, by the operating system",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        default=DEFAULT_CONFIG,
        metavar="FILE[:variant]",
        help="what to train (default: %(default)s)",
    )
    parser.add_argument(
        "--data", help="a prepared folder (default: fake://16x75 at the config's image size)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the config, e.g. data.batch_size=16; may be repeated",
    )
    parser.add_argument(
        "--experts",
        choices=("random", "config"),
        default="random",
        help="weights of the frozen experts (default: random)",
    )
    parser.add_argument("--steps", type=int, default=10, help="of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures a config in this process; see the module's head."""
    if min(args.steps, args.rounds) < 1:
        raise UserError("bench train: --steps and --rounds must be positive")
    import jax

    from talkjax import assemble
    from talkjax.infer.generate import peak_memory_mb

    with tempfile.TemporaryDirectory(prefix="talkjax_bench_train_") as scratch:
        config = _config(args, scratch)
        report.say(f"{args.config}: data, nets and {args.experts} experts")
        job = assemble.make_job(config, workdir=Path(scratch), copy_experts=False)
    spec = job.element_spec
    trainer = Trainer(job, assemble.make_data(config, split=config.data.split, seed=0))
    with contextlib.closing(trainer):
        trainer.round(WARM_UP_STEPS)
        rounds = _rounds(trainer, args.rounds, steps=args.steps)
    # mel_chunk has one window per item: (clips[, windows], mel bins, mel frames).
    windows = math.prod(spec["mel_chunk"].shape[:-2])
    return {
        "config": args.config,
        "set": args.set,
        "method": config.method,
        "data": config.data.path,
        "experts": {"weights": args.experts, "names": sorted(job.experts)},
        "device": {
            "platform": jax.default_backend(),
            "kind": jax.devices()[0].device_kind,
            "count": jax.device_count(),
        },
        "parameters": {net: _count(tree) for net, tree in trainer.state.params.items()},
        "batch": {"clips": config.data.batch_size, "windows": windows},
        "image_size_px": config.data.image_size,
        "steps_per_round": args.steps,
        "rounds": args.rounds,
        "definitions": DEFINITIONS,
        "steps_per_s": _spread([1 / step_s for step_s, _ in rounds]),
        "windows_per_s": _spread([windows / step_s for step_s, _ in rounds]),
        "data_wait_share": _spread([share for _, share in rounds]),
        "compile_s": round(sum(trainer.compile_s), 2),
        "compiled_memory_mb": trainer.compiled_memory_mb,
        "device_memory_mb": trainer.device_memory_mb(),
        "host_peak_memory_mb": round(peak_memory_mb(), 1),
    }


def _rounds(trainer: "Trainer", count: int, *, steps: int) -> list[tuple[float, float]]:
    found = []
    for number in range(1, count + 1):
        found.append(trainer.round(steps))
        step_s, waiting = found[-1]
        report.say(
            f"round {number} of {count}: {1 / step_s:.3g} steps/s, {waiting:.0%} of the time "
            "waiting for data"
        )
    return found


def _config(args: argparse.Namespace, scratch: str):
    from talkjax.command_line import check_blocks, parse

    argv = [f"--config={args.config}", f"--workdir={scratch}"]
    config = parse([*argv, *(f"--config.{setting}" for setting in args.set)]).config
    check_blocks(config)
    config.data.path = args.data or f"fake://16x75?size={config.data.image_size}"
    if args.experts == "random":
        for expert in config.experts.values():
            expert.update(init="random", checkpoint="", min_accuracy=0.0)
    return config


class Trainer:
    """The training loop without its reports: what `talkjax.train.loop.fit` does in each step.

    Attributes:
      state: of the run.
      compile_s: of each step that was compiled.
      compiled_memory_mb: of the one that needs most, by kind.
    """

    def __init__(self, job, data):
        import jax

        from talkjax.train import loop, rng, sharding

        self._job, self._data = job, data
        _, self._shardings = loop.placed_state(job)
        self._batch_place = sharding.batch_sharding(job.mesh)
        whole = sharding.replicated(job.mesh)
        self._experts = sharding.put_whole(dict(job.experts), whole)
        root = jax.jit(rng.root_key, static_argnums=0, out_shardings=whole)
        self._root = root(job.settings.seed)
        self.state = loop.begin(job, self._shardings)
        self._step_fn, self._compiled = loop.jit_step(job, self._shardings), {}
        self.compile_s: list[float] = []
        self.compiled_memory_mb: dict[str, float] = {}
        self._done = 0

    def round(self, steps: int) -> tuple[float, float]:
        """Seconds per step, and the part of it that was spent waiting for data."""
        import jax

        from talkjax.train import sharding
        from talkjax.train.loop import STEPS_IN_FLIGHT
        from talkjax.train.metrics import Window
        from talkjax.train.step import active_phases

        self._use_up_what_is_ready()
        window = Window(steps_in_flight=STEPS_IN_FLIGHT)
        for _ in range(steps):
            with window.waiting():
                batch = next(self._data)
            batch = sharding.put_batch(batch, self._batch_place)
            phases = active_phases(self._job.method, self._done)
            with window.paused():
                step = self._compile(phases, batch)
            self.state, metrics = step(self.state, batch, self._experts, self._root)
            window.add(self._done, metrics, examples=1)
            self._done += 1
        jax.block_until_ready(self.state)
        window.split()
        report = window.report()  # raises where a loss is not finite
        return report["perf/step_time_s"], report["perf/data_wait_fraction"]

    def _compile(self, phases: tuple, batch):
        from talkjax.dry_run import memory_mb

        if phases not in self._compiled:
            report.say(f"compiling the step ({', '.join(phases)}); minutes on a CPU")
            started = time.perf_counter()
            lowered = self._step_fn.lower(
                self.state, batch, self._experts, self._root, active_phases=phases
            )
            self._compiled[phases] = lowered.compile()
            self.compile_s.append(time.perf_counter() - started)
            needed = memory_mb(self._compiled[phases])
            if needed["together"] > self.compiled_memory_mb.get("together", 0.0):
                self.compiled_memory_mb = {name: round(size, 3) for name, size in needed.items()}
        return self._compiled[phases]

    def _use_up_what_is_ready(self) -> None:
        batch_bytes = sum(
            math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in self._job.element_spec.values()
        )
        read_ahead_mb = self._job.config["data"]["read_ahead_mb"]
        for _ in range(int(read_ahead_mb * 2**20 / batch_bytes) + 2):
            next(self._data)

    def device_memory_mb(self) -> dict[str, float] | None:
        from talkjax.train.metrics import device_memory

        found = device_memory()
        return {name: round(size, 1) for name, size in found.items()} or None

    def close(self) -> None:
        self._data.close()


def _count(tree: Any) -> int:
    import jax

    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "least": round(min(values), 4),
        "most": round(max(values), 4),
    }
