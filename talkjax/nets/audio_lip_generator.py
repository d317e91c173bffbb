"""The generator of SyncTalkFace: encoders, memory and decoder as one net.

Source: models/wav2lip.py of jinny960812/SyncTalkFace@9d5d08d; Park et al., AAAI 2022.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.nets.audio_lip_memory import AudioLipMemory, MemoryOut
from talkjax.nets.encoders import AudioEncoder, FaceEncoder, LipEncoder
from talkjax.nets.face_decoder import FaceDecoder


class GeneratorOut(NamedTuple):
    """Pictures in [-1, 1], memory and lip features; `tr` and `lip` are None without lips."""

    te: Float[Array, "n h w 3"]
    tr: Float[Array, "n h w 3"] | None
    memory: MemoryOut
    lip: Float[Array, "n d"] | None


class AudioLipGenerator(nn.Module):
    """Sound recalls lips from the memory; a decoder draws them into the face.

    Attributes:
      audio, lip, face, recall, render: settings of the audio, lip and face encoder, of the
        memory and of the decoder; {} for the published sizes.
      dtype: of the computation.
    """

    audio: Mapping[str, Any]
    lip: Mapping[str, Any]
    face: Mapping[str, Any]
    recall: Mapping[str, Any]
    render: Mapping[str, Any]
    dtype: DTypeLike = jnp.float32

    def setup(self):
        self.audio_encoder = AudioEncoder(**self.audio, dtype=self.dtype)
        self.lip_encoder = LipEncoder(**self.lip, dtype=self.dtype)
        self.face_encoder = FaceEncoder(**self.face, dtype=self.dtype)
        self.memory = AudioLipMemory(**self.recall, dtype=self.dtype)
        self.decoder = FaceDecoder(**self.render, dtype=self.dtype)

    def __call__(
        self,
        face: Float[Array, "n h w 6"],
        mel: Float[Array, "n m s"],
        lips: Float[Array, "n t h w c"] | None,
        *,
        train: bool,
    ) -> GeneratorOut:
        """All frames of all clips as n rows.

        Args:
          face: the frame with its hidden part 0, and the reference frame, on channels.
          mel: the window of each frame.
          lips: the true lip clip of each frame, or None (inference).
          train: dropout and batch statistics.
        """
        lip = None if lips is None else self.lip_encoder(lips, train=train)
        memory = self.memory(self.audio_encoder(mel, train=train), lip, train=train)
        skips = self.face_encoder(face, train=train)
        if lip is None:
            return GeneratorOut(self.decoder(memory.te, skips, train=train), None, memory, None)
        # Both branches in one batch: one pass of large convolutions instead of two.
        # Differs: the source decodes them one after the other, so that its batch statistics are
        # those of one branch at a time.
        n = len(face)
        twice = tuple(jnp.concatenate([skip, skip]) for skip in skips)
        drivers = jnp.concatenate([memory.te, memory.tr])
        pictures = self.decoder(drivers, twice, train=train)
        return GeneratorOut(pictures[:n], pictures[n:], memory, lip)

    def embed_lips(self, lips: Float[Array, "n t h w c"], *, train: bool) -> Float[Array, "n d"]:
        """Lip features alone."""
        return self.lip_encoder(lips, train=train)

    def from_address(
        self,
        face: Float[Array, "n h w 6"],
        mel: Float[Array, "n m s"],
        address: Float[Array, "n q"],
    ) -> Float[Array, "n h w 3"]:
        """Pictures of an address of one's own choosing (the paper's address editing)."""
        query = self.audio_encoder(mel, train=False)
        driver = self.memory.from_address(query, address)
        return self.decoder(driver, self.face_encoder(face, train=False), train=False)
