"""The same preparation as an Apache Beam pipeline, for sets that outgrow one machine.

Beam runs `prepare_clip` on every clip, wherever its workers are, and stores the results in the
output folder as the local pool does; shards and index are then written by the process that
started it. So SRC and OUT have to be one file system for all workers (NFS, Filestore, a mounted
bucket), the shards are those of a local run, and a killed run goes on where it was.
"""

import importlib.util
from collections.abc import Iterable, Sequence
from typing import Any

from talkjax.errors import UserError


def run(tasks: Sequence[Any], *, workers: int, options: Iterable[str] = ()) -> None:
    """Prepares the clips of `tasks` (prepare.Task) and waits for the end.

    Args:
      tasks: what is not done yet.
      workers: processes of the DirectRunner; other runners have their own options.
      options: Beam's flags, e.g. "--runner=FlinkRunner"; the DirectRunner without any.

    Raises:
      UserError: if Apache Beam is not installed.
    """
    if importlib.util.find_spec("apache_beam") is None:
        raise UserError(
            "Apache Beam is not installed; pip install 'talkjax[beam]', or drop --runner"
        )
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    flags = list(options) or _local_flags(workers)
    with beam.Pipeline(options=PipelineOptions(flags)) as pipeline:
        _ = (
            pipeline
            | "list" >> beam.Create(list(tasks))
            # Clips of one speaker are neighbours; spread them over the workers.
            | "spread" >> beam.Reshuffle()
            | "prepare" >> beam.Map(_prepare)
        )


def _local_flags(workers: int) -> list[str]:
    flags = ["--runner=DirectRunner", f"--direct_num_workers={workers}"]
    return [*flags, "--direct_running_mode=multi_processing"] if workers > 1 else flags


def _prepare(task: Any) -> int:
    # Imported in the worker, which need not have what the starting process has.
    from data_prep.prepare import run_task

    return run_task(task)
