"""Writing video: H.264 and AAC, as a stream, all or nothing."""

import os
import pathlib
import secrets
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from talkjax.arrays import Float, Int, UInt8
from talkjax.data.schema import FPS, SAMPLE_RATE_HZ
from talkjax.errors import UserError
from talkjax.media.sound_writer import ArraySound, Sound, SoundWriter

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# ITU-T H.273 code points: 1 is BT.709 for primaries, transfer and matrix, and, in FFmpeg's
# numbering of ranges, 1 is limited ("MPEG") range. The picture is converted by, and tagged
# with, the same ones, so that players do not have to guess.
_BT709, _LIMITED = 1, 1


class VideoWriter:
    """Writes RGB frames and sound to a file, in constant memory.

    A context manager: leaving it normally finishes the file and puts it in place; leaving it
    by an exception removes what was written and leaves whatever was at `path` before. The
    sound track is as long as the picture: longer sound is cut, shorter sound is followed by
    silence.

    Sides that are both even give yuv420p, which every player shows; with an odd side it is
    yuv444p, and `notes` says so.

    Args:
      path: the file to write; .mp4, .m4v, .mov or .mkv.
      fps: frames per second.
      width, height: of every frame, in pixels.
      audio: sound whose sample 0 is heard with frame 0: an array (n,) or (n, channels), float in
        [-1, 1] or int16, or anything that gives it in pieces, such as a `Soundtrack`. Mono stays
        mono and stereo stereo; for the rate in the file see `sound_writer.KEPT_RATES_HZ`.
      audio_rate_hz: of an array.
      crf: x264's quality, 0 (lossless) to 51; 18 is hard to tell from the source.
      preset: x264's speed, "ultrafast" to "veryslow".
      threads: of x264, 0 for as many as it likes. Its bytes depend on how many.

    Raises:
      UserError: at once, if `path` cannot be written or has another ending; later, if writing
        fails (a full disk) or no frame was written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        audio: Float[np.ndarray, "n *c"] | Int[np.ndarray, "n *c"] | Sound | None = None,
        fps: int = FPS,
        audio_rate_hz: int = SAMPLE_RATE_HZ,
        crf: int = 18,
        preset: str = "medium",
        threads: int = 0,
    ):
        self._path = pathlib.Path(path)
        self._shape, self._fps = (height, width, 3), fps
        self._num_frames = 0
        even = width % 2 == 0 and height % 2 == 0
        self._pixel_format = "yuv420p" if even else "yuv444p"
        self.notes: list[str] = []
        if not even:
            self.notes.append(
                f"{path}: {width}x{height} has an odd side; written as 4:4:4, which some players "
                "cannot show"
            )
        self._reformatter = VideoReformatter()
        self._part = _reserve(self._path)
        try:
            self._container = _open_for_writing(self._part, CONTAINERS[self._path.suffix.lower()])
            self._video = self._add_video(crf, preset, threads)
            self._sound = None
            if isinstance(audio, np.ndarray):
                audio = ArraySound(audio, audio_rate_hz)
            if audio is not None:
                self._sound = SoundWriter(self._container, audio)
        except BaseException:
            self._part.unlink(missing_ok=True)
            raise

    def _add_video(self, crf: int, preset: str, threads: int) -> av.VideoStream:
        options = {"crf": str(crf), "preset": preset}
        stream = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.height, stream.width, _ = self._shape
        stream.pix_fmt = self._pixel_format
        context = stream.codec_context
        context.thread_count = threads
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        return stream

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self._discard()
        elif self._num_frames == 0:
            self._discard()
            raise UserError(f"{self._path}: no frames were written, want at least one")
        else:
            self._finish()

    def write(self, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
        """Appends one frame, and the sound that goes with it."""
        if rgb.shape != self._shape:
            raise ValueError(f"{self._path}: frame is {list(rgb.shape)}, want {list(self._shape)}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = self._reformatter.reformat(
            frame,
            format=self._pixel_format,
            dst_colorspace="ITU709",
            dst_color_range="MPEG",
            threads=1,
        )
        frame.pts = self._num_frames
        frame.time_base = Fraction(1, self._fps)
        self._num_frames += 1
        try:
            self._container.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.write_until(self._num_frames / self._fps)
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def _finish(self) -> None:
        try:
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.finish(self._num_frames / self._fps)
            self._container.close()
            os.replace(self._part, self._path)
        except (av.FFmpegError, OSError) as error:
            self._discard()
            raise self._failed(error) from error
        except BaseException:  # a signal to stop
            self._discard()
            raise

    def _discard(self) -> None:
        try:
            self._container.close()
        except (av.FFmpegError, OSError, ValueError):
            # The file is to be thrown away: that its end cannot be written is no news.
            pass
        finally:
            self._part.unlink(missing_ok=True)

    def _failed(self, error: OSError | av.FFmpegError) -> UserError:
        return UserError(f"{self._path}: writing failed ({error.strerror or error})")


def _reserve(path: pathlib.Path) -> pathlib.Path:
    """Makes an empty file beside `path`, to be renamed to it in the end."""
    if path.suffix.lower() not in CONTAINERS:
        endings = ", ".join(CONTAINERS)
        raise UserError(f"{path}: ending is '{path.suffix}', want one of {endings} for a video")
    if path.is_dir():
        raise UserError(f"{path}: is a folder, want the name of a video file to write")
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        part.touch(exist_ok=False)
    except OSError as error:
        raise UserError(
            f"{path}: cannot write there ({error.strerror}); make the folder or choose another"
        ) from error
    return part


def _open_for_writing(part: pathlib.Path, container_format: str):
    # The index goes in front, so that the video starts to play before it is all there.
    options = {} if container_format == "matroska" else {"movflags": "+faststart"}
    return av.open(f"file:{part}", mode="w", format=container_format, options=options)
