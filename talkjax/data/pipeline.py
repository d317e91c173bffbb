"""Config -> batches, the same for any number of processes and after any interruption.

Keys of the config block `data` that are read here and by the samplers:

| key                        | meaning                                                          |
|----------------------------|------------------------------------------------------------------|
| `path`                     | prepared folder, or a toy: `fake://8x75?size=64`                 |
| `split`                    | which of its splits to train on; `train[:50]`: its first 50 clips |
| `sampler`                  | "talking", "sync", "sync_mfcc" or "words" (samplers.py):         |
| `image_size`               | all: side of the pictures, px                                    |
| `clip_frames`              | all: frames in a window                                          |
| `mel_frames`               | all: mel frames in a window                                      |
| `mfcc_steps`               | sync_mfcc: steps of 10 ms in a window                            |
| `flip`                     | all: mirror half of the examples                                 |
| `lip_radius_frames`        | talking: context frames either side                              |
| `audio_shift_frames`       | talking: frame f hears the window at f + this                    |
| `reference`                | talking: "any" or "elsewhere"                                    |
| `reference_min_gap_frames` | talking: least distance of the reference, for "elsewhere"        |
| `pose_gap_frames`          | talking: least distance of the frames whose visible rows are shown |
| `windows_per_clip`         | sync, sync_mfcc: windows from one clip                           |
| `consecutive`              | sync: its windows start one frame after the other                |
| `jpeg_quality`             | sync_mfcc: (least, most) of a JPEG recompression                 |
| `max_words`                | words: places for the words of a window                          |
| `vocabulary`               | words: class -> its words; others are skipped. See words.py      |
| `min_word_count`           | words: 0 keeps `vocabulary`; else it is made of the words spoken |
|                            | so often in the training split                                   |
| `read_threads`             | threads that read and decode; 0 does it in the caller            |
| `read_ahead_mb`            | bound of the examples kept ready, MiB for each process           |
| `keep_decoded_mb`          | bound of the decoded pictures kept, MiB for each process; 0      |
|                            | keeps none. See kept.py                                          |

Order: source -> shuffled epochs -> random window -> this process's rows -> batch.
Training never drops and never pads: epochs follow each other without a gap, each clip is seen
once per epoch, and a batch may straddle two. Row j of global batch k depends on the data, the
seed and (k, j) only, so one process and four give the same global batches, row for row.
Evaluation (`iterate_clips`) gives whole clips in the order of the index, once.
"""

import functools
import hashlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import grain
import numpy as np

from talkjax.data import schema
from talkjax.data.kept import Keeper, KeptClip
from talkjax.data.memory import keep_freed_memory
from talkjax.data.samplers import make_sampler, require
from talkjax.data.source import Clip, Source, open_source
from talkjax.data.transforms import (
    ArraySpec,
    Example,
    Sampler,
    Settings,
    decode_frames,
)
from talkjax.errors import UserError

FIRST_BATCH_PATIENCE_S = 30.0
MIB = 2**20
_log = logging.getLogger(__name__)


def element_spec(data: Settings) -> dict[str, ArraySpec]:
    """Shapes and dtypes of one example, without reading any data."""
    return make_sampler(data).spec()


def batch_spec(data: Settings, *, batch_size: int) -> dict[str, ArraySpec]:
    """Shapes and dtypes of a batch of `batch_size` examples, without reading any data."""
    return {
        name: ArraySpec((batch_size, *spec.shape), spec.dtype)
        for name, spec in element_spec(data).items()
    }


