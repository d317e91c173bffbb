"""A face and a sound to a video of that face saying it, in constant memory.

Two passes over the face's video: `scan.py` follows the face and keeps small arrays, then
`render` streams. Decoding, prediction with pasting, and encoding run in a thread each and
hand on one struct per frame, so that a frame cannot be paired with another one's face.
"""

import contextlib
import dataclasses
import itertools
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from talkjax.data.schema import FPS, SAMPLE_RATE_HZ
from talkjax.infer import sound
from talkjax.infer.background import background
from talkjax.infer.contact_sheet import ContactSheet
from talkjax.infer.predict import Predictor
from talkjax.infer.scan import FacePlan, Speech
from talkjax.infer.source import FaceSource
from talkjax.media.align import crop
from talkjax.media.paste import paste, paste_mask
from talkjax.media.soundtrack import Soundtrack
from talkjax.media.writer import VideoWriter
from talkjax.ops import geometry
from talkjax.progress import progress

T = TypeVar("T")
# Frames in flight: a batch on the device, a batch being gathered, and what waits between the
# threads. Large frames make the batch smaller instead of the memory larger.
FRAME_BUDGET_BYTES = 256 * 2**20
DEFAULT_BATCH_FRAMES = 16
QUEUE_FRAMES = 4
# Width of the soft edge of what is pasted, as a fraction of the crop's side.
FEATHER_FRACTION = 0.08


@dataclasses.dataclass(frozen=True)
class RenderSettings:
    """How a video is made.

    Attributes:
      reference: what shows the model who it is: "first", the first frame with a face, or
        "self", the frame that is being changed.
      crf: quality of the video, 0 (lossless) to 51.
      contact_sheet: PNG to write, or None.
    """

    reference: Literal["first", "self"]
    crf: int
    contact_sheet: Path | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What was done. Times are of the work itself; stages overlap. The sound is that of the
    source: its length, rate and channels, of which the output keeps at most two."""

    out: str
    frames: int
    seconds: float
    output_fps: int
    width: int
    height: int
    audio_seconds: float
    audio_rate_hz: int
    audio_channels: int
    source_frames: int
    missing_face_s: tuple[tuple[float, float], ...]
    unchanged_frames: int
    faces_at_once: int
    batch_frames: int
    wall_seconds: float
    stage_seconds: dict[str, float]
    peak_memory_mb: float
    notes: tuple[str, ...]


class FrameWork(NamedTuple):
    """Everything about one output frame, together from decoding to encoding."""

    number: int
    rgb: np.ndarray
    crop_to_source: np.ndarray
    has_face: bool
    frame_u8: np.ndarray
    reference_u8: np.ndarray
    mel_window: np.ndarray


class Done(NamedTuple):
    """An output frame, and what it was made of."""

    work: FrameWork
    generated_u8: np.ndarray
    rgb: np.ndarray


def batch_frames_for(width: int, height: int, *, wanted: int | None) -> int:
    """Frames per call of the device: as wanted, or as many as the memory budget allows."""
    if wanted is not None:
        return wanted
    in_flight = FRAME_BUDGET_BYTES // (3 * width * height) - 2 * QUEUE_FRAMES
    return int(np.clip(in_flight // 2, 1, DEFAULT_BATCH_FRAMES))


def peak_memory_mb() -> float:
    """The most memory that this process has had, as the operating system counts it."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would give the parent's peak, if that was higher.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def render(
    predictor: Predictor,
    plan: FacePlan,
    speech: Speech,
    *,
    out: Path,
    settings: RenderSettings,
) -> Report:
    """Generates and writes the video; on failure nothing of it is left.

    Raises:
      UserError: if a file cannot be read on, or not be written.
    """
    started = time.perf_counter()
    clock = _Clock()
    height, width = plan.source_hw
    sheet = ContactSheet(speech.num_frames, tile_px=predictor.size_px)
    notes = [*speech.notes, *plan.notes]
    work = _decoded(predictor, plan, speech, reference=settings.reference, clock=clock)
    ahead = background(work, depth=QUEUE_FRAMES)
    done = background(_pasted(predictor, ahead, clock=clock), depth=QUEUE_FRAMES)
    unchanged = 0
    with (
        # Heard as it was given, at the very places of what the model hears.
        Soundtrack(speech.path, start_s=speech.start_s) as heard,
        VideoWriter(
            out, width=width, height=height, audio=heard, fps=FPS, crf=settings.crf
        ) as writer,
        contextlib.closing(done),
    ):
        notes += writer.notes
        for frame in progress(done, total=speech.num_frames, label="generate"):
            with clock.stage("encode"):
                writer.write(frame.rgb)
            unchanged += not frame.work.has_face
            if settings.contact_sheet and frame.work.number in sheet.numbers:
                _add_column(sheet, frame)
    if settings.contact_sheet:
        sheet.save(settings.contact_sheet)
    return Report(
        out=str(out),
        frames=speech.num_frames,
        seconds=speech.num_frames / FPS,
        output_fps=FPS,
        width=width,
        height=height,
        audio_seconds=len(speech.samples) / SAMPLE_RATE_HZ,
        audio_rate_hz=heard.rate_hz,
        audio_channels=heard.channels,
        source_frames=plan.num_frames,
        missing_face_s=tuple((first / FPS, end / FPS) for first, end in plan.missing),
        unchanged_frames=unchanged,
        faces_at_once=plan.max_faces,
        batch_frames=predictor.batch_frames,
        wall_seconds=time.perf_counter() - started,
        stage_seconds=clock.stages(),
        peak_memory_mb=peak_memory_mb(),
        notes=tuple(notes),
    )


