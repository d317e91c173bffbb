"""What public weights become: each kind's state dicts to a config and the variables of nets.

A kind becomes the config of a method here (`config.method`), or bare nets (method "none"), which
other methods begin from: `config.nets` = {name: {"net": module and class in `talkjax.nets`,
"settings": its attributes}}.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from talkjax.arrays import Tree
from talkjax.nets.ir_se50 import ARCFACE_SIZE_PX, ArcFace
from talkjax.nets.psp import GradualStyleEncoder
from talkjax.nets.stylegan2 import StyleGan2
from talkjax.nets.stylegan2_discriminator import StyleGan2Discriminator
from talkjax.nets.stylegan3 import StyleGan3
from talkjax.nets.syncnet import SyncNet
from talkjax.weights import psp, style_layout, stylegan2, stylegan3, syncnet, wav2lip
from talkjax.weights.kinds import (
    ARCFACE,
    KINDS,
    NO_METHOD,
    NVIDIA,
    PSP,
    ROSINALITY,
    SYNCNET,
    SYNCTALKFACE,
    check_ignore,
    check_kind,
)
from talkjax.weights.net_shapes import shapes_of, spec
from talkjax.weights.states import Picked, pick
from talkjax.weights.torch_layout import COUNTER_NAME, Imported

COUNTER = "a step counter of BatchNorm, which nothing reads"
CONSTANT = "a constant that the net here has by itself"
UNUSED_OPTION = "a setting of the training"
PSP_SIZE_PX = 256
SYNCNET_SIZE_PX, SYNCNET_STEPS, CEPSTRA = 224, 20, 13


class Built(NamedTuple):
    """What a file becomes.

    Attributes:
      layout: the published layout that its keys have, of its kind's `layouts`.
      config: "method", and what it needs; plain values.
      variables: {net: {collection: tree}}.
      ignored: {key: why it was left out}.
    """

    layout: str
    config: dict[str, Any]
    variables: dict[str, Tree]
    ignored: dict[str, str]


def build(name: str, found: Mapping[str, Any], *, ignore: tuple[str, ...], where: str) -> Built:
    """The nets and config of a file of the kind `name`.

    Args:
      found: the file's entries, of `states.entries`.
      ignore: entries to leave out although they hold tensors.
      where: the file, for error messages.

    Raises:
      UserError: if the file is of another kind, or its keys or shapes are not exactly those of
        the kind's nets.
    """
    kind = KINDS[name]
    check_ignore(ignore, found, where=where)
    found = {entry: value for entry, value in found.items() if entry not in ignore}
    check_kind(name, found, where=where)
    picked = pick(
        found,
        parts=kind.parts,
        optional=kind.optional,
        extras=kind.extras,
        left_out=kind.left_out,
        where=where,
    )
    built = BUILDERS[name](picked, where)
    asked = dict.fromkeys(ignore, "left out as asked for with --ignore")
    return built._replace(ignored=picked.ignored | asked | built.ignored)


def _ignored(*imported: Imported) -> dict[str, str]:
    keys = (key for one in imported for key in one.ignored)
    return {key: COUNTER if key.split(".")[-1] == COUNTER_NAME else CONSTANT for key in keys}


def _bare(nets: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    described = {
        name: {"net": net, "settings": dict(settings)} for name, (net, settings) in nets.items()
    }
    return {"method": NO_METHOD, "nets": described}


def _expert(picked: Picked, where: str) -> Built:
    state = picked.states["critic"]
    layout, settings = wav2lip.critic_settings(state, where=where)
    size_px = wav2lip.EXPERTS[layout].size_px
    got = wav2lip.fill_critic(state, settings, size_px=size_px, where=where)
    model = dict(image_size=size_px, channel_order="bgr", min_gap_frames=2, temperature=0.07)
    data = dict(image_size=size_px, clip_frames=5, mel_frames=16)
    config = {"method": "sync_critic", "data": data}
    config["model"] = model | {"dtype": "float32", "sync": settings}
    return Built(layout, config, got.variables, _ignored(got))


def _synctalkface(picked: Picked, where: str) -> Built:
    generator, decoder = picked.states["generator"], picked.states["decoder"]
    gen = wav2lip.generator_settings(generator, decoder, where=where)
    filled = [wav2lip.fill_generator(generator, decoder, gen, where=where)]
    disc = wav2lip.PUBLISHED_DISCRIMINATOR
    if picked.states["discriminator"]:
        disc = wav2lip.discriminator_settings(picked.states["discriminator"], where=where)
        filled += [wav2lip.fill_discriminator(picked.states["discriminator"], disc, where=where)]
    size_px = wav2lip.GENERATOR_SIZE_PX
    data = dict(image_size=size_px, clip_frames=5, lip_radius_frames=2, mel_frames=16)
    # The authors train with a window that begins one frame before.
    config = {"method": "synctalkface", "data": data | {"audio_shift_frames": -1}}
    config["model"] = dict(
        image_size=size_px,
        channel_order="bgr",
        hide_from=0.5,
        composite=False,
        mouth_weight=1.0,
        lip_statistics="batch",
        lip_target_gradient=True,
        gan_form="cross_entropy",
        dtype="float32",
        gen=gen,
        disc=disc,
        sync=wav2lip.PUBLISHED_CRITIC,
    )
    variables = {net: tree for one in filled for net, tree in one.variables.items()}
    return Built(SYNCTALKFACE, config, variables, _ignored(*filled))


def _syncnet(picked: Picked, where: str) -> Built:
    state = picked.states["net"]
    settings = syncnet.settings_from_state(state, where=where)
    size = SYNCNET_SIZE_PX
    inputs = (spec(1, 5, size, size, 3), spec(1, CEPSTRA, SYNCNET_STEPS))
    like = shapes_of(SyncNet(**settings), *inputs, train=False, where=where)
    got = syncnet.import_syncnet(state, like, where=where)
    config = {
        "method": "syncnet",
        "data": dict(image_size=size, clip_frames=5, mfcc_steps=SYNCNET_STEPS),
        "model": dict(
            image_size=size,
            channel_order="bgr",
            margin=20.0,
            min_gap_frames=2,
            dtype="float32",
            syncnet=settings,
        ),
    }
    return Built(SYNCNET, config, got.variables, _ignored(got))


def _stylegan2(picked: Picked, where: str) -> Built:
    state = _with_mean_style(picked.states["generator"], picked, where=where)
    settings, got = _fill_stylegan2(state, where=where)
    layout = ROSINALITY if stylegan2.is_rosinality(state, where=where) else NVIDIA
    return _players(layout, ("stylegan2.StyleGan2", settings), got, picked, where=where)


def _stylegan3(picked: Picked, where: str) -> Built:
    state = picked.states["generator"]
    settings = stylegan3.settings_from_state(state, where=where)
    net = StyleGan3(**settings)
    like = shapes_of(net, spec(1, settings["width"]), train=False, where=where)
    got = stylegan3.import_stylegan3(state, like, where=where)
    return _players(NVIDIA, ("stylegan3.StyleGan3", settings), got, picked, where=where)


def _players(
    layout: str,
    generator: tuple[str, Mapping[str, Any]],
    got: Imported,
    picked: Picked,
    *,
    where: str,
) -> Built:
    """A generator, and the discriminator where the file has one."""
    nets, filled = {"gen": generator}, [got]
    state = picked.states["discriminator"]
    if state:
        settings = stylegan2.discriminator_settings_from_state(state, where=where)
        size = settings["resolution"]
        net, pictures = StyleGan2Discriminator(**settings), spec(1, size, size, 3)
        like = shapes_of(net, pictures, train=False, where=where)
        filled += [stylegan2.import_stylegan2_discriminator(state, like, where=where)]
        nets["disc"] = ("stylegan2_discriminator.StyleGan2Discriminator", settings)
    variables = {net: tree for one in filled for net, tree in one.variables.items()}
    return Built(layout, _bare(nets), variables, _ignored(*filled))


def _with_mean_style(
    state: Mapping[str, np.ndarray], picked: Picked, *, where: str
) -> dict[str, np.ndarray]:
    """rosinality's generator with the latent_avg that lies beside it."""
    if "latent_avg" not in picked.extras:
        return dict(state)
    found = style_layout.mean_style(picked.extras["latent_avg"], where=where)
    return {**state, "latent_avg": found}


