"""The same preparation as an Apache Beam pipeline, for sets that outgrow one machine.

Beam runs `prepare_parts` on every clip, wherever its workers are, and stores the results in the
output folder as the local pool does; shards and index are then written by the process that
started it, a copy at the speed of its disk (README, Beam). So SRC and OUT have to be one file
system for all workers (NFS, Filestore, a mounted bucket), the shards are those of a local run, and
a killed run goes on where it was.
"""

import importlib.util
from collections.abc import Sequence
from typing import Any

from talkjax.errors import UserError


def run(tasks: Sequence[Any], *, workers: int, options: Sequence[str] = ()) -> None:
    """Prepares the clips of `tasks` and waits for the end; `prepare.prepare` calls it.

    Args:
      tasks: what is not done yet (prepare.Task).
      workers: processes of the DirectRunner; other runners have their own options.
      options: Beam's flags, see `flags`.

    Raises:
      UserError: if Apache Beam is not installed.
    """
    if importlib.util.find_spec("apache_beam") is None:
        raise UserError(
            "Apache Beam is not installed; pip install 'talkjax[beam]', or drop --runner"
        )
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(flags(options, workers))) as pipeline:
        _ = (
            pipeline
            | "list" >> beam.Create(list(tasks))
            # Clips of one speaker are neighbours; spread them over the workers.
            | "spread" >> beam.Reshuffle()
            | "prepare" >> beam.Map(_prepare)
        )


def flags(options: Sequence[str], workers: int) -> list[str]:
    """Beam's flags: those given, after the DirectRunner's unless they name a runner."""
    if any(option.split("=")[0] == "--runner" for option in options):
        return list(options)
    local = ["--runner=DirectRunner", f"--direct_num_workers={workers}"]
    if workers > 1:
        local.append("--direct_running_mode=multi_processing")
    return [*local, *options]


def _prepare(task: Any) -> int:
    # Imported in the worker, which need not have what the starting process has.
    from data_prep.prepare import run_task

    return run_task(task)
