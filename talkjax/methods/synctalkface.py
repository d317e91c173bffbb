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
setting `pose_gap_frames` (the visible rows may come from another moment than the lips, so that
nothing can be read off them).
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from talkjax.arrays import Array, Batch, Float, Key, Nets, Tree
from talkjax.errors import UserError
from talkjax.methods.api import LossOut, Method, Phase
from talkjax.nets.audio_lip_generator import AudioLipGenerator, GeneratorOut
from talkjax.nets.audio_lip_memory import address_perplexity
from talkjax.nets.discriminators import QualityDiscriminator
from talkjax.nets.sync_critic import SyncCritic, probability, seen
from talkjax.ops import image, losses

LIP_BATCH_STATISTICS = ("batch", "running")
# Below this share of the truth's motion a mouth counts as still.
STILL_MOUTH = 0.25
# Below this ratio of slots used together to slots used by one sound, addresses are all alike.
SAME_ADDRESS = 1.1


def build(
    *,
    image_size: int,
    channel_order: str,
    hide_from: float,
    composite: bool,
    mouth_weight: float,
    lip_statistics: str,
    lip_target_gradient: bool,
    dtype: str,
    gen: Mapping[str, Any],
    disc: Mapping[str, Any],
    sync: Mapping[str, Any],
    gan_form: str = "cross_entropy",  # of runs saved before it could be chosen
) -> Method:
    """SyncTalkFace as a method.

    Args:
      image_size: side of the crops, px; the nets' settings must fit it.
      channel_order: "bgr" (the authors') or "rgb"; inside the nets only.
      hide_from: rows from this fraction of the height down are hidden from the generator; at
        most 0.5, as discriminator and critic judge the lower half.
      composite: whether the visible rows of the output are those of the input.
      mouth_weight: weight of a pixel of the mouth (`ops.image.MOUTH`) in the reconstruction
        loss; 1 elsewhere, and everywhere in the paper.
      lip_statistics: batch norm of the lip encoder on generated lips: "batch" statistics,
        not kept (the authors' per-step copy), or the "running" ones (steadier on small batches).
        Differs: te and tr share one batch, the authors' copy sees one after the other.
      lip_target_gradient: whether the lip loss also pulls the true lips' features towards the
        generated ones, as in the authors' code. A small net then makes them all alike, and the
        memory has nothing to hold.
      dtype: of the computation, "float32" or "bfloat16".
      gen: settings of `AudioLipGenerator`. disc: of `QualityDiscriminator`.
      sync: of `SyncCritic`, equal to those the expert was trained with.
      gan_form: of `losses.adversarial_loss` for both players: "cross_entropy" (the authors'
        code) or "saturating" (the paper as printed).

    Raises:
      UserError: on a setting that does not exist or that contradicts another.
    """
    choices = {"lip_statistics": LIP_BATCH_STATISTICS, "gan_form": losses.GAN_FORMS}
    for setting, got in {"lip_statistics": lip_statistics, "gan_form": gan_form}.items():
        if got not in choices[setting]:
            raise UserError(f"model.{setting}: got {got!r}, want one of {choices[setting]}")
    if not 0.0 < hide_from <= 0.5:
        raise UserError(
            f"model.hide_from: got {hide_from}, want more than 0 and at most 0.5: the lower half, "
            "which discriminator and critic judge, must be drawn whole"
        )
    compute = jnp.dtype(dtype)
    system = SyncTalkFace(
        image_size=image_size,
        channel_order=channel_order,
        hide_from=hide_from,
        composite=composite,
        mouth_weight=mouth_weight,
        lip_statistics=lip_statistics,
        lip_target_gradient=lip_target_gradient,
        gan_form=gan_form,
        generator=AudioLipGenerator(**gen, dtype=compute),
        discriminator=QualityDiscriminator(**disc, dtype=compute),
        critic=SyncCritic(**sync, dtype=compute),
    )
    return Method(
        init_fn=system.init,
        phases=(Phase("joint", ("gen", "disc"), system.loss),),
        predict_fn=system.predict,
        experts=("sync",),
        averaged=("gen",),
        scores_fn=system.scores,
    )


class Generated(NamedTuple):
    """One training forward pass; pictures b t h w c in [-1, 1], in the nets' channel order."""

    target: Float[Array, "b t h w c"]
    te: Float[Array, "b t h w c"]
    tr: Float[Array, "b t h w c"]
    out: GeneratorOut
    updated: Tree


