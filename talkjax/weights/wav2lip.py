"""Wav2Lip's sync expert and SyncTalkFace's nets: from state dicts to a method's config and nets.

Numbers of blocks are the published ones, widths are read off the file.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from talkjax.errors import UserError
from talkjax.nets.audio_lip_generator import AudioLipGenerator
from talkjax.nets.discriminators import QualityDiscriminator
from talkjax.nets.sync_critic import WAV2LIP_FACE, SyncCritic
from talkjax.weights.inert_pickle import shown
from talkjax.weights.kinds import SYNCTALKFACE, WAV2LIP
from talkjax.weights.net_shapes import shapes_of, spec
from talkjax.weights.style_layout import NUMBER
from talkjax.weights.torch_layout import (
    Imported,
    State,
    import_audio_lip_generator,
    import_discriminator,
    import_sync_critic,
)

CLIP_FRAMES, MEL_BINS, MEL_FRAMES = 5, 80, 16
CRITIC_AUDIO_REPEATS, AUDIO_REPEATS = (2, 2, 2, 2), (2, 2, 2, 1)
LIP_REPEATS, FACE_REPEATS = (3, 2, 2, 1), (0, 2, 3, 2, 2, 1)
DECODER_REPEATS = (0, 1, 2, 2, 2, 2, 2)
DISCRIMINATOR_KERNELS = (7, 5, 5, 5, 3, 3)
GENERATOR_SIZE_PX = 128
# What a generator is built with where its file holds neither.
PUBLISHED_DISCRIMINATOR = {
    "channels": (32, 64, 128, 256, 512, 512, 512),
    "kernels": DISCRIMINATOR_KERNELS,
}
PUBLISHED_CRITIC = {
    "face_channels": (32, 64, 128, 256, 512, 512, 512),
    "face_repeats": (0, 2, 3, 2, 2, 2),
    "face_last_kernel": 4,
    "audio_channels": (32, 64, 128, 256, 512),
    "audio_repeats": CRITIC_AUDIO_REPEATS,
}


class Expert(NamedTuple):
    """A published form of the sync expert."""

    size_px: int
    face_repeats: tuple[int, ...]
    face_last_kernel: int

    @property
    def face_blocks(self) -> int:
        # Every stage but the last begins with a block; the last one is two.
        return len(self.face_repeats) + sum(self.face_repeats) + 2


EXPERTS = {
    WAV2LIP: Expert(96, **WAV2LIP_FACE),
    SYNCTALKFACE: Expert(128, (0, 2, 3, 2, 2, 2), 4),
}


def _block_of(key: str) -> int:
    """The block of the face encoder that a key is of; -1 if it is of none."""
    found = re.match(rf"face_encoder\.{NUMBER}\.", key)
    return int(found[1]) if found else -1


def critic_settings(state: State, *, where: str) -> tuple[str, dict[str, Any]]:
    """(which of `EXPERTS`, settings of `SyncCritic`) of an expert's state dict.

    Raises:
      UserError: if it has another number of blocks than the published experts.
    """
    count = 0
    while f"face_encoder.{count}.conv_block.0.weight" in state:
        count += 1
    names = [name for name, expert in EXPERTS.items() if expert.face_blocks == count]
    later = sorted(key for key in state if _block_of(key) > count)
    if not names and later:
        raise UserError(
            f"{where}: found {shown(later[0])}, but no face_encoder.{count}.conv_block.0.weight; "
            "the file is not whole, get it again"
        )
    if not names:
        known = ", ".join(f"{name}: {e.face_blocks}" for name, e in EXPERTS.items())
        raise UserError(
            f"{where}: its face encoder has {count} blocks, want those of an expert "
            f"({known}); check KIND"
        )
    (name,) = names
    expert = EXPERTS[name]
    face = _sequence_widths(state, "face_encoder", expert.face_repeats, where=where)
    audio = _sequence_widths(state, "audio_encoder", CRITIC_AUDIO_REPEATS, where=where)
    return name, {
        "face_channels": face,
        "face_repeats": expert.face_repeats,
        "face_last_kernel": expert.face_last_kernel,
        "audio_channels": audio,
        "audio_repeats": CRITIC_AUDIO_REPEATS,
    }


def generator_settings(generator: State, decoder: State, *, where: str) -> dict[str, Any]:
    """Settings of `AudioLipGenerator` of the authors' two state dicts.

    Raises:
      UserError: if a layer that tells a width is missing.
    """
    slots, width = _shape(generator, "mem.key", rank=2, where=where)
    beside = _shape(generator, "mem.value", rank=2, where=where)
    if (slots, width) != beside:
        raise UserError(
            f"{where}: mem.key has shape {(slots, width)}, mem.value {beside}; want the same, get "
            "the file again"
        )
    lip = _sequence_widths(generator, "lip_encoder", LIP_REPEATS, first=2, where=where)
    stages = len(FACE_REPEATS) + 1
    face = [_width(generator, f"face_encoder_blocks.{i}.0", where=where) for i in range(stages)]
    render = [_transposed_width(decoder, i, where=where) for i in range(len(DECODER_REPEATS))]
    stem = _shape(generator, "lip_encoder.0.weight", rank=5, where=where)
    return {
        "audio": {
            "channels": _sequence_widths(generator, "audio_encoder", AUDIO_REPEATS, where=where),
            "repeats": AUDIO_REPEATS,
        },
        "lip": {
            "stem_channels": stem[0],
            "channels": lip,
            "repeats": LIP_REPEATS,
            "clip_frames": stem[2],
        },
        "face": {"channels": tuple(face), "repeats": FACE_REPEATS},
        "recall": {
            "slots": slots,
            "width": width,
            "scale": 16.0,
            "embeddings": True,
            "fuse_by": "linear",
            "dropout": 0.5,
            "tr_source": "recalled",
            "store_target": "embedded",
        },
        "render": {
            "channels": tuple(render),
            "repeats": DECODER_REPEATS,
            "head_channels": _width(decoder, "output_block.0", where=where),
        },
    }


def discriminator_settings(state: State, *, where: str) -> dict[str, Any]:
    """Settings of `QualityDiscriminator`; raises as `generator_settings`."""
    stages = range(len(DISCRIMINATOR_KERNELS) + 1)
    channels = tuple(_width(state, f"face_encoder_blocks.{i}.0", where=where) for i in stages)
    return {"channels": channels, "kernels": DISCRIMINATOR_KERNELS}


def fill_critic(state: State, settings: Mapping[str, Any], *, size_px: int, where: str) -> Imported:
    """The expert's variables, net name "sync"; raises as `import_sync_critic`."""
    faces = spec(1, CLIP_FRAMES, size_px // 2, size_px, 3)
    like = shapes_of(SyncCritic(**settings), faces, _mel(), train=False, where=where)
    return import_sync_critic(state, like, where=where)


def fill_generator(
    generator: State, decoder: State, settings: Mapping[str, Any], *, where: str
) -> Imported:
    """The generator's variables, net name "gen"; raises as `import_audio_lip_generator`."""
    size, frames = GENERATOR_SIZE_PX, settings["lip"]["clip_frames"]
    inputs = (spec(1, size, size, 6), _mel(), spec(1, frames, size, size, 3))
    like = shapes_of(AudioLipGenerator(**settings), *inputs, train=False, where=where)
    return import_audio_lip_generator(generator, decoder, like, where=where)


def fill_discriminator(state: State, settings: Mapping[str, Any], *, where: str) -> Imported:
    """The discriminator's variables, net name "disc"; raises as `import_discriminator`."""
    half = spec(1, GENERATOR_SIZE_PX // 2, GENERATOR_SIZE_PX, 3)
    like = shapes_of(QualityDiscriminator(**settings), half, train=False, where=where)
    return import_discriminator(state, like, where=where)


def _mel() -> jax.ShapeDtypeStruct:
    return spec(1, MEL_BINS, MEL_FRAMES)


def _sequence_widths(
    state: State, prefix: str, repeats: tuple[int, ...], *, where: str, first: int = 0
) -> tuple[int, ...]:
    """Widths of the stages of a sequence of blocks, and of the two blocks that end it."""
    starts = [first + i + sum(repeats[:i]) for i in range(len(repeats) + 1)]
    return tuple(_width(state, f"{prefix}.{start}", where=where) for start in starts)


def _width(state: State, block: str, *, where: str) -> int:
    return _shape(state, f"{block}.conv_block.0.weight", rank=4, where=where)[0]


def _transposed_width(state: State, stage: int, *, where: str) -> int:
    block = f"face_decoder_blocks.{stage}.0.conv_block.0.weight"
    return _shape(state, block, rank=4, where=where)[1 if stage else 0]


def _shape(state: State, key: str, *, rank: int, where: str) -> tuple[int, ...]:
    if key not in state or state[key].ndim != rank:
        found = f"has shape {state[key].shape}" if key in state else "is missing"
        raise UserError(f"{where}: {key} {found}, want {rank} axes; check KIND and the file")
    return tuple(int(size) for size in state[key].shape)
