"""What `talkjax evaluate --syncnet` and `talkjax score` need of a SyncNet: loaded, named, run."""

import functools
import importlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from talkjax.commands.evaluate import SYNCNET_METHOD
from talkjax.commands.labels import accuracy_of, begun_from, public_origins
from talkjax.data.source import data_settings
from talkjax.errors import UserError
from talkjax.evals import image_quality, lse
from talkjax.media.sync_crops import whole_frames
from talkjax.ops.mfcc import CEPSTRA
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import hashable
from talkjax.train.trained import Trained, fingerprint
from talkjax.weights import manifest

# Of `data_settings`: how crops move, whatever their size. A judge of crops that were smoothed
# otherwise hears its own training's jitter.
CROP_MOTION = "smooth_sigma_frames"
NOT_THE_CROPS = "aligned crops, not the protocol's: not comparable with published numbers"


class Judge(NamedTuple):
    """A SyncNet that was read from a checkpoint.

    Attributes:
      net: the two functions.
      trained: the checkpoint.
      path: where it is.
    """

    net: lse.Judge
    trained: Trained
    path: pathlib.Path

    @property
    def is_public(self) -> bool:
        """Whether it was imported, not trained here."""
        return self.trained.origin is not None

    @property
    def label(self) -> str:
        """What has to stand beside its numbers: which weights were imported, or what it was trained
        on, and the imported weights that it began from."""
        if self.trained.origin is not None:
            return manifest.label(self.trained.origin)
        how = self.trained.data_settings
        people = f" ({how['train_identities']} people)" if "train_identities" in how else ""
        began = self.trained.began_from
        return (
            f"trained here on {self.trained.config.data.path}{people}, {self.net.image_size} px, "
            f"step {self.trained.step}{accuracy_of(self.trained.scores)}"
            f"{'' if began is None else f', {begun_from(began)}'}; not comparable with published "
            "LSE"
        )

    def prepare(self, frames_u8):
        """Face crops as they are -> pictures as the protocol shows them to the judge."""
        return whole_frames(frames_u8, self.net.image_size)

    def identity(self) -> dict[str, Any]:
        """Who judges, for a protocol."""
        trained = self.trained
        return {
            "label": self.label,
            "checkpoint": str(self.path),
            "step": int(trained.step),
            "image_size": self.net.image_size,
            "weights_sha256": fingerprint(trained.params),
            "validation_scores": dict(trained.scores),
            "trained_on": dict(trained.data_settings),
        } | public_origins(trained)

    def identity_on_records(self) -> dict[str, Any]:
        """Who judges the crops of our records and how, for the protocol of an evaluation.

        Published weights were trained on crops that follow a detector's box, another framing than
        that of our records, and `evaluate` has no other pictures to show them.
        """
        label = f"{self.label}; {NOT_THE_CROPS}" if self.is_public else self.label
        return self.identity() | {"label": label, "protocol": protocol()}


def load_judge(path: pathlib.Path, *, step: int | None = None) -> Judge:
    """The SyncNet of a workdir, an export or imported weights.

    Raises:
      UserError: if it holds something else.
    """
    trained = load_trained(path, step=step)
    if trained.config.method != SYNCNET_METHOD:
        raise UserError(
            f"{path}: holds a {trained.config.method}, want a {SYNCNET_METHOD} as --syncnet; train "
            "one with configs/syncnet_grid.py, or import the public weights"
        )
    return make_judge(trained, path)


def make_judge(trained: Trained, path: pathlib.Path) -> Judge:
    """A trained SyncNet as two compiled functions of one shape each."""
    config = trained.config
    method = importlib.import_module(f"talkjax.methods.{config.method}")
    predict = method.build(**hashable(config.model)).predict_fn
    nets = jax.device_put((trained.params, trained.model_vars))
    side, frames, steps = (
        int(config.data[name]) for name in ("image_size", "clip_frames", "mfcc_steps")
    )
    if (frames, steps) != (lse.WINDOW_FRAMES, lse.WINDOW_STEPS):
        raise UserError(
            f"{path}: SyncNet of {frames} frames and {steps} MFCC steps, the protocol wants "
            f"{lse.WINDOW_FRAMES} and {lse.WINDOW_STEPS}; train one with data.clip_frames and "
            "data.mfcc_steps so"
        )
    shapes = {
        "frames_u8": ((frames, side, side, 3), np.uint8),
        "mfcc": ((CEPSTRA, steps), np.float32),
    }

    def compiled(name: str, output: str) -> Callable[[np.ndarray], np.ndarray]:
        # The branch that is not asked for is not computed, so nothing need be in its input.
        one = jax.jit(lambda p, v, batch: predict(p, v, batch, jax.random.key(0))[output])

        def embed(windows: np.ndarray) -> np.ndarray:
            empty = {
                other: np.zeros((1, len(windows), *shape), dtype)
                for other, (shape, dtype) in shapes.items()
                if other != name
            }
            return np.asarray(one(*nets, {name: windows[None], **empty}))[0]

        return embed

    net = lse.Judge(
        embed_lips=compiled("frames_u8", "lip_embedding"),
        embed_sound=compiled("mfcc", "sound_embedding"),
        image_size=side,
    )
    return Judge(net, trained, path)


def find_judge(
    path: pathlib.Path, model: pathlib.Path, *, experts: Mapping[str, Any] | None, data: str
) -> Judge:
    """The SyncNet that judges a model's clips.

    Args:
      path: of the SyncNet.
      model: folder of the model that is judged.
      experts: the frozen nets that took part in its training.
      data: the folder that is evaluated.

    Raises:
      UserError: if it is no SyncNet, took part in the training, or was trained on crops that
        move otherwise than the data's.
    """
    judge = load_judge(path)
    own = fingerprint(judge.trained.params)
    for name, expert in (experts or {}).items():
        same_place = pathlib.Path(expert["source"]).resolve() == path.resolve()
        if expert["fingerprint"] == own or same_place:
            raise UserError(
                f"{path}: is expert {name} of the training of {model}, which was made to please "
                "it; judge with a SyncNet that took no part (--syncnet)"
            )
    check_crop_motion(judge, data)
    return judge


def check_crop_motion(judge: Judge, data: str) -> None:
    """Raises UserError if a judge that was trained here knows crops that move otherwise."""
    if judge.is_public:
        return
    theirs, ours = judge.trained.data_settings[CROP_MOTION], data_settings(data)[CROP_MOTION]
    if theirs != ours:
        raise UserError(
            f"{data}: crops were prepared with {CROP_MOTION} = {ours}, {judge.path} was trained on "
            f"crops with {theirs}; prepare the data again as the judge's"
        )


def row_scores(judge: Judge) -> Callable[..., dict[str, dict[str, float]]]:
    """`lse.score_rows` with its judge, for `runner.Tools`."""
    return functools.partial(lse.score_rows, judge=judge.net, prepare=judge.prepare)


def protocol() -> dict[str, Any]:
    """How LSE is measured on the rows of an evaluation."""
    return {
        "lse_d": "least over the shifts of the mean distance of a clip",
        "lse_c": "median over the shifts minus the least",
        "lse_d_unshifted": "mean distance without a shift",
        "shifts_frames": lse.MAX_SHIFT_FRAMES,
        "beyond_the_clip": "zero vectors, whose distances count",
        "windows": "all but the last full one",
        "offset_sign": "positive: picture late",
        "pictures": f"the aligned crop at {image_quality.EVAL_SIZE_PX} px as a whole, recompressed "
        "as FFmpeg's default JPEG, brought to the judge's side",
    }