@dataclasses.dataclass(frozen=True)
class SyncTalkFace:
    """The nets and what is done with them. Pure functions of parameters and batch."""

    image_size: int
    channel_order: str
    hide_from: float
    composite: bool
    mouth_weight: float
    lip_statistics: str
    lip_target_gradient: bool
    gan_form: str
    generator: AudioLipGenerator
    discriminator: QualityDiscriminator
    critic: SyncCritic

    # What the nets see.

    @property
    def hidden(self) -> Float[Array, "h 1 1"]:
        """1 on the rows that are hidden from the generator."""
        return image.hidden_rows(self.hide_from, self.image_size)

    def as_input(self, images_u8):
        """uint8 RGB to what the nets work on."""
        return image.to_order(image.to_float(images_u8), self.channel_order)

    def face_input(self, pose, reference) -> Float[Array, "n h w 6"]:
        """Target and reference on channels; the hole is 0 after scaling, mid-grey (2.2)."""
        visible = _rows(pose) * (1.0 - self.hidden[None])
        return jnp.concatenate([visible, _rows(reference)], axis=-1)

    def finished(self, pictures, pose) -> Float[Array, "n h w 3"]:
        """The decoder's pictures with the visible rows put back, if so set."""
        return jnp.where(self.hidden[None] > 0, pictures, pose) if self.composite else pictures

    # The nets.

    def init(self, key: Key, batch: Batch) -> tuple[Nets, Nets]:
        """Parameters and batch statistics of `gen` and `disc`."""
        if batch["pose_u8"].shape[2] != self.image_size:
            raise UserError(
                f"model.image_size: got {self.image_size}, data.image_size is "
                f"{batch['pose_u8'].shape[2]}; make them equal"
            )
        n = 2  # rows; parameters do not depend on how many
        size = (n, self.image_size, self.image_size)
        mel = jnp.zeros((n, *batch["mel_windows"].shape[-2:]))
        lip_frames = batch["frames_u8"].shape[1] - batch["pose_u8"].shape[1] + 1
        lips = jnp.zeros((n, lip_frames, *size[1:], 3))
        gen_key, disc_key = jax.random.split(key)
        face = jnp.zeros((*size, 6))
        gen = self.generator.init(gen_key, face, mel, lips, train=False)
        half = image.lower_half(jnp.zeros((*size, 3)))
        disc = self.discriminator.init(disc_key, half, train=False)
        params = {"gen": gen["params"], "disc": disc["params"]}
        return params, {"gen": {"batch_stats": gen["batch_stats"]}, "disc": {}}

    def generate(self, params: Nets, model_vars: Nets, batch: Batch, key: Key) -> Generated:
        """The training forward pass: all that the losses need."""
        frames = self.as_input(batch["frames_u8"])  # b t+2r h w c
        t = batch["mel_windows"].shape[1]
        radius = (frames.shape[1] - t) // 2
        target = frames[:, radius : radius + t]
        pose = self.as_input(batch["pose_u8"])
        # Lip clip of frame i: i-r .. i+r of the truth, upper half hidden.
        windows = jnp.arange(t)[:, None] + jnp.arange(2 * radius + 1)[None]
        lips = image.hide_upper_half(frames)[:, windows]  # b t 2r+1 h w c
        out, updated = self.generator.apply(
            {"params": params["gen"], **model_vars["gen"]},
            self.face_input(pose, self.as_input(batch["reference_u8"])),
            _rows(batch["mel_windows"]),
            _rows(lips),
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        te = self.finished(out.te, _rows(pose)).reshape(target.shape)
        tr = self.finished(out.tr, _rows(pose)).reshape(target.shape)
        return Generated(target, te, tr, out, updated)

    def embed_mouths(self, params: Nets, model_vars: Nets, clips) -> Float[Array, "b d"]:
        """The critic's view of its part of the crops; it works on [0, 1]."""
        halves = seen(clips, self.critic.region) * 0.5 + 0.5
        variables = {"params": params["sync"], **model_vars["sync"]}
        return self.critic.apply(variables, halves, train=False, method="embed_face").unit

    def embed_sound(self, params: Nets, model_vars: Nets, mel) -> Float[Array, "b d"]:
        """The critic's view of the chunk that belongs to the clip."""
        variables = {"params": params["sync"], **model_vars["sync"]}
        return self.critic.apply(variables, mel, train=False, method="embed_audio").unit

    def embed_generated_lips(self, params: Nets, model_vars: Nets, clips) -> Float[Array, "b d"]:
        """E'_lip: the lip encoder as a constant, on generated clips (2.5, gradient routing)."""
        frozen = jax.lax.stop_gradient(params["gen"])
        variables = {"params": frozen, **model_vars["gen"]}
        masked = image.hide_upper_half(clips)
        if self.lip_statistics == "running":
            return self.generator.apply(variables, masked, train=False, method="embed_lips")
        lips, _ = self.generator.apply(
            variables, masked, train=True, method="embed_lips", mutable=["batch_stats"]
        )
        return lips

    def realness(self, disc: Tree, clips) -> Float[Array, " n"]:
        """Logits of the discriminator for the lower half of every frame."""
        halves = image.lower_half(_rows(clips))
        return self.discriminator.apply({"params": disc}, halves, train=True)

    # What they learn from.

    def l1(self, pictures, target) -> Float[Array, " b"]:
        """Weighted mean of |error| on [0, 1] images, over the rows that the net is asked for."""
        weight = 1.0 + (self.mouth_weight - 1.0) * image.mouth_area(self.image_size)  # h w 1
        weight = weight * self.hidden if self.composite else weight
        weight = weight / jnp.mean(weight)
        error = jnp.abs(pictures - target) * 0.5
        return losses.mean_over_rest(error * weight[None, None])

    def loss(self, params: Nets, model_vars: Nets, batch: Batch, key: Key) -> LossOut:
        """All terms of 2.5, te and tr summed; see the weights in the config."""
        target, te, tr, out, updated = self.generate(params, model_vars, batch, key)
        b, t = target.shape[:2]
        both = jnp.concatenate([te, tr])  # 2b t h w c

        sound = self.embed_sound(params, model_vars, batch["mel_chunk"])
        cosines = jnp.sum(self.embed_mouths(params, model_vars, both) * _twice(sound), axis=-1)
        in_sync = probability(cosines, self.critic.ends)
        sync = losses.binary_cross_entropy(in_sync, jnp.ones_like(cosines))

        centre = out.lip.reshape(b, t, -1)[:, t // 2].astype(jnp.float32)
        centre = centre if self.lip_target_gradient else jax.lax.stop_gradient(centre)
        seen = self.embed_generated_lips(params, model_vars, both).astype(jnp.float32)
        lip = losses.mean_over_rest(jnp.abs(seen - _twice(centre)))

        constant = jax.lax.stop_gradient(params["disc"])
        wanted = functools.partial(losses.adversarial_loss, form=self.gan_form)
        fooled = wanted(self.realness(constant, both), real=True).reshape(2 * b, t)
        shown = jnp.concatenate([target, jax.lax.stop_gradient(both)])
        logits = self.realness(params["disc"], shown).reshape(3, b, t)
        caught = wanted(logits[0], real=True) + wanted(logits[1:], real=False).sum(0)

        recon = [self.l1(te, target), self.l1(tr, target)]
        terms = {
            "recon": recon[0] + recon[1],
            "sync": _te_plus_tr(sync),
            "lip": _te_plus_tr(lip),
            "gan": _te_plus_tr(jnp.mean(fooled, axis=-1)),
            "align": jnp.mean(out.memory.align_loss.reshape(b, t), axis=-1),
            "store": jnp.mean(out.memory.store_loss.reshape(b, t), axis=-1),
            "disc": jnp.mean(caught, axis=-1),
        }
        scalars = {
            "recon_te": jnp.mean(recon[0]),
            "recon_tr": jnp.mean(recon[1]),
            "sync_te": jnp.mean(cosines[:b]),
            "key_perplexity": jnp.mean(address_perplexity(out.memory.key_address)),
            "value_perplexity": jnp.mean(address_perplexity(out.memory.value_address)),
            # Slots used by all sounds together. Where it equals key_perplexity every sound has
            # the same address and the memory says nothing.
            "key_usage": address_perplexity(jnp.mean(out.memory.key_address, 0, keepdims=True))[0],
            "disc_real": jnp.mean(jax.nn.sigmoid(logits[0])),
            "disc_fake": jnp.mean(jax.nn.sigmoid(logits[1])),
        }
        return LossOut(terms, {"gen": updated}, scalars)

    # What they are used for.

    def predict(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Array]:
        """Re-lips frames: {"generated": b t h w 3 in [-1, 1], RGB, "key_address": b t q,
        "input": what the net was shown, b t h w 3}.

        `frames_u8` are the frames to re-lip (their hidden rows are not looked at). A
        `key_address` in the batch replaces the one the sound recalls. `key` is not used.
        """
        del key
        frames = self.as_input(batch["frames_u8"])
        b, t = frames.shape[:2]
        face = self.face_input(frames, self.as_input(batch["reference_u8"]))
        variables = {"params": params["gen"], **model_vars["gen"]}
        mel = _rows(batch["mel_windows"])
        if "key_address" in batch:
            address = _rows(batch["key_address"])
            pictures = self.generator.apply(variables, face, mel, address, method="from_address")
        else:
            out = self.generator.apply(variables, face, mel, None, train=False)
            pictures, address = out.te, out.memory.key_address
        pictures = self.finished(pictures, _rows(frames)).reshape(frames.shape)
        return {
            "generated": image.to_order(pictures, self.channel_order),
            "key_address": address.reshape(b, t, -1),
            "input": image.to_order(face[..., :3].reshape(frames.shape), self.channel_order),
        }

    def scores(
        self, params: Nets, model_vars: Nets, batch: Batch, key: Key
    ) -> Mapping[str, Float[Array, " b"]]:
        """Validation, te branch only: L1 and, beside chance, the cosines of the sync expert."""
        b, t = batch["mel_windows"].shape[:2]
        radius = (batch["frames_u8"].shape[1] - t) // 2
        frames_u8 = batch["frames_u8"][:, radius : radius + t]
        out = self.predict(params, model_vars, dict(batch, frames_u8=frames_u8), key)
        target = self.as_input(frames_u8)
        generated = image.to_order(out["generated"], self.channel_order)
        perplexity = address_perplexity(_rows(out["key_address"])).reshape(b, t)
        sound = self.embed_sound(params, model_vars, batch["mel_chunk"])
        mouths = self.embed_mouths(params, model_vars, generated)
        true_mouths = self.embed_mouths(params, model_vars, target)
        return {
            "l1": self.l1(generated, target),
            "key_perplexity": jnp.mean(perplexity, axis=-1),
            # A mouth that stands still has 0 here; the truth's own value stands beside it.
            "mouth_motion": _motion(image.lower_half(generated)),
            "mouth_motion_truth": _motion(image.lower_half(target)),
            "sync_generated": jnp.sum(mouths * sound, axis=-1),
            "sync_truth": jnp.sum(true_mouths * sound, axis=-1),
            "sync_shuffled": jnp.sum(mouths * jnp.roll(sound, 1, axis=0), axis=-1),
        }


def init_experts(key: Key, batch: Batch, **model: Any) -> Nets:
    """The frozen expert `sync` with random weights: for smoke runs that say so, nothing else."""
    critic = SyncCritic(**model["sync"])
    t, height, width = (*batch["pose_u8"].shape[1:4],)
    clips = seen(jnp.zeros((2, t, height, width, 3)), critic.region)
    variables = critic.init(key, clips, jnp.zeros((2, *batch["mel_chunk"].shape[1:])), train=False)
    stats = {"batch_stats": variables["batch_stats"]}
    return {"sync": {"params": variables["params"], "vars": stats}}


def alerts(values: Mapping[str, float]) -> dict[str, str | None]:
    """What a report or a validation gives reason to warn of: {kind: a warning, or None}."""
    found: dict[str, str | None] = {}
    named = {name.rpartition("/")[2]: value for name, value in values.items()}
    if "key_usage" in named:
        usage, spread = named["key_usage"], named["key_perplexity"]
        found["memory"] = (
            f"the memory says nothing: all sounds together use {usage:.1f} slots, each alone "
            f"{spread:.1f}. If it stays so, begin anew in another --workdir with "
            "--config.model.gen.recall.tr_source=true --config.model.gen.recall.store_target=raw "
            "--config.model.lip_target_gradient=False, where these are not set already"
            if usage < SAME_ADDRESS * spread
            else None
        )
    if "mouth_motion" in named:
        share = named["mouth_motion"] / max(named["mouth_motion_truth"], 1e-9)
        found["mouth"] = (
            f"the mouth hardly moves: {share:.0%} of the truth's change from frame to frame. If "
            "it still does after half the steps, the sound is ignored: look at the pictures of "
            "the workdir and the accuracy of the critic, and try a larger "
            "--config.loss_weights.joint.sync, or more clips"
            if share < STILL_MOUTH
            else None
        )
    return found


def _rows(x):
    """b t ... -> b*t ..., batch-major."""
    return x.reshape(-1, *x.shape[2:])


def _twice(x):
    return jnp.concatenate([x, x])


def _te_plus_tr(x: Float[Array, " n"]) -> Float[Array, " b"]:
    te, tr = jnp.split(x, 2)
    return te + tr


def _motion(clips: Float[Array, "b t h w c"]) -> Float[Array, " b"]:
    """Mean absolute change from frame to frame."""
    return losses.mean_over_rest(jnp.abs(clips[:, 1:] - clips[:, :-1]))
