"""The frozen nets of a run: found, checked, and kept in its workdir.

A run keeps a copy of each expert in `experts/<name>` of its workdir, which then needs nothing
beside it. Only what passed the gate is kept, and what is kept is never exchanged.
"""

import importlib
import logging
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from talkjax.arrays import Batch, Nets
from talkjax.errors import UserError
from talkjax.methods.api import Method
from talkjax.train import checkpoint
from talkjax.train.files import hashable, plain
from talkjax.train.rng import root_key, stream

EXPERT_KEYS = {"checkpoint", "min_accuracy", "init"}
EXPERT_INITS = ("checkpoint", "random")
# What an expert must have been trained with: the same pictures and the same stretch of sound.
SAME_CONFIG = ("data.image_size", "data.clip_frames", "data.mel_frames", "model.channel_order")
# How its data must have been prepared: crops of the same size that move alike.
SAME_CROPS = ("size_px", "smooth_sigma_frames")
_log = logging.getLogger(__name__)


class Experts(NamedTuple):
    """Frozen nets {name: {"params", "vars"}} and who they are (`Trained.experts`)."""

    nets: dict[str, Nets]
    identities: dict[str, dict[str, Any]]


def load_experts(
    config: ConfigDict,
    method: Method,
    *,
    module: ModuleType,
    workdir: pathlib.Path,
    spec: Batch,
    data_settings: Mapping[str, Any],
    copy: bool,
) -> Experts:
    """The experts of config.experts, each past its gate.

    Args:
      module: of the method; its `init_experts` makes random ones.
      spec: a global batch as shapes.
      data_settings: how the run's own data were prepared.
      copy: keep a copy of each in the workdir.

    Raises:
      UserError: if an expert is missing, too inaccurate, trained on other crops or mels, or
        another than the one that this workdir was begun with.
    """
    if set(config.experts) != set(method.experts):
        raise UserError(
            f"config.experts has {sorted(config.experts)}, method {config.method} wants "
            f"{sorted(method.experts)}"
        )
    nets, identities = {}, {}
    for name, block in config.experts.items():
        if set(block) != EXPERT_KEYS or block.init not in EXPERT_INITS:
            raise UserError(
                f"config.experts.{name}: got {plain(block)}, want the keys {sorted(EXPERT_KEYS)} "
                f"and init one of {list(EXPERT_INITS)}"
            )
        if block.init == "random" and block.checkpoint:
            raise UserError(
                f"config.experts.{name}.init is 'random', so its checkpoint {block.checkpoint} "
                f"would not be used; add --config.experts.{name}.init=checkpoint"
            )
        if block.init == "random":
            expert = _random_expert(config, name, module=module, spec=spec)
            source, seed = "random", config.run.seed
        else:
            kept = workdir / "experts" / name
            expert, found_in = _find_expert(block, name, kept=kept)
            check_expert(expert, config, name=name, where=found_in, data_settings=data_settings)
            if copy:
                _keep(found_in, kept, step=expert["step"])
            source, seed = block.checkpoint or str(kept), expert["config"].run.seed
        nets[name] = {"params": expert["params"], "vars": expert["vars"]}
        identities[name] = {"fingerprint": expert["fingerprint"], "step": expert["step"]}
        identities[name] |= {"seed": seed, "source": source}
    return Experts(nets, identities)


def _find_expert(
    block: ConfigDict, name: str, *, kept: pathlib.Path
) -> tuple[dict[str, Any], pathlib.Path]:
    """The kept copy if there is one, else config's; and the folder it was found in.

    Raises:
      UserError: if there is neither, or if both are there and differ.
    """
    given = pathlib.Path(block.checkpoint) if block.checkpoint else None
    if not kept.exists():
        if given is None:
            raise UserError(
                f"config.experts.{name}.checkpoint is empty: train the expert first and give its "
                f"workdir with --config.experts.{name}.checkpoint=DIR"
            )
        return checkpoint.load_expert(given), given
    expert = checkpoint.load_expert(kept)
    if given is not None and given.exists():
        other = checkpoint.load_expert(given)
        if other["fingerprint"] != expert["fingerprint"]:
            raise UserError(
                f"{kept}: the kept expert {name} (step {expert['step']}, weights "
                f"{expert['fingerprint']}) is not the one in {given} (step {other['step']}, "
                f"weights {other['fingerprint']}); begin anew in another --workdir, or go on with "
                f"the kept one: --config.experts.{name}.checkpoint={kept} --allow-config-change"
            )
    return expert, kept