def _decoded(
    predictor: Predictor, plan: FacePlan, speech: Speech, *, reference: str, clock: "_Clock"
) -> Iterator[FrameWork]:
    """The frames of the output in order, with their crops and their sound."""
    windows = sound.frame_windows(
        speech.samples,
        num_frames=speech.num_frames,
        mel_frames=predictor.mel_frames,
        audio_shift_frames=predictor.audio_shift_frames,
    )
    has_face = plan.has_face
    short = plan.num_frames < speech.num_frames
    with FaceSource(plan.path, speech.num_frames, to_and_fro=short) as source:
        frames = clock.timed("decode", source)
        for number, (frame, window) in enumerate(zip(frames, windows, strict=True)):
            with clock.stage("crop"):
                matrix, cut = plan.crop_to_source[frame.index], plan.first_crop_u8
                if has_face[frame.index] and plan.num_frames > 1:
                    cut = crop(frame.rgb, matrix, plan.crop_px)
            yield FrameWork(
                number=number,
                rgb=frame.rgb,
                crop_to_source=matrix,
                has_face=bool(has_face[frame.index]),
                frame_u8=cut,
                reference_u8=cut if reference == "self" else plan.first_crop_u8,
                mel_window=window,
            )


def _pasted(predictor: Predictor, work: Iterator[FrameWork], *, clock: "_Clock") -> Iterator[Done]:
    """Frames with their generated faces in place; those without a face as they were."""
    mask = paste_mask(
        predictor.size_px,
        mask_top_fraction=predictor.hide_from,
        feather_fraction=FEATHER_FRACTION,
    )
    with contextlib.closing(work):
        made = predictor.stream(clock.timed("wait for frames", work))
        for item, generated in clock.timed("predict", made):
            with clock.stage("paste"):
                rgb = item.rgb
                if item.has_face:
                    # What comes out is smaller than what was cut, of the same part of the frame.
                    place = geometry.rescale_crops(
                        item.crop_to_source[None],
                        from_px=len(item.frame_u8),
                        to_px=predictor.size_px,
                    )[0]
                    rgb = paste(item.rgb, generated, place, mask)
            yield Done(item, generated, rgb)


def _add_column(sheet: ContactSheet, frame: Done) -> None:
    """From the top: the source's crop, the reference, the generated crop, the result's crop."""
    work = frame.work
    result = work.frame_u8
    if work.has_face:
        result = crop(frame.rgb, work.crop_to_source, len(work.frame_u8))
    tiles = [work.frame_u8, work.reference_u8, frame.generated_u8, result]
    sheet.add(f"{work.number / FPS:.2f} s", tiles)


class _Clock:
    """Seconds spent in each stage; a stage is used by one thread only."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started

    def timed(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; the time to get them counts for the stage."""
        rest = iter(items)
        for _ in itertools.count():
            started = time.perf_counter()
            item = next(rest, _END)
            self.seconds[name] += time.perf_counter() - started
            if item is _END:
                return
            yield item

    def stages(self) -> dict[str, float]:
        """Seconds of work, in the order of the stages."""
        spent = dict(self.seconds)
        spent["predict"] -= spent.pop("wait for frames")
        order = ("decode", "crop", "predict", "paste", "encode")
        return {name: round(spent[name], 3) for name in order}


_END = object()
