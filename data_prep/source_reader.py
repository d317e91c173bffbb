"""One source read forwards: pictures to follow, the same again to crop, and the sound.

Each stream is read once, so a long source costs no more for each second than a short one, and
nothing is held but what the caller takes.
"""

import itertools
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from data_prep.layouts.api import Clip
from talkjax.arrays import Float
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME
from talkjax.errors import UserError
from talkjax.media.audio import Placer, mono, resampled, sound_end_s
from talkjax.media.container import Decoder, audio_stream, open_media, promised_duration_s
from talkjax.media.probe import MediaInfo, probe
from talkjax.media.reader import Frame, FrameReader

# The end of the sound is known when it is reached; padding behind it is shorter than this.
HELD_BACK_SAMPLES = SAMPLE_RATE_HZ


class SourceReader:
    """A clip's source, part by part: `samples`, then `frames`, `again`, then `next_part`.

    Attributes:
      info: what the source's header says.
      place: the part's first frame, on the source's 25 fps.
      has_more: whether frames are left behind this part; known once `frames` is used up.
    """

    def __init__(self, clip: Clip, info: MediaInfo, *, audio_path: str | os.PathLike, limit: int):
        """Opens nothing yet. `limit`: most frames of a part; 0 means that there is one part."""
        self.info = info
        self._path = clip.path
        self.place = round((clip.start_s or 0.0) * FPS)
        self._end = math.inf if clip.end_s is None else round(clip.end_s * FPS)
        self._part = even_part(min(self._end, info.duration_s * FPS) - self.place, limit)
        self._sound = SoundReader(audio_path)
        self._sound.skip_samples = self.place * SAMPLES_PER_FRAME
        self._reader: FrameReader | None = None
        self._frames: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        self._second: FrameReader | None = None
        self._second_frames: Iterator[Frame] = iter(())

    @property
    def has_more(self) -> bool:
        return self._next is not None

    @property
    def is_open_ended(self) -> bool:
        """Whether the source's own end is the clip's."""
        return math.isinf(self._end)

    def samples(self) -> Float[np.ndarray, " n"]:
        """The part's sound, 16 kHz mono; less where it ends."""
        return self._sound.take(None if self._part is None else self._part * SAMPLES_PER_FRAME)

    def frames(self) -> Iterator[Frame]:
        """The part's frames."""
        if self._reader is None:
            self._reader = FrameReader(self._path)
            self._frames = iter(self._reader)
            for _ in itertools.islice(self._frames, self.place):
                pass
            self._advance()
        stop = self._end if self._part is None else min(self._end, self.place + self._part)
        while self._next is not None and self._next.index < stop:
            frame = self._next
            self._advance()
            yield frame

    def _advance(self) -> None:
        self._next = next(self._frames, None)
        if self._next is not None and self._next.index >= self._end:
            self._next = None
            self._frames.close()  # says what was wrong so far

    def again(self, first: int, stop: int) -> Iterator[Frame]:
        """The frames `first` to `stop` - 1 once more; never back."""
        if self._second is None:
            self._second = FrameReader(self._path)
            self._second_frames = iter(self._second)
        wanted = (frame for frame in self._second_frames if frame.index >= first)
        yield from itertools.islice(wanted, stop - first)

    def next_part(self, num_frames: int) -> None:
        """Goes on behind the part, which had `num_frames`."""
        self.place += num_frames

    def unread_samples(self) -> int:
        """Reads what is left of the sound, and says how much it was."""
        return self._sound.rest()

    def notes(self) -> list[str]:
        """What was wrong with the source as far as it was read, each with the file's name."""
        return [*self._sound.notes(), *(self._reader.notes if self._reader else ())]

    def close(self) -> None:
        self._sound.close()
        for reader in (self._reader, self._second):
            if reader is not None:
                reader.close()


def even_part(span: float, limit: int) -> int | None:
    """Frames of each part of a source: as few parts as `limit` allows, about equally long.

    `span` is what the header promises, in frames; it may be wrong, or 0 where it says nothing.
    None means that the source is one part.
    """
    if not limit:
        return None
    if span <= limit:
        return limit
    # One frame more than the share: headers round, and a rest of a frame is a part of its own.
    return min(limit, math.ceil(span / math.ceil(span / limit)) + 1)


class SoundReader:
    """`media.audio.decode_audio` as a stream, in bounded memory. Opened on first use.

    Attributes:
      skip_samples: what is left out at the start.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = path
        self.skip_samples = 0
        self._blocks = self._decoded()
        self._left: deque[np.ndarray] = deque()
        self._placer: Placer | None = None
        self._decoder: Decoder | None = None
        self._promised_s: float | None = None

    def take(self, num_samples: int | None) -> Float[np.ndarray, " n"]:
        """The next samples, fewer at the end; None takes all.

        Raises:
          UserError: as `decode_audio`.
        """
        self._skip()
        return np.concatenate([np.zeros(0, np.float32), *self._pieces(num_samples)])

    def rest(self) -> int:
        """Reads to the end; the number of samples."""
        self._skip()
        return sum(len(piece) for piece in self._pieces(None))

    def notes(self) -> tuple[str, ...]:
        if self._placer is None:
            return ()
        return self._placer.notes(self._decoder.failures, self._promised_s)

    def close(self) -> None:
        self._blocks.close()

    def _skip(self) -> None:
        for _ in self._pieces(self.skip_samples):
            pass
        self.skip_samples = 0

    def _pieces(self, num_samples: int | None) -> Iterator[np.ndarray]:
        wanted = math.inf if num_samples is None else num_samples
        while wanted > 0:
            block = self._left.popleft() if self._left else next(self._blocks, None)
            if block is None:
                return
            if len(block) > wanted:
                self._left.appendleft(block[wanted:])
                block = block[:wanted]
            wanted -= len(block)
            yield block

    def _decoded(self) -> Iterator[np.ndarray]:
        start_s = probe(self._path).start_s
        with open_media(self._path) as container:
            stream = audio_stream(container)
            if stream is None:
                raise UserError(f"{self._path}: no audio stream in the file, want sound")
            self._placer = Placer(self._path, start_s, to_samples=mono)
            self._decoder = Decoder(container, stream)
            blocks = resampled(self._placer.blocks(self._decoder), rate_hz=SAMPLE_RATE_HZ)
            given, held = 0, deque()
            for block in _without_the_last(blocks, held):
                given += len(block)
                yield np.clip(block, -1.0, 1.0)
            # How much there should have been can be said now.
            self._promised_s = promised_duration_s(container, stream)
            end_s = sound_end_s(container, stream)
        if self._placer.decoded_s == 0:
            raise UserError(f"{self._path}: the audio is empty (no samples), want sound")
        last = np.concatenate([np.zeros(0, np.float32), *held])
        if end_s is not None:
            last = last[: max(0, round((end_s - start_s) * SAMPLE_RATE_HZ) - given)]
        yield np.clip(last, -1.0, 1.0)


def _without_the_last(
    blocks: Iterable[np.ndarray], held: deque[np.ndarray]
) -> Iterator[Float[np.ndarray, " n"]]:
    """The first channel of the blocks, but for HELD_BACK_SAMPLES at the end, left in `held`."""
    held_samples = 0
    for block in blocks:
        held.append(block[:, 0])
        held_samples += len(block)
        while held_samples - len(held[0]) >= HELD_BACK_SAMPLES:
            held_samples -= len(held[0])
            yield held.popleft()
