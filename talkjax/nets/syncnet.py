"""SyncNet (Chung & Zisserman 2016): five mouths and 0.2 s of sound, embedded side by side.

Unlike the sync critic it sees the whole face crop, hears MFCC, and its outputs are not unit
vectors: in sync means a small Euclidean distance. Defaults are the published net; its widths may
be changed, and its picture side where the last kernel is changed with it (`LAST_KERNELS`).

Source: SyncNetModel.py of joonson/syncnet_python@6efbb1c (class S, 1024 outputs).
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float

from talkjax.arrays import Array
from talkjax.errors import UserError
from talkjax.nets.conv import ConvBlock, batch_norm, check_one_pixel, dense
from talkjax.ops.conv import stack_frames

# Pictures of one of these sides end in one pixel with the last kernel of that size.
LAST_KERNELS = {224: 6, 112: 2, 96: 2, 64: 1}
HINT = "model.image_size and model.syncnet.lip_last_kernel belong together: " + ", ".join(
    f"{side} px and {kernel}" for side, kernel in LAST_KERNELS.items()
)
LIP_KERNELS = (7, 5, 3, 3, 3)
CONVOLUTIONS = 6


class Embedded(NamedTuple):
    """Features of n windows, float32; nothing is normalised.

    Attributes:
      lips: of the pictures.
      sound: of the MFCC.
    """

    lips: Float[Array, "n d"]
    sound: Float[Array, "n d"]


class LipBranch(nn.Module):
    """The convolutions over pictures. The first sees all frames of a window at once.

    Attributes:
      channels: of the six convolutions.
      last_kernel: of the one that leaves one pixel.
      dtype: of the computation.
    """

    channels: tuple[int, ...]
    last_kernel: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, frames: Float[Array, "n t h w c"], *, train: bool) -> Float[Array, "n d"]:
        kernels = (*LIP_KERNELS, self.last_kernel)
        strides, paddings = (2, 2, 1, 1, 1, 1), (0, 1, 1, 1, 1, 0)
        # What follows a convolution: a max pool of 3 with stride 2 and this padding.
        pools = {0: 0, 1: 1, 4: 0}
        blocks = [
            dict(features=f, kernel=k, stride=s, padding=p)
            for f, k, s, p in zip(self.channels, kernels, strides, paddings, strict=True)
        ]
        x = stack_frames(frames.astype(self.dtype))  # n h w t*c
        _check_side(x.shape[1], x.shape[2], self.last_kernel)
        for i, block in enumerate(blocks):
            x = ConvBlock(**block, dtype=self.dtype, name=f"block_{i}")(x, train=train)
            if i in pools:
                x = _max_pool(x, strides=(2, 2), padding=pools[i])
        check_one_pixel(x, net="SyncNet's lip branch", given=frames.shape, hint=HINT)
        return x[:, 0, 0]


class SoundBranch(nn.Module):
    """The convolutions over 13 cepstra x 20 steps.

    Attributes:
      channels: of the six convolutions.
      dtype: of the computation.
    """

    channels: tuple[int, ...]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, mfcc: Float[Array, "n m s"], *, train: bool) -> Float[Array, "n d"]:
        pools = {1: (1, 2), 4: (2, 2)}  # strides of the max pool of 3 that follows
        x = mfcc.astype(self.dtype)[..., None]
        for i, features in enumerate(self.channels):
            last = dict(kernel=(5, 4), padding=0) if i == CONVOLUTIONS - 1 else {}
            block = dict(features=features) | last
            x = ConvBlock(**block, dtype=self.dtype, name=f"block_{i}")(x, train=train)
            if i in pools:
                x = _max_pool(x, strides=pools[i], padding=0)
        check_one_pixel(x, net="SyncNet's sound branch", given=mfcc.shape, hint="want 13 x 20")
        return x[:, 0, 0]


class Head(nn.Module):
    """Linear, batch norm, ReLU, linear.

    Attributes:
      hidden: width between the two.
      width: of the embedding.
      dtype: of the computation.
    """

    hidden: int
    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n f"], *, train: bool) -> Float[Array, "n d"]:
        y = dense(self.hidden, features_in=x.shape[-1], dtype=self.dtype, name="first")(x)
        y = nn.relu(batch_norm(train=train, dtype=self.dtype, name="norm")(y))
        y = dense(self.width, features_in=self.hidden, dtype=self.dtype, name="last")(y)
        return y.astype(jnp.float32)


class SyncNet(nn.Module):
    """Both branches.

    Attributes:
      lip_channels: of the six convolutions over pictures.
      lip_last_kernel: of the last of them, see `LAST_KERNELS`.
      sound_channels: of the six convolutions over MFCC.
      hidden: width inside the heads.
      width: of the embeddings.
      dtype: of the computation; embeddings are float32.
    """

    lip_channels: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    lip_last_kernel: int = 6
    sound_channels: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    hidden: int = 512
    width: int = 1024
    dtype: DTypeLike = jnp.float32

    def setup(self):
        for name in ("lip_channels", "sound_channels"):
            channels = getattr(self, name)
            if len(channels) != CONVOLUTIONS:
                raise UserError(
                    f"SyncNet: {name} has {len(channels)} entries, want {CONVOLUTIONS}; change "
                    f"model.syncnet.{name}"
                )
        self.lips = LipBranch(self.lip_channels, self.lip_last_kernel, dtype=self.dtype)
        self.sound = SoundBranch(self.sound_channels, dtype=self.dtype)
        self.lips_head = Head(self.hidden, self.width, dtype=self.dtype)
        self.sound_head = Head(self.hidden, self.width, dtype=self.dtype)

    def __call__(
        self, frames: Float[Array, "n t h w c"], mfcc: Float[Array, "n m s"], *, train: bool
    ) -> Embedded:
        """Both embeddings of n windows; arguments as in the two methods below."""
        lips = self.embed_lips(frames, train=train)
        return Embedded(lips=lips, sound=self.embed_sound(mfcc, train=train))

    def embed_lips(self, frames: Float[Array, "n t h w c"], *, train: bool) -> Float[Array, "n d"]:
        """Embeds five consecutive face crops, values 0 to 255 (BGR in the public weights)."""
        return self.lips_head(self.lips(frames, train=train), train=train)

    def embed_sound(self, mfcc: Float[Array, "n m s"], *, train: bool) -> Float[Array, "n d"]:
        """Embeds 20 steps of 13 cepstra (ops/mfcc.py) that start with the first frame."""
        return self.sound_head(self.sound(mfcc, train=train), train=train)


def _max_pool(x: Float[Array, "n h w c"], *, strides: tuple[int, int], padding: int) -> Array:
    borders = [(padding, padding)] * 2
    return nn.max_pool(x, (3, 3), strides=strides, padding=borders)  # pads with -inf


def _check_side(rows: int, columns: int, last_kernel: int) -> None:
    """Raises UserError where a picture is too small for the layers to leave anything."""
    side = min(rows, columns)
    for kernel, padding in ((7, 0), (3, 0), (5, 1), (3, 1), (3, 0)):
        side = (side + 2 * padding - kernel) // 2 + 1
    if side < last_kernel:
        raise UserError(
            f"SyncNet: pictures of {rows}x{columns} px leave {side} px for a last kernel of "
            f"{last_kernel}; {HINT}"
        )
