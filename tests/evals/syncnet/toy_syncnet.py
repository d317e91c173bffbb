"""A SyncNet that hears loudness and sees brightness, videos for it, and `talkjax score` on them."""

import jax.numpy as jnp
import numpy as np

from talkjax import cli
from talkjax.methods.api import Method
from talkjax.train.files import write_json
from tests.media.synthetic_media import write_video

SIZE = 64
# Of the pictures that the judge was shown.
SIDES_SEEN = set()
ORIGIN = {
    "kind": "syncnet",
    "file": "syncnet_v2.model",
    "source": "joonson/syncnet_python@6efbb1c",
    "sha256": "0123456789abcdef",
    "licence": "syncnet_python: MIT",
}


FACE = [(160, 110, 60)]


def seeing(*, gain):
    """Embeds the brightness of the middle of frames, and the log energy of their sound."""

    def predict_fn(params, model_vars, batch, key):
        side = batch["frames_u8"].shape[-2]
        SIDES_SEEN.add(side)
        middle = slice(side // 2 - 4, side // 2 + 4)
        pictures = batch["frames_u8"][:, :, :, middle, middle].astype(jnp.float32)
        lips = jnp.mean(pictures, axis=(3, 4, 5)) / 160 - 0.25
        energy = batch["mfcc"][:, :, 0].reshape(*batch["mfcc"].shape[:2], 5, 4).mean(axis=-1)
        sounds = (energy - 16.5) / 5
        return {
            "lip_embedding": gain * lips + params["syncnet"]["b"],
            "sound_embedding": gain * sounds,
        }

    return Method(init_fn=lambda key, batch: ({}, {}), phases=(), predict_fn=predict_fn)


def export(
    folder,
    method="syncnet",
    *,
    size=SIZE,
    weight=0.0,
    sigma_frames=2.5,
    origin=None,
    experts=None,
    steps=20,
):
    net, leaf, model = {
        "copying": ("gen", "offset", {"gain": 1.0, "hide_from": 0.5}),
        "syncnet": ("syncnet", "b", {"gain": 10.0}),
    }[method]
    data = {"image_size": size, "clip_frames": 5, "path": "data/toys"}
    data |= {"syncnet": {"mfcc_steps": steps}, "copying": {"mel_frames": 16}}[method]
    data |= {} if method == "syncnet" else {"audio_shift_frames": -2}
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{f"params/{net}/{leaf}": np.float32(weight)})
    config = {"method": method, "model": model, "data": data, "run": {"seed": 0}}
    write_json(folder / "config.json", config)
    crops = {"size_px": size, "smooth_sigma_frames": sigma_frames, "train_identities": 3}
    about = {"format": 1, "step": 7, "scores": {}, "data_settings": crops, "origin": origin}
    write_json(folder / "about.json", about | {"empty": [f"vars/{net}"], "experts": experts})
    return folder


def loud_video(path, *, late_frames=0, frames=60, seed=0, audio=True, patches=None):
    """A patch as bright as its sound is loud, or was some frames before; the rest is still, so
    that no change looks like a cut. `patches`: {first column: frames late} of several."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(size=frames + 20)
    heard = level[20:]
    wave = np.repeat(200 * np.exp(2.5 * heard), 640) * rng.normal(size=640 * frames)
    pictures = np.full((frames, 240, 320, 3), 128, np.uint8)
    for column, late in (patches or {130: late_frames}).items():
        shown = level[20 - late : len(level) - late]
        grey = np.round(40 + 160 * shown).astype(np.uint8)
        pictures[:, 90:200, column : column + 60] = grey[:, None, None, None]
    sound = np.clip(np.repeat(wave / 32768, 3), -1, 1) if audio else None
    return write_video(path, np.arange(frames) / 25, pictures=list(pictures), audio=sound)


def score(*words, capsys):
    code = cli.main(["score", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err
