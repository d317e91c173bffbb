"""A trained generator as a function of frames, references and sound, in one fixed shape.

Compiled once: every call goes through batches of `batch_frames` frames, the last one padded.
`stream` keeps one batch on the device while the host makes the next and takes care of the
one before.
"""

import importlib
import inspect
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from talkjax.errors import UserError
from talkjax.ops import image
from talkjax.ops import mel as mel_ops


@runtime_checkable
class Inputs(Protocol):
    """What one generated frame is made of; anything else may ride along with it."""

    frame_u8: np.ndarray  # (h, w, 3) crop to be re-lipped, RGB
    reference_u8: np.ndarray  # (h, w, 3) crop that shows who it is, RGB
    mel_window: np.ndarray  # (m, mel_frames) float32


AnyInputs = TypeVar("AnyInputs", bound=Inputs)


class _FrameInputs(NamedTuple):
    frame_u8: np.ndarray
    reference_u8: np.ndarray
    mel_window: np.ndarray


class _Given(dict):
    """What a face and a sound make; a method that asks for more is told so."""

    def __missing__(self, name: str):
        raise UserError(
            f"the checkpoint's method wants {name!r}, which cannot be made from a face and a "
            "sound (is it a critic's?); give the checkpoint of a generator"
        )


class Predictor:
    """Generates frames with a trained method.

    Attributes:
      size_px: side of the square pictures that come out.
      crop_px: side of the crops to cut: that of the records it was trained on, reduced here as
        there. A crop cut at `size_px` is blurrier than what the model knows.
      mel_frames: length of a frame's mel window.
      audio_shift_frames: the window of frame f starts at the mel frame of f + this.
      hide_from: rows from this fraction of the crop's side down are hidden from the model.
      batch_frames: frames per call of the device.
      smooth_sigma_frames: how the crops that it was trained on were smoothed over time.
    """

    def __init__(self, trained, *, batch_frames: int):
        """Builds the method of a `talkjax.train.checkpoint.Trained` and moves it to the device.

        Raises:
          UserError: if the checkpoint's method makes no frames.
          ValueError: if batch_frames is not positive.
        """
        if batch_frames < 1:
            raise ValueError(f"batch_frames: got {batch_frames}, want at least 1")
        config = trained.config
        self.size_px = int(config.data.image_size)
        self.mel_frames = int(config.data.mel_frames)
        self.batch_frames = batch_frames
        method = importlib.import_module(f"talkjax.methods.{config.method}")
        self._nets = jax.device_put((trained.params, trained.model_vars))
        try:
            inspect.signature(method.build).bind(**config.model.to_dict())
        except TypeError as error:
            raise UserError(
                f"checkpoint of method {config.method}: its config.model does not fit this version "
                f"of TalkJAX ({error}); use the version it was trained with, or train it again"
            ) from error
        self._predict = _compiled_predict(method.build(**config.model.to_dict()).predict_fn)
        # The compiler drops what an output does not need: for an address, all of the picture.
        self._generate = jax.jit(lambda *args: self._predict(*args)["generated"])
        self._recall = jax.jit(lambda *args: self._predict(*args)["key_address"])
        self._makes = self._outputs_made()
        # Methods that make no frames have no such settings.
        self.audio_shift_frames = int(config.data.audio_shift_frames)
        self.hide_from = float(config.model.hide_from)
        self.smooth_sigma_frames = float(trained.data_settings["smooth_sigma_frames"])
        self.crop_px = int(trained.data_settings["size_px"])

    def clip(
        self,
        frames_u8: UInt8[np.ndarray, "t h w 3"],
        reference_u8: UInt8[np.ndarray, "*t h w 3"],
        mel: Float[np.ndarray, "s m"],
        *,
        first_frame: int = 0,
    ) -> UInt8[np.ndarray, "t {self.size_px} {self.size_px} 3"]:
        """Frames first_frame, first_frame + 1, ... of a clip, with lips that say the sound.

        Args:
          frames_u8: crops to be re-lipped, RGB, at least as large as the model's images.
          reference_u8: one crop for all frames, or one for each.
          mel: spectrogram of the whole sound, as `log_mel` gives it.
          first_frame: the video frame, counted from the sound's start, of frames_u8[0].
        """
        if reference_u8.ndim == 3:
            reference_u8 = np.broadcast_to(reference_u8, frames_u8.shape[:1] + reference_u8.shape)
        numbers = first_frame + np.arange(len(frames_u8))
        windows = self.mel_windows(mel, numbers)
        inputs = map(_FrameInputs, frames_u8, reference_u8, windows)
        return np.stack([generated for _, generated in self.stream(inputs)])

    def mel_windows(
        self, mel: Float[np.ndarray, "s m"], frames: Int[np.ndarray, " t"]
    ) -> Float[np.ndarray, "t m {self.mel_frames}"]:
        """The windows of these video frames, as in training."""
        starts = mel_ops.mel_start(frames + self.audio_shift_frames)
        return mel_ops.mel_windows(np.asarray(mel, np.float32), starts, mel_frames=self.mel_frames)

    def stream(
        self, items: Iterable[AnyInputs]
    ) -> Iterator[tuple[AnyInputs, UInt8[np.ndarray, "h w 3"]]]:
        """Each item with the frame that was generated from it, in order.

        At most two batches of items are held: one on the device, one being gathered.
        """
        in_flight = None
        for batch in _batches(items, self.batch_frames):
            started = self._start(batch)  # returns before the device is done
            if in_flight is not None:
                yield from _finish(*in_flight)
            in_flight = (batch, started)
            del batch
        if in_flight is not None:
            yield from _finish(*in_flight)

    def outputs(
        self,
        frames_u8: UInt8[np.ndarray, "t h w 3"],
        reference_u8: UInt8[np.ndarray, "t h w 3"],
        mel_windows: Float[np.ndarray, "t m f"],
        *,
        key_address: Float[np.ndarray, "t q"] | None = None,
    ) -> dict[str, np.ndarray]:
        """All that the method predicts for some frames: "generated" as uint8, and what it adds,
        such as "key_address" (t, q).

        Args:
          key_address: replaces the memory address that the sound would recall.
        """
        pieces = []
        for first in range(0, len(frames_u8), self.batch_frames):
            part = slice(first, first + self.batch_frames)
            inputs = map(_FrameInputs, frames_u8[part], reference_u8[part], mel_windows[part])
            batch = self._batch(list(inputs))
            if key_address is not None:
                batch["key_address"] = _padded(key_address[part], self.batch_frames)[None]
            count = len(frames_u8[part])
            made = self._predict(*self._nets, batch)
            pieces.append({name: np.asarray(value)[0, :count] for name, value in made.items()})
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def addresses(self, mel_windows: Float[np.ndarray, "t m f"]) -> Float[np.ndarray, "t q"]:
        """The memory address that each window recalls, without making frames.

        Raises:
          UserError: if the method has no memory.
        """
        if "key_address" not in self._makes:
            raise UserError(
                "checkpoint: its method has no memory address to look at; give one of "
                "method synctalkface"
            )
        blank = np.zeros([self.size_px, self.size_px, 3], np.uint8)
        pieces = []
        for first in range(0, len(mel_windows), self.batch_frames):
            windows = mel_windows[first : first + self.batch_frames]
            batch = self._batch([_FrameInputs(blank, blank, window) for window in windows])
            recalled = self._recall(*self._nets, batch)
            pieces.append(np.asarray(recalled, np.float32)[0, : len(windows)])
        return np.concatenate(pieces)

    def _start(self, items: list[Inputs]) -> jax.Array:
        return self._generate(*self._nets, self._batch(items))

    def _batch(self, items: list[Inputs]) -> dict[str, np.ndarray]:
        """The method's batch: one clip of batch_frames frames, the last frame repeated."""
        rows = {
            "frames_u8": np.stack([self._sized(item.frame_u8) for item in items]),
            "reference_u8": np.stack([self._sized(item.reference_u8) for item in items]),
            "mel_windows": np.stack([item.mel_window for item in items]),
        }
        return {name: _padded(row, self.batch_frames)[None] for name, row in rows.items()}

    def _sized(self, image_u8: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "s s 3"]:
        height, width = image_u8.shape[:2]
        if (height, width) == (self.size_px, self.size_px):
            return image_u8
        if height != width or height < self.size_px:
            raise ValueError(
                f"crop for a model of {self.size_px} px: got {width} x {height} px, want a "
                "square of at least that size"
            )
        size = (self.size_px, self.size_px)
        return cv2.resize(image_u8, size, interpolation=cv2.INTER_AREA)

    def _outputs_made(self) -> frozenset[str]:
        """Names of what the method predicts; raises UserError if there are no frames in it."""
        blank = np.zeros([self.size_px, self.size_px, 3], np.uint8)
        window = np.zeros([mel_ops.MEL_BINS, self.mel_frames], np.float32)
        batch = self._batch([_FrameInputs(blank, blank, window)])
        made = jax.eval_shape(self._predict, *self._nets, batch)
        if "generated" not in made:
            raise UserError(
                f"checkpoint: its method predicts {', '.join(sorted(made))} and no frames; "
                "give the checkpoint of a method that generates frames"
            )
        return frozenset(made)


def _compiled_predict(predict_fn):
    def predict(params, model_vars, batch):
        # Prediction draws nothing (no dropout); the key is part of the method contract only.
        made = dict(predict_fn(params, model_vars, _Given(batch), jax.random.key(0)))
        if "generated" in made:
            made["generated"] = image.to_u8(made["generated"].astype(jnp.float32))
        return made

    return jax.jit(predict)


def _finish(items: list[AnyInputs], started: jax.Array):
    generated = np.asarray(started)[0]  # waits for the device
    yield from zip(items, generated[: len(items)], strict=True)


def _batches(items: Iterable[AnyInputs], size: int) -> Iterator[list[AnyInputs]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _padded(rows: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