def _fill_stylegan2(
    state: Mapping[str, np.ndarray], *, where: str
) -> tuple[dict[str, Any], Imported]:
    settings = stylegan2.settings_from_state(state, where=where)
    net = StyleGan2(**settings)
    like = shapes_of(net, spec(1, settings["width"]), train=False, where=where)
    return settings, stylegan2.import_stylegan2(state, like, where=where)


def _psp(picked: Picked, where: str) -> Built:
    split = psp.split_checkpoint(
        {"state_dict": picked.states["state"], **picked.extras}, where=where
    )
    settings = psp.settings_from_state(split.encoder, where=where)
    net, pictures = GradualStyleEncoder(**settings), spec(1, PSP_SIZE_PX, PSP_SIZE_PX, 3)
    like = shapes_of(net, pictures, train=False, where=where)
    encoder = psp.import_psp_encoder(split.encoder, like, where=where)
    state = _with_mean_style(split.decoder, picked, where=where)
    decoder_settings, decoder = _fill_stylegan2(state, where=where)
    config = _bare(
        {
            "encoder": ("psp.GradualStyleEncoder", settings),
            "decoder": ("stylegan2.StyleGan2", decoder_settings),
        }
    )
    variables = encoder.variables | {"decoder": decoder.variables["gen"]}
    ignored = {f"encoder.{key}": reason for key, reason in _ignored(encoder).items()}
    ignored |= {f"decoder.{key}": reason for key, reason in _ignored(decoder).items()}
    ignored |= dict.fromkeys(psp.unused_options(picked.extras), UNUSED_OPTION)
    return Built(PSP, config, variables, ignored)


def _arcface(picked: Picked, where: str) -> Built:
    state = picked.states["net"]
    settings = psp.arcface_settings_from_state(state, where=where)
    faces = spec(1, ARCFACE_SIZE_PX, ARCFACE_SIZE_PX, 3)
    like = shapes_of(ArcFace(**settings), faces, train=False, where=where)
    got = psp.import_arcface(state, like, where=where)
    config = _bare({"arcface": ("ir_se50.ArcFace", settings)})
    return Built(ARCFACE, config, got.variables, _ignored(got))


BUILDERS: Mapping[str, Callable[[Picked, str], Built]] = {
    "wav2lip-expert": _expert,
    "synctalkface": _synctalkface,
    "syncnet": _syncnet,
    "stylegan2": _stylegan2,
    "stylegan3": _stylegan3,
    "psp": _psp,
    "arcface": _arcface,
}
