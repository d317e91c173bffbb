"""config -> the parts of a run: method, frozen experts, data, validation, pictures.

`main` and the tests of the configs use it; what is trained, and how, stands in the config and
in the method, never here.
"""

import functools
import importlib
import inspect
import logging
import pathlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import talkjax.methods
from talkjax.arrays import Batch, Nets, UInt8
from talkjax.data import pipeline, words
from talkjax.data.source import data_settings, open_source
from talkjax.errors import UserError
from talkjax.experts import load_experts
from talkjax.methods.api import Method
from talkjax.train import checkpoint, pictures, sharding
from talkjax.train.files import hashable, plain
from talkjax.train.job import Job, RunSettings
from talkjax.train.loop import Hooks
from talkjax.train.optim import make_optimizers
from talkjax.train.required import parse_required
from talkjax.train.rng import root_key, stream

_log = logging.getLogger(__name__)
PICTURE_ROWS = 4
# From left to right; jit hands dicts back in alphabetical order.
PICTURE_COLUMNS = ("input", "reference", "generated", "truth")


def method_module(name: str) -> ModuleType:
    """`talkjax.methods.<name>`, a published method."""
    found = sorted(module.name for module in pkgutil.iter_modules(talkjax.methods.__path__))
    known = [module for module in found if module != "api"]
    if name not in known:
        raise UserError(f"config.method: got {name!r}, want one of {', '.join(known)}")
    return importlib.import_module(f"talkjax.methods.{name}")


def build_method(config: ConfigDict) -> Method:
    """The method of a config; config.model goes whole into its `build`."""
    build = method_module(config.method).build
    model = hashable(config.model)
    try:
        inspect.signature(build).bind(**model)
    except TypeError as error:
        raise UserError(f"config.model of method {config.method}: {error}") from error
    return build(**model)


def run_settings(config: ConfigDict) -> RunSettings:
    """config.run, refusing unknown and missing keys."""
    known = set(inspect.signature(RunSettings).parameters)
    unknown, missing = sorted(set(config.run) - known), sorted(known - set(config.run))
    if unknown or missing:
        raise UserError(f"config.run: unknown keys {unknown}, missing keys {missing}")
    return RunSettings(**hashable(config.run))


def element_spec(config: ConfigDict) -> Batch:
    """A global batch as shapes; reads no data."""
    specs = pipeline.batch_spec(config.data, batch_size=config.data.batch_size)
    return {name: jax.ShapeDtypeStruct(s.shape, s.dtype) for name, s in specs.items()}


def with_vocabulary(config: ConfigDict) -> ConfigDict:
    """A lip reader's config with the vocabulary that it will have; any other as it is.

    Says how many words of the training split are in it.

    Raises:
      UserError: if there are none.
    """
    if config.data.sampler != "words":
        return config
    path, split = config.data.path, config.data.split
    source = open_source(path, split)
    counts = words.count_words(source[i].words for i in range(len(source)))
    if config.data.min_word_count:
        config = ConfigDict(config.to_dict())
        config.data.vocabulary = words.counted_vocabulary(
            counts, min_count=config.data.min_word_count, where=path
        )
    known = words.word_labels(config.data.vocabulary)
    inside, total = sum(counts[word] for word in known), counts.total()
    if not inside:
        raise UserError(
            f"{path}: none of the {total} words of split {split!r} is in data.vocabulary; "
            + ("make it of what they are with --config.data.min_word_count=10" if total else "")
            + ("" if total else "prepare data that have word alignments")
        )
    _log.info(
        "%s: split %s: %d of %d words are in the vocabulary of %d, the others are skipped",
        *(path, split, inside, total, len(known)),
    )
    return config


def make_job(config: ConfigDict, *, workdir: pathlib.Path, copy_experts: bool) -> Job:
    """Everything of a run but its data, of which only the index is read.

    Args:
      copy_experts: keep a copy of the frozen nets in the workdir, which then needs nothing
        beside it.
    """
    method, settings = build_method(config), run_settings(config)
    spec, prepared = element_spec(config), data_settings(config.data.path)
    experts = load_experts(
        config,
        method,
        module=method_module(config.method),
        workdir=workdir,
        spec=spec,
        data_settings=prepared,
        copy=copy_experts,
    )
    initial, began_from = load_initial(config.init_from)
    return Job(
        method=method,
        settings=settings,
        config=plain(config),
        optimizers=make_optimizers(plain(config.optim)),
        loss_weights=plain(config.loss_weights),
        ema_decay=config.ema_decay,
        mesh=sharding.make_mesh(config.mesh.axes, config.mesh.shape),
        sharding_rules=hashable(config.sharding_rules),
        element_spec=spec,
        data_settings=prepared,
        experts=experts.nets,
        expert_identities=experts.identities,
        initial=initial,
        began_from=began_from,
    )


