"""A method without weights whose outputs can be told from its inputs: it inverts colours."""

import sys
import types

import jax.numpy as jnp
import ml_collections

from talkjax.methods.api import Method
from talkjax.train.trained import Trained

SIZE_PX = 32
# Side of the crops that it "was trained on", before they were reduced.
CROP_PX = 64
MEL_FRAMES = 16
SLOTS = 6


def _no_nets(key, batch):
    return {}, {}


def build(*, gain: float, hide_from: float) -> Method:
    """Generates `-gain x` of each frame; the address is a softmax over mel bins 0 .. 5."""

    def predict_fn(params, model_vars, batch, key):
        frames = batch["frames_u8"].astype(jnp.float32) / 127.5 - 1.0
        recalled = jnp.exp(batch["mel_windows"][:, :, :SLOTS, 0])
        address = batch.get("key_address", recalled / recalled.sum(axis=-1, keepdims=True))
        return {"generated": -gain * frames + params["gen"]["offset"], "key_address": address}

    return Method(init_fn=_no_nets, phases=(), predict_fn=predict_fn)


def build_without_frames() -> Method:
    def predict_fn(params, model_vars, batch, key):
        return {"distance": batch["mel_chunk"]}

    return Method(init_fn=_no_nets, phases=(), predict_fn=predict_fn)


def build_without_memory(*, hide_from: float) -> Method:
    def predict_fn(params, model_vars, batch, key):
        return {"generated": batch["frames_u8"].astype(jnp.float32) / 127.5 - 1.0}

    return Method(init_fn=_no_nets, phases=(), predict_fn=predict_fn)


def install(monkeypatch, *, name: str = "invert_colours", builder=build) -> None:
    module = types.ModuleType(f"talkjax.methods.{name}")
    module.build = builder
    monkeypatch.setitem(sys.modules, module.__name__, module)


def trained(*, name: str = "invert_colours", model: dict | None = None, shift: int = 0):
    config = ml_collections.ConfigDict(
        {
            "method": name,
            "model": {"hide_from": 0.5} | ({"gain": 1.0} if model is None else model),
            "data": {
                "image_size": SIZE_PX,
                "mel_frames": MEL_FRAMES,
                "audio_shift_frames": shift,
            },
        }
    )
    return Trained(
        config=config,
        params={"gen": {"offset": jnp.zeros(())}},
        model_vars={},
        step=7,
        scores={},
        data_settings={"smooth_sigma_frames": 2.5, "size_px": CROP_PX},
        experts={},
    )
