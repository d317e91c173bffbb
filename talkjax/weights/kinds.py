"""The kinds of public weights: how each is known, and what of its file is used.

What they become: `building.py`. This module is light, as the command's help needs it.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from talkjax.errors import UserError
from talkjax.weights.inert_pickle import shown
from talkjax.weights.states import listed

NO_METHOD = "none"
NVIDIA_TERMS = "NVIDIA Source Code License (non-commercial)"
NOT_AVERAGED = "the generator as trained; its moving average is used"
AUGMENTATION = "changes of training pictures"
# Names of layouts.
WAV2LIP, SYNCTALKFACE, SYNCNET = "Wav2Lip", "SyncTalkFace", "SyncNet v2"
ROSINALITY, NVIDIA = "rosinality", "NVIDIA"
PSP, ARCFACE = "pSp", "IR-SE-50"


class Layout(NamedTuple):
    """A published form of a kind, which is what can be detected in a file.

    Whoever trains a net with the public code gets the same layout, so none of this is known of
    a file before the person who imports it says so.

    Attributes:
      source: the repository whose layout it is, and whose public files have it.
      licence: the terms that come with those files, as far as they are known.
    """

    source: str
    licence: str


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of public weights.

    Attributes:
      summary: what it is, for `--help`.
      layouts: {name of a layout: the layout}; which one a file has, `building.py` detects.
      marks: regular expressions; a file is of this kind if each is a whole key in it.
      parts: {part: entries of the file that may hold its state dict}; "" is a bare one.
      optional: parts that may be missing.
      extras: entries handed over beside them.
      left_out: {entry: why it is not wanted}.
    """

    summary: str
    layouts: Mapping[str, Layout]
    marks: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)


def check_ignore(ignore: tuple[str, ...], found: Mapping[str, Any], *, where: str) -> None:
    """Raises UserError if an entry that shall be left out is not there."""
    missing = sorted(set(ignore) - set(found))
    if missing:
        raise UserError(
            f"{where}: --ignore {missing[0]}: there is no such entry; it has {listed(found)}"
        )


def check_kind(name: str, found: Mapping[str, Any], *, where: str) -> None:
    """Raises UserError unless the keys are those of the kind; says of which they are."""
    keys = {
        key.removeprefix("module.")
        for value in found.values()
        if isinstance(value, dict)
        for key in value
        if isinstance(key, str)
    }
    like = [kind for kind, entry in KINDS.items() if _has_marks(keys, entry.marks)]
    if name in like:
        return
    others = [text for text, marks in OTHER_NETS.items() if _has_marks(keys, marks)]
    example = ", ".join(shown(key) for key in sorted(keys)[:3]) or listed(found)
    if like:
        hint = f"it looks like a {' or '.join(like)}; say: talkjax import-weights {like[0]} ..."
    elif others:
        hint = f"it looks like {others[0]}, which cannot be imported"
    else:
        hint = f"it is none of {', '.join(KINDS)}"
    raise UserError(f"{where}: its keys ({example}, ...) are no {name}'s; {hint}")


def _has_marks(keys: set[str], marks: tuple[str, ...]) -> bool:
    return all(any(re.fullmatch(mark, key) for key in keys) for mark in marks)