def load_initial(path: str) -> tuple[Nets, dict[str, Any] | None]:
    """config.init_from: the nets of another run to begin from; "" begins from nothing.

    Returns:
      The nets, and the public weights that are in them (`Trained.began_from`).
    """
    if not path:
        return {}, None
    trained = checkpoint.load_trained(path)
    nets = {
        net: {"params": trained.params[net], "vars": trained.model_vars[net]}
        for net in trained.params
    }
    return nets, trained.public_origin


def make_data(config: ConfigDict, *, split: str, seed: int) -> pipeline.TrainIterator:
    """This process's part of the batches of a split."""
    return pipeline.make_train(
        dict(config.data, split=split),
        batch_size=config.data.batch_size,
        seed=seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )


def make_hooks(config: ConfigDict, job: Job) -> Hooks:
    """Validation, pictures and warnings of a config's method."""
    settings, module = job.settings, method_module(config.method)
    told = dict(alerts=getattr(module, "alerts", None), causes=getattr(module, "causes", None))
    validates = settings.validate_every_steps > 0 and job.method.scores_fn is not None
    parse_required(settings.required)
    for name in ("best_metric", "required"):
        if getattr(settings, name) and not validates:
            raise UserError(
                f"config.run.{name} is set, but nothing validates; set run.validate_every_steps"
            )
    shows = settings.picture_every_steps > 0 and "reference_u8" in job.element_spec
    if not validates and not shows:
        return Hooks(**told)
    data = make_data(config, split=config.validation.split, seed=0)
    return Hooks(
        validate=make_validate(config, job, data) if validates else None,
        pictures=make_pictures(job, data) if shows else None,
        **told,
    )


def make_validate(
    config: ConfigDict, job: Job, data: pipeline.TrainIterator
) -> Callable[[Nets, Nets], dict[str, float]]:
    """Means of the method's scores over the same first windows of the data each time."""
    whole = sharding.replicated(job.mesh)
    placed = sharding.batch_sharding(job.mesh)
    experts = sharding.put_whole(dict(job.experts), whole)

    @functools.partial(jax.jit, out_shardings=whole)
    def scores(params: Nets, model_vars: Nets, experts: Nets, batch: Batch, key: jax.Array):
        params = params | {name: expert["params"] for name, expert in experts.items()}
        model_vars = model_vars | {name: expert["vars"] for name, expert in experts.items()}
        named = job.method.scores_fn(params, model_vars, batch, key)
        return {name: score.astype("float32").mean() for name, score in named.items()}

    first = data.get_state()

    def validate(params: Nets, model_vars: Nets) -> dict[str, float]:
        data.set_state(first)
        found = []
        for index in range(config.validation.batches):
            batch = sharding.put_batch(next(data), placed)
            key = stream(root_key(0), index, "validation")
            found.append(jax.device_get(scores(params, model_vars, experts, batch, key)))
        data.close()
        return {name: float(np.mean([one[name] for one in found])) for name in found[0]}

    return validate


def make_pictures(
    job: Job, data: pipeline.TrainIterator
) -> Callable[[Nets, Nets], dict[str, UInt8[np.ndarray, "h w 3"]]]:
    """A sheet of the first validation clips: input, reference, generated, truth.

    The input is shown where `predict_fn` gives it as "input" (b t h w 3, float RGB).
    """
    whole = sharding.replicated(job.mesh)
    placed = sharding.batch_sharding(job.mesh)

    @functools.partial(jax.jit, out_shardings=whole)
    def predict(params: Nets, model_vars: Nets, batch: Batch, key: jax.Array):
        t = batch["reference_u8"].shape[1]
        radius = (batch["frames_u8"].shape[1] - t) // 2
        truth = batch["frames_u8"][:, radius : radius + t]
        inputs = {"frames_u8": truth, "reference_u8": batch["reference_u8"]}
        inputs["mel_windows"] = batch["mel_windows"]
        out = job.method.predict_fn(params, model_vars, inputs, key)
        columns = {"input": out["input"]} if "input" in out else {}
        columns |= {"reference": inputs["reference_u8"], "generated": out["generated"]}
        columns |= {"truth": truth}
        return {name: frames[:PICTURE_ROWS, t // 2] for name, frames in columns.items()}

    first = data.get_state()

    def draw(params: Nets, model_vars: Nets) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        data.set_state(first)
        batch = sharding.put_batch(next(data), placed)
        data.close()
        key = stream(root_key(0), 0, "pictures")
        columns = jax.device_get(predict(params, model_vars, batch, key))
        columns = {name: columns[name] for name in PICTURE_COLUMNS if name in columns}
        return {"clips": pictures.grid({name: _as_u8(c) for name, c in columns.items()})}

    return draw


def _as_u8(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    scaled = (images.astype(np.float32) + 1.0) * 127.5
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)
