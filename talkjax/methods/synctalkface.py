"""SyncTalkFace: an Audio-Lip Memory recalls lips from sound (Park et al., AAAI 2022).

Nets: `gen` (encoders, memory, decoder) and `disc` (is a lower half real?); the frozen expert
`sync` judges lips against sound. Sources are the paper (arXiv 2211.00924) and the authors'
code, jinny960812/SyncTalkFace@9d5d08d.

One phase updates both players from one forward pass, each with its own optimizer, as the
authors do: generator terms see the discriminator as a constant, discriminator terms see the
pictures as constants.

What is ours, each a setting: `hide_from` (which rows are hidden; the paper hides the lower
half), `composite` (visible rows of the output are those given, so that losses ask for the
hidden rows only), `mouth_weight` (the reconstruction looks closer at the mouth) and the data
setting `pose_gap_frames` (the visible rows may come from another
moment than the lips, so that nothing can be read off them).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from talkjax.arrays import Array, Batch, Float, Key, Nets, Tree
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.nets.audio_lip_generator import AudioLipGenerator
from talkjax.nets.audio_lip_memory import address_perplexity
from talkjax.nets.discriminators import QualityDiscriminator
from talkjax.nets.sync_critic import SyncCritic
from talkjax.ops import image, losses

LIP_BATCH_STATISTICS = ("batch", "running")
# Below this share of the truth's motion a mouth counts as still.
STILL_MOUTH = 0.25


def build(
    *,
    image_size: int,
    channel_order: str,
    hide_from: float,
    composite: bool,
    mouth_weight: float,
    lip_statistics: str,
    dtype: str,
    gen: Mapping[str, Any],
    disc: Mapping[str, Any],
    sync: Mapping[str, Any],
) -> Method:
    """SyncTalkFace as a method.

    Args:
      image_size: side of the crops, px; the nets' settings must fit it.
      channel_order: "bgr" (the authors') or "rgb"; inside the nets only.
      hide_from: rows from this fraction of the height down are hidden from the generator.
      composite: whether the visible rows of the output are those of the input.
      mouth_weight: weight of a pixel of the mouth (`ops.image.MOUTH`) in the reconstruction
        loss; 1 elsewhere, and everywhere in the paper.
      lip_statistics: batch norm of the lip encoder on generated lips: "batch" statistics,
        not kept (the authors' per-step copy), or the "running" ones (steadier on small batches).
      dtype: of the computation, "float32" or "bfloat16".
      gen: settings of `AudioLipGenerator`. disc: of `QualityDiscriminator`.
      sync: of `SyncCritic`, equal to those the expert was trained with.

    Raises:
      ValueError: on a setting that does not exist.
    """
    if lip_statistics not in LIP_BATCH_STATISTICS:
        raise ValueError(
            f"model.lip_statistics: got {lip_statistics!r}, want one of {LIP_BATCH_STATISTICS}"
        )
    compute = jnp.dtype(dtype)
    generator = AudioLipGenerator(**gen, dtype=compute)
    discriminator = QualityDiscriminator(**disc, dtype=compute)
    critic = SyncCritic(**sync, dtype=compute)
    hidden = image.hidden_rows(hide_from, image_size)  # h 1 1
    looked_at = 1.0 + (mouth_weight - 1.0) * image.mouth_area(image_size)  # h w 1
    looked_at = looked_at * hidden if composite else looked_at
    looked_at = looked_at / jnp.mean(looked_at)

    def as_input(images_u8):
        return image.to_order(image.to_float(images_u8), channel_order)

    def face_input(pose, reference):
        # The hole is 0 after scaling, that is mid-grey (2.2 of the specification).
        visible = _rows(pose) * (1.0 - hidden[None])
        return jnp.concatenate([visible, _rows(reference)], axis=-1)

    def finished(pictures, pose):
        if not composite:
            return pictures
        return jnp.where(hidden[None] > 0, pictures, pose)

    def init_fn(key: Key, batch: Batch) -> tuple[Nets, Nets]:
        """Parameters and batch statistics of `gen` and `disc`."""
        n = 2  # rows; parameters do not depend on how many
        size = (n, image_size, image_size)
        mel = jnp.zeros((n, *batch["mel_windows"].shape[-2:]))
        lip_frames = batch["frames_u8"].shape[1] - batch["pose_u8"].shape[1] + 1
        lips = jnp.zeros((n, lip_frames, *size[1:], 3))
        gen_vars = generator.init(_key(key, "gen"), jnp.zeros((*size, 6)), mel, lips, train=False)
        disc_vars = discriminator.init(
            _key(key, "disc"), image.lower_half(jnp.zeros((*size, 3))), train=False
        )
        params = {"gen": gen_vars["params"], "disc": disc_vars["params"]}
        return params, {"gen": {"batch_stats": gen_vars["batch_stats"]}, "disc": {}}

    def generate(params: Nets, model_vars: Nets, batch: Batch, key: Key):
        """The training forward pass: all that the losses need."""
        frames = as_input(batch["frames_u8"])  # b t+2r h w c
        t = batch["mel_windows"].shape[1]
        radius = (frames.shape[1] - t) // 2
        target = frames[:, radius : radius + t]
        pose = as_input(batch["pose_u8"])
        # Lip clip of frame i: i-r .. i+r of the truth, upper half hidden.
        windows = jnp.arange(t)[:, None] + jnp.arange(2 * radius + 1)[None]
        lips = image.hide_upper_half(frames)[:, windows]  # b t 2r+1 h w c
        out, updated = generator.apply(
            {"params": params["gen"], **model_vars["gen"]},
            face_input(pose, as_input(batch["reference_u8"])),
            _rows(batch["mel_windows"]),
            _rows(lips),
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        te = finished(out.te, _rows(pose)).reshape(target.shape)
        tr = finished(out.tr, _rows(pose)).reshape(target.shape)
        return target, te, tr, out, updated

    def embed_mouths(params: Nets, model_vars: Nets, clips):
        return critic.apply(
            {"params": params["sync"], **model_vars["sync"]},
            image.lower_half(clips) * 0.5 + 0.5,
            train=False,
            method="embed_face",
        ).unit

    def embed_sound(params: Nets, model_vars: Nets, mel):
        return critic.apply(
            {"params": params["sync"], **model_vars["sync"]}, mel, train=False, method="embed_audio"
        ).unit

    def sync_cosine(params: Nets, model_vars: Nets, clips, mel):
        mouths = embed_mouths(params, model_vars, clips)
        return jnp.sum(mouths * embed_sound(params, model_vars, mel), axis=-1)

    def generated_lips(params: Nets, model_vars: Nets, clips):
        """E'_lip: the lip encoder as a constant, on generated clips (2.5, gradient routing)."""
        frozen = jax.lax.stop_gradient(params["gen"])
        variables = {"params": frozen, **model_vars["gen"]}
        masked = image.hide_upper_half(clips)
        if lip_statistics == "running":
            return generator.apply(variables, masked, train=False, method="embed_lips")
        lips, _ = generator.apply(
            variables, masked, train=True, method="embed_lips", mutable=["batch_stats"]
        )
        return lips

    def realness(params: Tree, clips) -> Float[Array, " n"]:
        return discriminator.apply({"params": params}, image.lower_half(_rows(clips)), train=True)

    def l1(pictures, target):
        """Weighted mean of |error| on [0, 1] images, over the rows that the net is asked for."""
        error = jnp.abs(pictures - target) * 0.5
        return losses.mean_over_rest(error * looked_at[None, None])

    def loss_fn(params: Nets, model_vars: Nets, batch: Batch, key: Key) -> LossOut:
        """All terms of 2.5, te and tr summed; see the weights in the config."""
        target, te, tr, out, updated = generate(params, model_vars, batch, key)
        b, t = target.shape[:2]
        both = jnp.concatenate([te, tr])  # 2b t h w c

        sound = embed_sound(params, model_vars, batch["mel_chunk"])
        sync = jnp.sum(embed_mouths(params, model_vars, both) * _twice(sound), axis=-1)
        sync_loss = losses.binary_cross_entropy(sync, jnp.ones_like(sync))

        # The truth's side keeps its gradient, as in the authors' code.
        centre = out.lip.reshape(b, t, -1)[:, t // 2].astype(jnp.float32)
        seen = generated_lips(params, model_vars, both).astype(jnp.float32)
        lip_loss = losses.mean_over_rest(jnp.abs(seen - _twice(centre)))

        constant_disc = jax.lax.stop_gradient(params["disc"])
        fooled = losses.real_logits_loss(realness(constant_disc, both)).reshape(2 * b, t)
        judged = jnp.concatenate([target, jax.lax.stop_gradient(both)])
        logits = realness(params["disc"], judged).reshape(3, b, t)
        caught = losses.real_logits_loss(logits[0]) + losses.fake_logits_loss(logits[1:]).sum(0)

        def summed(x):  # te + tr
            return x[:b] + x[b:]

        recon = [l1(te, target), l1(tr, target)]
        terms = {
            "recon": recon[0] + recon[1],
            "sync": summed(sync_loss),
            "lip": summed(lip_loss),
            "gan": summed(jnp.mean(fooled, axis=-1)),
            "align": jnp.mean(out.memory.align_loss.reshape(b, t), axis=-1),
            "store": jnp.mean(out.memory.store_loss.reshape(b, t), axis=-1),
            "disc": jnp.mean(caught, axis=-1),
        }
        scalars = {
            "recon_te": jnp.mean(recon[0]),
            "recon_tr": jnp.mean(recon[1]),
            "sync_te": jnp.mean(sync[:b]),
            "key_perplexity": jnp.mean(address_perplexity(out.memory.key_address)),
            "value_perplexity": jnp.mean(address_perplexity(out.memory.value_address)),
            "disc_real": jnp.mean(jax.nn.sigmoid(logits[0])),
            "disc_fake": jnp.mean(jax.nn.sigmoid(logits[1])),
        }
        return LossOut(terms, {"gen": updated}, scalars)

    def predict_fn(params: Nets, model_vars: Nets, batch: Batch, key: Key) -> Mapping[str, Array]:
        """Re-lips frames: {"generated": b t h w 3 in [-1, 1], RGB, "key_address": b t q,
        "input": what the net was shown, b t h w 3}.

        `frames_u8` are the frames to re-lip (their hidden rows are not looked at). A
        `key_address` in the batch replaces the one the sound recalls. `key` is not used.
        """
        del key
        frames = as_input(batch["frames_u8"])
        b, t = frames.shape[:2]
        face = face_input(frames, as_input(batch["reference_u8"]))
        variables = {"params": params["gen"], **model_vars["gen"]}
        mel = _rows(batch["mel_windows"])
        if "key_address" in batch:
            address = _rows(batch["key_address"])
            pictures = generator.apply(variables, face, mel, address, method="from_address")
        else:
            out = generator.apply(variables, face, mel, None, train=False)
            pictures, address = out.te, out.memory.key_address
        pictures = finished(pictures, _rows(frames)).reshape(frames.shape)
        return {
            "generated": image.to_order(pictures, channel_order),
            "key_address": address.reshape(b, t, -1),
            "input": image.to_order(_frames(face[..., :3], b), channel_order),
        }

    def scores_fn(
        params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Float[Array, " b"]]:
        """Validation, te branch only: L1 and, beside chance, the cosines of the sync expert."""
        b, t = batch["mel_windows"].shape[:2]
        radius = (batch["frames_u8"].shape[1] - t) // 2
        frames_u8 = batch["frames_u8"][:, radius : radius + t]
        out = predict_fn(params, model_vars, dict(batch, frames_u8=frames_u8), key)
        target = as_input(frames_u8)
        generated = image.to_order(out["generated"], channel_order)
        perplexity = address_perplexity(_rows(out["key_address"])).reshape(b, t)
        scores = {
            "l1": l1(generated, target),
            "key_perplexity": jnp.mean(perplexity, axis=-1),
            # A mouth that stands still has 0 here; the truth's own value stands beside it.
            "mouth_motion": _motion(image.lower_half(generated)),
            "mouth_motion_truth": _motion(image.lower_half(target)),
        }
        mel = batch["mel_chunk"]
        scores["sync_generated"] = sync_cosine(params, model_vars, generated, mel)
        scores["sync_truth"] = sync_cosine(params, model_vars, target, mel)
        scores["sync_shuffled"] = sync_cosine(params, model_vars, generated, jnp.roll(mel, 1, 0))
        return scores

    return Method(
        init_fn=init_fn,
        phases=(Phase("joint", ("gen", "disc"), loss_fn),),
        predict_fn=predict_fn,
        experts=("sync",),
        averaged=("gen",),
        scores_fn=scores_fn,
    )


def init_experts(key: Key, batch: Batch, **model: Any) -> Nets:
    """The frozen expert `sync` with random weights: for smoke runs that say so, nothing else."""
    critic = SyncCritic(**model["sync"])
    t, height, width = (*batch["pose_u8"].shape[1:4],)
    clips = jnp.zeros((2, t, height // 2, width, 3))
    variables = critic.init(key, clips, jnp.zeros((2, *batch["mel_chunk"].shape[1:])), train=False)
    stats = {"batch_stats": variables["batch_stats"]}
    return {"sync": {"params": variables["params"], "vars": stats}}


def warning(values: Mapping[str, float]) -> str | None:
    """What a report or a validation of this method gives reason to say, or None."""
    moves = [value for name, value in values.items() if name.endswith("/mouth_motion")]
    truth = [value for name, value in values.items() if name.endswith("/mouth_motion_truth")]
    if moves and moves[0] < STILL_MOUTH * truth[0]:
        return (
            f"the mouth hardly moves: {moves[0] / truth[0]:.0%} of the truth's change from frame "
            "to frame (common in the first steps; later a sign that the sound is ignored)"
        )
    return None


def _rows(x):
    """b t ... -> b*t ..., batch-major."""
    return x.reshape(-1, *x.shape[2:])


def _frames(x, b: int):
    """b*t ... -> b t ...; the inverse of `_rows`."""
    return x.reshape(b, -1, *x.shape[1:])


def _twice(x):
    return jnp.concatenate([x, x])


def _key(key: Key, name: str) -> Key:
    return jax.random.fold_in(key, {"gen": 0, "disc": 1}[name])


def _motion(clips: Float[Array, "b t h w c"]) -> Float[Array, " b"]:
    """Mean absolute change from frame to frame."""
    return losses.mean_over_rest(jnp.abs(clips[:, 1:] - clips[:, :-1]))