def make_train(
    data: Settings,
    *,
    batch_size: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> "TrainIterator":
    """An endless iterator over this process's rows of the global batches.

    Args:
      data: the config block of the module's table.
      batch_size: of the global batch; a process gets batch_size / process_count rows,
        neighbours in the global batch.
      seed: of shuffling and windows, in [0, 2**32).
      process_index, process_count: which part this process feeds.

    Raises:
      UserError: if the data cannot be opened, if no clip is long enough, if crops are smaller
        than data.image_size, or if batch_size cannot be divided.
    """
    if batch_size < 1 or batch_size % process_count:
        raise UserError(
            f"data.batch_size: got {batch_size}, want a multiple of the {process_count} processes"
        )
    require(data, "path", "split", "read_threads", "read_ahead_mb", "keep_decoded_mb")
    sampler = make_sampler(data)
    source = open_source(data["path"], data["split"])
    clips = usable_clips(source, sampler.min_frames)
    _check_size(source, clips, data["image_size"])
    source = _keeper(source, data)
    keep_freed_memory()
    return TrainIterator(
        Examples(source, clips, sampler),
        settings=data,
        seed=seed,
        rows=(batch_size, process_index, process_count),
    )


def usable_clips(source: Source, min_frames: int) -> list[int]:
    """Positions of the clips that are long enough; logs how many are, once.

    Raises:
      UserError: if none is.
    """
    usable = [i for i, clip in enumerate(source.clips) if clip.frames >= min_frames]
    longest = max(clip.frames for clip in source.clips)
    if not usable:
        raise UserError(
            f"{source.path}: none of the {len(source.clips)} clips of split {source.split!r} has "
            f"the {min_frames} frames that a window needs (longest: {longest}); use longer clips "
            "or smaller windows"
        )
    seconds = sum(source.clips[i].seconds for i in usable)
    _log.info(
        "%s: split %s: %d of %d clips in use (%.1f s of video), %d shorter than %d frames",
        source.path,
        source.split,
        len(usable),
        len(source.clips),
        seconds,
        len(source.clips) - len(usable),
        min_frames,
    )
    return usable


def iterate_clips(
    path: str | os.PathLike, split: str, *, limit: int | None = None
) -> Iterator[schema.Record]:
    """Whole clips of a split in the order of the index, each once; `limit` takes the first."""
    source = open_source(path, split)
    for index in range(len(source))[:limit]:
        yield source[index]


class Examples:
    """The usable clips as grain reads them, with a note of what each thread is doing."""

    def __init__(self, source: Source | Keeper, clips: list[int], sampler: Sampler):
        self.source = source
        self.clips = clips
        self.sampler = sampler
        self.doing: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> schema.Record | KeptClip:
        clip = self.source.clips[self.clips[index]]
        self._note(f"reading clip {clip.clip_id} (shard {clip.shard})")
        record = self.source[self.clips[index]]
        self._note(f"decoding clip {clip.clip_id}")
        return record

    def draw(self, record: schema.Record | KeptClip, rng: np.random.Generator) -> Example:
        example = self.sampler(record, rng)
        self._note("idle")
        return example

    def fingerprint(self) -> str:
        """Changes when the clips in use, their order or their content change."""
        digest = hashlib.sha256()
        for index in self.clips:
            clip: Clip = self.source.clips[index]
            digest.update(f"{clip.clip_id}\0{clip.frames}\0{clip.sha256}\n".encode())
        return digest.hexdigest()[:16]

    def _note(self, doing: str) -> None:
        self.doing[threading.current_thread().name] = doing


class Epochs(grain.MapDataset):
    """Endless epochs over a finite set, each in an order of its own.

    Differs: from grain's shuffle and repeat in the order only. Theirs computes each place anew
    and walks through 65536 places to do so: 1.2 ms a clip in a set of 16.
    """

    def __init__(self, parent: grain.MapDataset, *, seed: int):
        super().__init__(parent)
        self._order = functools.lru_cache(maxsize=4)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(len(parent))
        )

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> schema.Record | KeptClip:
        epoch, place = divmod(index, len(self._parent))
        return self._parent[int(self._order(epoch)[place])]


class HostRows(grain.MapDataset):
    """One process's rows of the global batches from `first_batch` on, one after the other.

    It comes after the random map, so that a row's draws depend on its global place only.
    """

    def __init__(self, parent: grain.MapDataset, *, rows: tuple[int, int, int], first_batch: int):
        super().__init__(parent)
        self._batch_size, self._process_index, process_count = rows
        self._local_rows = self._batch_size // process_count
        self._first_batch = first_batch

    def __len__(self) -> int:
        return sys.maxsize - self._batch_size * (self._first_batch + 1)

    def __getitem__(self, index: int) -> Example:
        batch, row = divmod(index, self._local_rows)
        place = self._process_index * self._local_rows + row
        return self._parent[(self._first_batch + batch) * self._batch_size + place]