def _keep(found_in: pathlib.Path, kept: pathlib.Path, *, step: int) -> None:
    if jax.process_index() == 0 and not kept.exists():
        checkpoint.export(found_in, kept, step=step)
    # All processes come here, whether or not they already saw the copy.
    multihost_utils.sync_global_devices(f"expert {kept.name}")


def _random_expert(
    config: ConfigDict, name: str, *, module: ModuleType, spec: Batch
) -> dict[str, Any]:
    _log.warning(
        "config.experts.%s.init is 'random': this run is trained against noise and is good for "
        "nothing but trying the program",
        name,
    )
    if not hasattr(module, "init_experts"):
        raise UserError(f"method {config.method} has no init_experts; give a checkpoint")
    key = stream(root_key(config.run.seed), 0, f"expert/{name}")
    made = jax.jit(
        lambda key: module.init_experts(
            key,
            jax.tree.map(lambda s: jax.numpy.zeros(s.shape, s.dtype), dict(spec)),
            **hashable(config.model),
        )
    )(key)
    expert = jax.device_get(made[name])
    return expert | {"fingerprint": checkpoint.fingerprint({name: expert["params"]}), "step": 0}


def check_expert(
    expert: Mapping[str, Any],
    config: ConfigDict,
    *,
    name: str,
    where: pathlib.Path,
    data_settings: Mapping[str, Any],
) -> None:
    """The gate: accuracy on its own validation set at its very step, and the same inputs.

    Args:
      where: the folder it was read from, for messages.
      data_settings: how the run's own data were prepared.

    Raises:
      UserError: naming both values.
    """
    least, scores = config.experts[name].min_accuracy, expert["scores"]
    if "accuracy" not in scores and expert["origin"] is not None:
        raise UserError(
            f"{where}: expert {name} is imported weights, which nobody has measured on your data; "
            f"import {expert['origin']['file']} again with --data {config.data.path}"
        )
    if "accuracy" not in scores:
        raise UserError(
            f"{where}: expert {name} was not validated at its step {expert['step']}; train it "
            "to its end, or save only at steps that validate (run.save_every_steps a multiple of "
            "run.validate_every_steps)"
        )
    if not scores["accuracy"] >= least:
        raise UserError(
            f"{where}: expert {name} has validation accuracy {scores['accuracy']:.4f}, "
            f"config.experts.{name}.min_accuracy wants {least:.4f}; train the expert longer or "
            "on more data"
        )
    theirs, ours = plain(expert["config"]), plain(config)
    pairs = {path: (_lookup(theirs, path), _lookup(ours, path)) for path in SAME_CONFIG}
    # What runs saved before a setting existed lack of a net, its method knows.
    module = importlib.import_module(f"talkjax.methods.{theirs['method']}")
    complete = getattr(module, "net_settings", None)
    nets = tuple(_lookup(config, f"model.{name}") for config in (theirs, ours))
    if complete is not None and all(isinstance(net, Mapping) for net in nets):
        nets = tuple(complete(hashable(net)) for net in nets)
    pairs[f"model.{name}"] = nets
    for key in SAME_CROPS:
        crops = (_lookup(expert["data_settings"], key), _lookup(data_settings, key))
        pairs[f"crops prepared with {key}"] = crops
    for what, (their, our) in pairs.items():
        if their != our:
            raise UserError(
                f"{where}: expert {name} was trained with {what} = {their}, this run has "
                f"{our}; make them equal"
            )


def _lookup(config: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        if key not in config:
            return "nothing"
        config = config[key]
    return config
