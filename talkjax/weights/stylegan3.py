"""From NVIDIA's StyleGAN3 (the state dict of G_ema), T or R, to `nets.stylegan3`.

The frequencies and phases of the input come along; the FIR filters are checked and left.
Its discriminator is StyleGAN2's: `weights.stylegan2.import_stylegan2_discriminator`.

Source of the key names: NVlabs/stylegan3@c233a91.
"""

import re
from typing import Any

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.nets.stylegan3_plan import KERNELS, LayerPlan, plan
from talkjax.weights import style_layout
from talkjax.weights.states import listed
from talkjax.weights.torch_layout import (
    Imported,
    Source,
    State,
    as_is,
    conv_layout,
    dense_layout,
    fill_nets,
)

# L<index>_<side>_<channels>
LAYER = re.compile(r"synthesis\.L{0}_{0}_{0}\.weight".replace("{0}", style_layout.NUMBER))
INPUT = {"frequencies": "freqs", "phases": "phases", "transform": "transform"}


def is_stylegan3(state: State) -> bool:
    """Whether a state dict has the layers of a StyleGAN3 generator."""
    return any(LAYER.fullmatch(key.removeprefix("module.")) for key in state)


def settings_from_state(state: State, *, where: str) -> dict[str, Any]:
    """Attributes of the `StyleGan3` that a generator's state dict fills.

    Raises:
      UserError: if the state is no StyleGAN3 generator, or its layers are others than those
        that its first and last ones imply.
    """
    state = style_layout.plain_state(state)
    names = _layer_names(state)
    if len(names) < 3:
        raise UserError(
            f"{where}: holds no StyleGAN3 generator (synthesis.L0_..., ...) but "
            f"{listed(sorted(state))}; give the entries of G_ema"
        )
    first = style_layout.needed(state, f"{names[0]}.weight", 4, where=where)
    configs = [config for config, side in KERNELS.items() if first.shape[2:] == (side, side)]
    if not configs:
        raise UserError(
            f"{where}: kernels are {first.shape[2:]}, want 3x3 (T) or 1x1 (R); such a net "
            "cannot be read"
        )
    _, resolution, channels = _numbers(names[-2])
    depth = style_layout.mapping_layers(state, "mapping.fc#.weight", where=where)
    last = style_layout.needed(state, f"mapping.fc{depth - 1}.weight", 2, where=where)
    synthesis = {
        "resolution": resolution,
        # The layer before to-RGB keeps frequencies up to resolution / 2.
        "channel_base": channels * resolution,
        "channel_max": int(first.shape[1]),
        "config": configs[0],
    }
    _check_layers(synthesis, names, where=where)
    return synthesis | {"mapping_layers": depth, "width": int(last.shape[0])}


def import_stylegan3(state: State, like: Tree, *, where: str) -> Imported:
    """`StyleGan3`, net name "gen".

    Args:
      state: {key: array} of a generator.
      like: variables (or their shapes) of the net to fill.
      where: the file, for error messages.

    Raises:
      UserError: if keys, shapes or filters are not exactly those of the net.
    """
    settings = settings_from_state(state, where=where)
    state = style_layout.plain_state(state)
    names = _layer_names(state)
    filters = {}
    for name, layer in zip(names, _layers(settings), strict=True):
        if not layer.to_rgb:
            prefix = re.escape(name)
            filters[rf"{prefix}\.up_filter"] = layer.up_taps()
            filters[rf"{prefix}\.down_filter"] = layer.down_taps()
    state, left = style_layout.without_filters(state, filters, where=where)
    sources = {"gen": lambda path: _source(path, names)}
    got = fill_nets(state, {"gen": like}, sources, where=where)
    return Imported(got.variables, tuple(sorted(got.ignored + left)))


def _layer_names(state: State) -> list[str]:
    """ "synthesis.L0_36_512" and so on, in order."""
    found = [key.removesuffix(".weight") for key in state if LAYER.fullmatch(key)]
    return sorted(found, key=_numbers)


def _numbers(name: str) -> tuple[int, int, int]:
    """(index, side, channels) of a layer's name."""
    return tuple(int(part) for part in LAYER.fullmatch(f"{name}.weight").groups())


def _layers(settings: dict[str, Any]) -> tuple[LayerPlan, ...]:
    wanted = ("channel_base", "channel_max", "config")
    return plan(settings["resolution"], **{key: settings[key] for key in wanted})[1]


def _check_layers(settings: dict[str, Any], names: list[str], *, where: str):
    try:
        layers = _layers(settings)
    except ValueError as error:  # of a resolution that no such net has
        raise UserError(f"{where}: {error}") from error
    want = [f"synthesis.L{i}_{layer.out_px}_{layer.out_channels}" for i, layer in enumerate(layers)]
    if names != want:
        odd = [f"{got} instead of {name}" for got, name in zip(names, want, strict=False)]
        odd = [text for text in odd if len(set(text.split(" instead of "))) > 1]
        raise UserError(
            f"{where}: its {len(names)} layers are not the {len(want)} of a published StyleGAN3 "
            f"of {settings} ({'; '.join(odd[:3])}); such a net cannot be read"
        )


def _source(path, names: list[str]) -> Source:
    collection, part, *rest = path
    if part == "mapping":
        if collection == "averages":
            return Source("mapping.w_avg", as_is)
        return style_layout.dense_source(f"mapping.fc{rest[0].removeprefix('layer_')}", rest[1])
    name, *leaf = rest
    if name == "input":
        prefix = "synthesis.input"
        if collection == "buffers":
            return Source(f"{prefix}.{INPUT[leaf[0]]}", as_is)
    else:
        prefix = names[int(name.removeprefix("layer_"))]
    if leaf[0] == "affine":
        return style_layout.dense_source(f"{prefix}.affine", leaf[1])
    if leaf == ["kernel"]:
        layout = dense_layout if name == "input" else conv_layout
        return Source(f"{prefix}.weight", layout)
    return Source(f"{prefix}.{ {'magnitude': 'magnitude_ema', 'bias': 'bias'}[leaf[0]] }", as_is)