class TrainIterator:
    """Endless batches with a state that says exactly where it is.

    The state is a small JSON value and the same in all processes: it may be saved by four and
    restored by two, or with other numbers of threads.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        settings: Settings,
        seed: int,
        rows: tuple[int, int, int],
    ):
        batch_size, _, process_count = rows
        if not 0 <= seed < 2**32:
            raise UserError(f"run.seed: got {seed}, want a number in [0, 2**32)")
        self._examples = examples
        self._rows = rows
        self._local_rows = batch_size // process_count
        self._identity = {
            "batch_size": batch_size,
            "seed": seed,
            "clips": len(examples),
            "data": examples.fingerprint(),
        }
        self._dataset = Epochs(grain.MapDataset.source(examples), seed=seed).random_map(
            examples.draw, seed=seed
        )
        self._options = _read_options(settings, examples.sampler)
        self._next_batch = 0
        self._batches: Iterator[Example] | None = None

    @property
    def clips_per_epoch(self) -> int:
        return len(self._examples)

    def __iter__(self) -> "TrainIterator":
        return self

    def __next__(self) -> Example:
        """The next batch: name -> array with this process's rows first.

        Raises:
          UserError: naming the clip, if one cannot be read. It is never skipped.
        """
        try:
            batch = self._first() if self._batches is None else next(self._batches)
        except BaseException:
            # grain has moved on already; start afresh at this batch, so that it is not lost
            self.close()
            raise
        self._next_batch += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """JSON value: the next global batch, and what the data must be for it to mean that."""
        return self._identity | {"next_batch": self._next_batch}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues where the iterator was whose state this is.

        Raises:
          UserError: if it was over other data, another seed or another global batch size.
        """
        for name, have in self._identity.items():
            if state[name] != have:
                raise UserError(
                    f"data state: the checkpoint's {name} is {state[name]}, this run's is {have}; "
                    "resume with the same data and settings, or start a new run from its weights "
                    "(init_from)"
                )
        self.close()
        self._next_batch = state["next_batch"]

    def close(self) -> None:
        """Stops reading ahead; the next call of `next` starts again at the same place."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _first(self) -> Example:
        rows = HostRows(self._dataset, rows=self._rows, first_batch=self._next_batch)
        self._batches = iter(
            rows.to_iter_dataset(self._options).batch(self._local_rows, drop_remainder=True)
        )
        with _Watchdog(self._examples):
            return next(self._batches)


def _read_options(settings: Settings, sampler: Sampler) -> grain.ReadOptions:
    """Threads, and as many examples ahead as the bound in bytes allows."""
    threads = settings["read_threads"]
    bytes_each = sum(spec.nbytes for spec in sampler.spec().values())
    ahead = int(settings["read_ahead_mb"] * MIB) // bytes_each
    if threads < 0 or (threads and ahead < 1):
        raise UserError(
            f"data.read_ahead_mb: got {settings['read_ahead_mb']} with {threads} threads, want at "
            f"least {math.ceil(bytes_each / MIB)}, the size of one example"
        )
    if threads == 0:
        return grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return grain.ReadOptions(num_threads=min(threads, ahead), prefetch_buffer_size=ahead)


def _keeper(source: Source, data: Settings) -> Source | Keeper:
    keep_mb = data["keep_decoded_mb"]
    if keep_mb < 0:
        raise UserError(f"data.keep_decoded_mb: got {keep_mb}, want 0 (keep nothing) or more")
    if not keep_mb:
        return source
    return Keeper(
        source,
        size_px=data["image_size"],
        budget_bytes=int(keep_mb * MIB),
        decode=decode_frames,
    )


def _check_size(source: Source, clips: list[int], image_size: int) -> None:
    smallest = min((source.clips[i] for i in clips), key=lambda clip: clip.size_px)
    if smallest.size_px < image_size:
        raise UserError(
            f"{source.path}: crops are {smallest.size_px} px (clip {smallest.clip_id}), "
            f"data.image_size wants {image_size}; lower it or prepare larger crops"
        )


class _Watchdog:
    """Says every so often what the readers are doing while the first batch is awaited."""

    def __init__(self, examples: Examples):
        self._examples = examples
        self._done = threading.Event()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._watch, name="data-watchdog", daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        started_s = time.monotonic()
        while not self._done.wait(FIRST_BATCH_PATIENCE_S):
            doing = "; ".join(f"{k}: {v}" for k, v in sorted(dict(self._examples.doing).items()))
            _log.warning(
                "no first batch after %.0f s from %s, split %s: %s",
                time.monotonic() - started_s,
                self._examples.source.path,
                self._examples.source.split,
                doing or "no reader has started",
            )
