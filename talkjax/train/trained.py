"""A trained model on its own: in memory, and as a small folder (an export).

An export is a folder of `config.json`, `about.json` and `params.npz`: no optimizer state,
averaged parameters where they are kept. It needs nothing beside it.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import ml_collections
import numpy as np

from talkjax.arrays import Tree
from talkjax.errors import UserError
from talkjax.train.damage import REMEDY, check_keys, read_arrays, read_object
from talkjax.train.files import hashable, plain, write_json

FORMAT_VERSION = 1
ARRAYS_FILE = "params.npz"
# Of the notes of an export; those of a workdir keep another form of the scores.
ABOUT_KEYS = {"step": int, "scores": dict, "data_settings": dict, "empty": list}
# config.method of bare nets, as some public weights are.
NO_METHOD = "none"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model for use: everything on the host (numpy), keyed by net.

    Attributes:
      config: the resolved config of its run.
      params: parameters; for averaged nets the averages.
      model_vars: variables of the same nets.
      step: how many steps it was trained.
      scores: its validation at that very step, {} if there was none.
      data_settings: how its data were prepared.
      experts: the frozen nets that took part in its training, {name: {"fingerprint", "seed",
        "step", "source"}}; {} if there were none, None if it is not known.
      origin: of public weights, where they are from, under which terms, and what of their file
        was left out (`weights/manifest.py`); None for what was trained here.
      began_from: the origin of the public weights that its training began from
        (config.init_from), itself or by way of other trainings; None if there were none, or if
        it is of a version that kept no note of it.
    """

    config: ml_collections.ConfigDict
    params: dict[str, Tree]
    model_vars: dict[str, Tree]
    step: int
    scores: dict[str, float]
    data_settings: dict[str, Any]
    experts: dict[str, dict[str, Any]] | None
    origin: dict[str, Any] | None = None
    began_from: dict[str, Any] | None = None

    @property
    def public_origin(self) -> dict[str, Any] | None:
        """The public weights that are in it: imported, or begun from; terms go with them."""
        return self.origin if self.origin is not None else self.began_from


def fingerprint(params: Mapping[str, Tree]) -> str:
    """Of the parameters {net: tree}: the same weights have the same one wherever they lie."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(dict(params)):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def is_export(folder: pathlib.Path) -> bool:
    return (folder / ARRAYS_FILE).is_file()


def write_export(trained: Trained, out: str | os.PathLike) -> None:
    """Writes a trained model as an export, atomically.

    Raises:
      UserError: if a parameter is no plain number, or the folder cannot be written.
    """
    out = pathlib.Path(out)
    tree = {"params": trained.params, "vars": trained.model_vars}
    flat = flax.traverse_util.flatten_dict(tree, keep_empty_nodes=True, sep="/")
    empty = sorted(name for name, leaf in flat.items() if not hasattr(leaf, "dtype"))
    arrays = {name: leaf for name, leaf in flat.items() if name not in empty}
    odd = sorted(name for name, leaf in arrays.items() if leaf.dtype.kind not in "fiub")
    if odd:
        raise UserError(f"{out}: cannot export {odd}: no plain numbers")
    temporary = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        np.savez(temporary / ARRAYS_FILE, **arrays)
        write_json(temporary / "config.json", plain(trained.config))
        about = {"format": FORMAT_VERSION, "step": trained.step, "scores": trained.scores}
        about |= {"data_settings": trained.data_settings, "experts": trained.experts}
        about |= {"origin": trained.origin, "began_from": trained.began_from}
        write_json(temporary / "about.json", about | {"empty": empty})
        os.replace(temporary, out)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); name another folder, or make room"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_export(folder: pathlib.Path) -> Trained:
    """Reads what `write_export` wrote.

    Raises:
      UserError: if it is of another format, damaged, or says too little.
    """
    about = read_object(folder / "about.json")
    check_keys(about, {"format": int}, where=folder / "about.json")
    check_about(about, folder)
    check_keys(about, ABOUT_KEYS, where=folder / "about.json")
    config = read_object(folder / "config.json")
    check_keys(config, {"method": str}, where=folder / "config.json")
    tree = _read_nets(folder / ARRAYS_FILE, empty=about["empty"])
    return Trained(
        config=ml_collections.ConfigDict(hashable(config)),
        params=tree["params"],
        model_vars=tree["vars"],
        step=about["step"],
        scores=about["scores"],
        data_settings=about["data_settings"],
        experts=about.get("experts"),
        origin=about.get("origin"),
        began_from=about.get("began_from"),
    )


def _read_nets(path: pathlib.Path, *, empty: Sequence[str]) -> dict[str, dict[str, Tree]]:
    """{"params", "vars"}, each keyed by net."""
    flat: dict[str, Any] = read_arrays(path)
    flat |= {name: flax.traverse_util.empty_node for name in empty}
    foreign = sorted(name for name in flat if name.split("/")[0] not in ("params", "vars"))
    if foreign or not any(name.startswith("params/") for name in flat):
        found = ", ".join(foreign[:3]) or "none"
        raise UserError(
            f"{path}: found arrays that are no net's ({found}), want params/... and vars/...; "
            f"{REMEDY}"
        )
    return {"vars": {}} | flax.traverse_util.unflatten_dict(flat, sep="/")


def check_method(trained: Trained, path: os.PathLike | str) -> None:
    """Raises UserError if it holds bare nets, which belong to no method."""
    if trained.config.method == NO_METHOD:
        raise UserError(
            f"{path}: holds the bare nets {sorted(trained.params)}, want a method's; other methods "
            "begin from them with --config.init_from"
        )


def check_about(about: Mapping[str, Any], folder: os.PathLike | str) -> None:
    """Raises UserError unless the notes of a checkpoint or an export can be used."""
    if about["format"] != FORMAT_VERSION:
        raise UserError(
            f"{folder}: checkpoint format {about['format']}, this version of TalkJAX reads "
            f"{FORMAT_VERSION}; use the version that wrote it"
        )
    if "data_settings" not in about:
        raise UserError(
            f"{folder}: does not say how its data were prepared (data_settings), so its crops "
            "cannot be made alike; train it with this version of TalkJAX"
        )