SYNCTALKFACE_LAYOUT = Layout(
    "jinny960812/SyncTalkFace@9d5d08d", "SyncTalkFace has no licence file: ask its authors"
)
NVIDIA_LAYOUT = Layout("NVlabs/stylegan3@c233a91", NVIDIA_TERMS)
KINDS: Mapping[str, Kind] = {
    "wav2lip-expert": Kind(
        summary="the sync expert of Wav2Lip (lipsync_expert.pth, 96 px) or SyncTalkFace (128 px)",
        layouts={
            WAV2LIP: Layout(
                "Rudrabha/Wav2Lip@5c90fa9",
                "Wav2Lip's README: personal, research and non-commercial use; trained on LRS2",
            ),
            SYNCTALKFACE: SYNCTALKFACE_LAYOUT,
        },
        marks=(
            r"face_encoder\.0\.conv_block\.0\.weight",
            r"audio_encoder\.0\.conv_block\.0\.weight",
        ),
        parts={"critic": ("state_dict", "")},
    ),
    "syncnet": Kind(
        summary="SyncNet v2 (syncnet_v2.model), the judge of LSE-D and LSE-C",
        layouts={SYNCNET: Layout("joonson/syncnet_python@6efbb1c", "syncnet_python: MIT")},
        marks=(r"netcnnaud\.0\.weight", r"netcnnlip\.0\.weight"),
        parts={"net": ("", "state_dict")},
    ),
    "synctalkface": Kind(
        summary="SyncTalkFace as its training script saves it: generator, decoder, discriminator",
        layouts={SYNCTALKFACE: SYNCTALKFACE_LAYOUT},
        marks=(r"mem\.key", r"audio_encoder\.0\.conv_block\.0\.weight"),
        parts={
            "generator": ("model_state_dict",),
            "decoder": ("dec_state_dict",),
            "discriminator": ("disc_state_dict",),
        },
        optional=("discriminator",),
    ),
    "stylegan2": Kind(
        summary="StyleGAN2, rosinality's .pt or NVIDIA's .pkl",
        layouts={
            ROSINALITY: Layout(
                "rosinality/stylegan2-pytorch@bef283a",
                "rosinality: MIT, with parts under NVIDIA's terms; weights converted from "
                f"NVIDIA's: {NVIDIA_TERMS}",
            ),
            NVIDIA: NVIDIA_LAYOUT,
        },
        marks=(r"style\.1\.weight|synthesis\.b4\.const",),
        parts={"generator": ("g_ema", "G_ema", ""), "discriminator": ("d", "D")},
        optional=("discriminator",),
        extras=("latent_avg",),
        left_out={
            "g": NOT_AVERAGED,
            "G": NOT_AVERAGED,
            "augment_pipe": AUGMENTATION,
        },
    ),
    "stylegan3": Kind(
        summary="StyleGAN3-T or -R, NVIDIA's .pkl",
        layouts={NVIDIA: NVIDIA_LAYOUT},
        marks=(r"synthesis\.input\.freqs",),
        parts={"generator": ("G_ema", "g_ema", ""), "discriminator": ("D",)},
        optional=("discriminator",),
        left_out={"G": NOT_AVERAGED, "augment_pipe": AUGMENTATION},
    ),
    "psp": Kind(
        summary="pSp with its StyleGAN2 decoder (psp_ffhq_encode.pt)",
        layouts={
            PSP: Layout(
                "eladrich/pixel2style2pixel@5cfff38",
                f"pSp: MIT; its decoder is StyleGAN2's: {NVIDIA_TERMS}",
            )
        },
        marks=(r"encoder\.styles\.0\.linear\.weight", r"decoder\.style\.1\.weight"),
        parts={"state": ("state_dict",)},
        extras=("latent_avg", "opts"),
    ),
    "arcface": Kind(
        summary="ArcFace IR-SE-50 (model_ir_se50.pth), which says whether faces are one person's",
        layouts={
            ARCFACE: Layout(
                "eladrich/pixel2style2pixel@5cfff38, models/encoders/model_irse.py",
                "not stated with the file; its code (TreB1eN/InsightFace_Pytorch) is under MIT",
            )
        },
        marks=(r"input_layer\.0\.weight", r"output_layer\.3\.weight"),
        parts={"net": ("", "state_dict")},
    ),
}
# Files that lie beside those above and are often mistaken for them.
OTHER_NETS = {
    "Wav2Lip's generator": (
        r"face_encoder_blocks\.0\.0\.conv_block\.0\.weight",
        r"audio_encoder\.0\.conv_block\.0\.weight",
    ),
    "a pSp encoder without its decoder": (r"(encoder\.)?styles\.0\.linear\.weight",),
    "LPIPS or another VGG": (r"(net\.)?features\.0\.weight",),
}
