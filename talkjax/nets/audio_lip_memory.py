"""The Audio-Lip Memory of SyncTalkFace: sound recalls what lips look like.

Values hold prototypes of lip features; keys are where speech finds them. An address is a
softmax over slots, so blends of slots are legal addresses and can be edited.

Source: models/memory.py of jinny960812/SyncTalkFace@9d5d08d.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import AnyArray, Array
from talkjax.errors import UserError
from talkjax.nets.conv import dense
from talkjax.ops.vectors import unit_vectors

TR_SOURCES = ("recalled", "true")
STORE_TARGETS = ("embedded", "raw")
FUSIONS = ("linear", "concatenation")
# Added inside the logarithm of the key address in the source.
LOG_OFFSET = 1e-13


class MemoryOut(NamedTuple):
    """What the memory gives for n queries. The last five need lip features: None without.

    Attributes:
      te: driver of the decoder from sound alone ("testing" branch); z = d, or 2 d where sound
        and lips are merely put side by side.
      key_address: softmax over slots of the sound, float32.
      key_lip: lip feature recalled by the sound, float32.
      tr: driver from sound and the lips' own slots ("training" branch).
      value_address: softmax over slots of the true lips, float32.
      value_lip: lip feature recalled by the true lips, float32.
      store_loss: mean over features of (value_lip - target)^2; target without gradient.
      align_loss: KL(value_address || key_address) in nats; value_address without gradient.
    """

    te: Float[Array, "n z"]
    key_address: Float[Array, "n q"]
    key_lip: Float[Array, "n d"]
    tr: Float[Array, "n z"] | None
    value_address: Float[Array, "n q"] | None
    value_lip: Float[Array, "n d"] | None
    store_loss: Float[Array, " n"] | None
    align_loss: Float[Array, " n"] | None


class AudioLipMemory(nn.Module):
    """Key-value memory between speech and lip features of one width.

    Attributes:
      slots: number of key-value pairs.
      width: of queries, lip features and slots.
      scale: factor on cosines before the softmax (the paper's kappa); permits sharp recall.
      embeddings: whether sound and lips pass a linear layer of their own on their way to an
        address (code) or are compared with the slots as they are (paper).
      fuse_by: how sound and lips drive the decoder: a "linear" layer over both (code) or the
        bare "concatenation" (paper), twice as wide.
      dropout: rate on both before the fusion, in training (none in the paper).
      tr_source: what the training branch is given: the "recalled" lip feature (the authors'
        code) or the "true" one (the paper).
      store_target: what the recalled feature shall equal: the lip feature "embedded" by the
        memory's own layer (code) or "raw" (paper); the same without `embeddings`.
      dtype: of the linear layers; cosines, softmax, recall and losses are float32.
    """

    slots: int = 96
    width: int = 512
    scale: float = 16.0
    embeddings: bool = True
    fuse_by: str = "linear"
    dropout: float = 0.5
    tr_source: str = "recalled"
    store_target: str = "embedded"
    dtype: DTypeLike = jnp.float32

    def setup(self):
        _check_choice("tr_source", self.tr_source, TR_SOURCES)
        _check_choice("store_target", self.store_target, STORE_TARGETS)
        _check_choice("fuse_by", self.fuse_by, FUSIONS)
        shape = (self.slots, self.width)
        self.key = self.param("key", nn.initializers.normal(0.5), shape, jnp.float32)
        self.value = self.param("value", nn.initializers.normal(0.5), shape, jnp.float32)
        self.query_embedding = dense(self.width, features_in=self.width, dtype=self.dtype)
        self.lip_embedding = dense(self.width, features_in=self.width, dtype=self.dtype)
        self.fusion = dense(self.width, features_in=2 * self.width, dtype=self.dtype)
        self.fusion_dropout = nn.Dropout(self.dropout)

    def __call__(
        self,
        query: Float[Array, "n d"],
        lip: Float[Array, "n d"] | None = None,
        *,
        train: bool,
    ) -> MemoryOut:
        """Recalls lips from sound and, if true lip features are given, learns from them.

        Args:
          query: speech features.
          lip: features of the lips that belong to them, or None (inference).
          train: dropout; needs a "dropout" random stream.

        Source: SyncTalkFace eqs. of the memory; specification sections 2.4 and 2.5 keep the
        code's gradient routing: only the store target and the align address are detached.
        """
        log_key_address = self._log_address(
            self.query_embedding(query) if self.embeddings else query, self.key
        )
        key_address = jnp.exp(log_key_address)
        key_lip = _recall(key_address, self.value)
        te = self._fuse(query, key_lip, train=train)
        if lip is None and not self.is_initializing():
            return MemoryOut(te, key_address, key_lip, *[None] * 5)
        # Initialisation visits every layer, whether lips are at hand or not.
        lip = jnp.zeros_like(query) if lip is None else lip
        embedded = self.lip_embedding(lip) if self.embeddings else lip
        log_value_address = self._log_address(embedded, self.value)
        value_address = jnp.exp(log_value_address)
        value_lip = _recall(value_address, self.value)
        target = embedded if self.store_target == "embedded" else lip
        return MemoryOut(
            te=te,
            key_address=key_address,
            key_lip=key_lip,
            tr=self._fuse(query, value_lip if self.tr_source == "recalled" else lip, train=train),
            value_address=value_address,
            value_lip=value_lip,
            store_loss=store_loss(value_lip, target.astype(jnp.float32)),
            align_loss=align_loss(log_value_address, key_address),
        )

    def from_address(
        self, query: Float[Array, "n d"], address: Float[AnyArray, "n q"]
    ) -> Float[Array, "n z"]:
        """The driver for an address of one's own choosing (address editing), no dropout.

        Args:
          query: speech features.
          address: weights of the slots, usually non-negative with sum 1.
        """
        return self._fuse(query, _recall(address, self.value), train=False)

    def _log_address(self, x: Float[Array, "n d"], slots: Float[AnyArray, "q d"]):
        cosines = _matmul(unit_vectors(x), unit_vectors(slots).T)
        return jax.nn.log_softmax(self.scale * cosines, axis=-1)

    def _fuse(self, query: Float[Array, "n d"], lip: Float[Array, "n d"], *, train: bool):
        both = jnp.concatenate([query.astype(self.dtype), lip.astype(self.dtype)], axis=-1)
        both = self.fusion_dropout(both, deterministic=not train)
        return self.fusion(both) if self.fuse_by == "linear" else both


def store_loss(recalled: Float[Array, "n d"], target: Float[Array, "n d"]) -> Float[Array, " n"]:
    """How far the recalled lip features are from their target, which gets no gradient."""
    return jnp.mean(jnp.square(recalled - jax.lax.stop_gradient(target)), axis=-1)


def align_loss(
    log_value_address: Float[Array, "n q"], key_address: Float[Array, "n q"]
) -> Float[Array, " n"]:
    """KL(value address || key address) in nats; the value address gets no gradient."""
    log_value_address = jax.lax.stop_gradient(log_value_address)
    log_ratio = log_value_address - jnp.log(key_address + LOG_OFFSET)
    return jnp.sum(jnp.exp(log_value_address) * log_ratio, axis=-1)


def address_perplexity(address: Float[Array, "n q"]) -> Float[Array, " n"]:
    """exp(entropy): the number of slots that an address spreads over, 1 to q."""
    log_address = jnp.log(jnp.maximum(address, 1e-30))
    return jnp.exp(-jnp.sum(address * log_address, axis=-1))


def _matmul(a, b):
    # Full precision: these are small, and an accelerator's default would blur the addresses.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _recall(address: Float[AnyArray, "n q"], value: Float[AnyArray, "q d"]) -> Float[Array, "n d"]:
    return _matmul(address.astype(jnp.float32), value)


def _check_choice(setting: str, got: str, wanted: tuple[str, ...]):
    if got not in wanted:
        raise UserError(f"AudioLipMemory.{setting}: got {got!r}, want one of {wanted}")
