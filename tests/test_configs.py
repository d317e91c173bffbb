"""Every published run: it round-trips, its full size fits together, its smoke variant trains."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import (
    demo,
    lip_reader_grid,
    lip_reader_synthetic,
    sync_critic_grid,
    syncnet_grid,
    syncnet_synthetic,
    synctalkface_grid,
    synctalkface_synthetic,
)
from talkjax import assemble, main
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import flat, plain
from talkjax.train.rng import root_key, stream

CONFIGS = {
    f"{module.__name__}:{variant}": (module, variant)
    for module in (
        demo,
        lip_reader_grid,
        lip_reader_synthetic,
        sync_critic_grid,
        syncnet_grid,
        syncnet_synthetic,
        synctalkface_grid,
        synctalkface_synthetic,
    )
    for variant in module.VARIANTS
}
# Specification, section 6; of the generator: audio, lip and face encoder, memory, decoder.
AUTHORS = {
    "gen": 2_812_672 + 10_043_520 + 10_006_064 + 1_148_416 + 28_984_323,
    "disc": 15_948_801,
}
# The paper's memory has no linear layers, so the decoder's 512 x 512 first one sees twice as much.
LINEAR_LAYERS = 2 * (512 * 512 + 512) + 1024 * 512 + 512
FULL_SIZES = {
    "configs.synctalkface_grid:full": AUTHORS,
    "configs.synctalkface_grid:authors": AUTHORS,
    "configs.synctalkface_grid:paper": AUTHORS
    | {"gen": AUTHORS["gen"] - LINEAR_LAYERS + 512 * 512},
    "configs.synctalkface_synthetic:full": AUTHORS,
    "configs.sync_critic_grid:full": {"sync": 3_403_264 + 19_588_480},
    # Of the recorded reference (golden/syncnet_v2/keys.json).
    "configs.syncnet_grid:full": {"syncnet": 13_631_616},
    "configs.syncnet_synthetic:full": {"syncnet": 13_631_616},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_plain_values(name):
    module, variant = CONFIGS[name]
    values = plain(module.get_config(variant))
    assert json.loads(json.dumps(values)) == values


def test_paper_and_authors_code_differ_where_the_specification_says():
    paper, authors = (flat(plain(synctalkface_grid.get_config(v))) for v in ("paper", "authors"))
    assert set(paper) == set(authors)
    assert {key: (paper[key], authors[key]) for key in paper if paper[key] != authors[key]} == {
        "model.gen.recall.tr_source": ("true", "recalled"),
        "model.gen.recall.store_target": ("raw", "embedded"),
        "model.gen.recall.embeddings": (False, True),
        "model.gen.recall.fuse_by": ("concatenation", "linear"),
        "model.gen.recall.dropout": (0.0, 0.5),
        "model.gan_form": ("saturating", "cross_entropy"),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_every_term_has_its_weight_and_every_net_its_optimizer(name):
    """The nets fit the data and each other at the size the config says, without computing."""
    module, variant = CONFIGS[name]
    config = module.get_config(variant)
    method, spec = assemble.build_method(config), assemble.element_spec(config)
    params, model_vars = jax.eval_shape(method.init_fn, jax.random.key(0), spec)
    if name in FULL_SIZES:
        sizes = {
            net: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
            for net, tree in params.items()
        }
        assert sizes == FULL_SIZES[name]
    if method.experts:
        init = assemble.method_module(config.method).init_experts
        expert = jax.eval_shape(
            lambda key, batch: init(key, batch, **assemble.hashable(config.model)),
            jax.random.key(0),
            spec,
        )
        params = params | {net: parts["params"] for net, parts in expert.items()}
        model_vars = model_vars | {net: parts["vars"] for net, parts in expert.items()}
    for phase in method.phases:
        out = jax.eval_shape(
            lambda p, v, b, k, phase=phase: phase.loss_fn(p, v, b, k).terms,
            params,
            model_vars,
            spec,
            jax.random.key(0),
        )
        assert set(out) == set(config.loss_weights[phase.name])
        assert all(term.shape == (config.data.batch_size,) for term in out.values())
        assert set(phase.trains) <= set(config.optim)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [lip_reader_grid, sync_critic_grid, syncnet_grid, synctalkface_grid]
)
def test_smoke_trains_every_net_and_saves_it(module, tmp_path):
    config = module.get_config("smoke")
    main.run(config, tmp_path)
    trained = load_trained(tmp_path, step=config.run.steps)  # the best may be an earlier one
    method = assemble.build_method(config)
    key = stream(root_key(config.run.seed), 0, "init")
    begun, _ = jax.jit(method.init_fn)(
        key, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), assemble.element_spec(config))
    )
    for net in begun:
        pairs = zip(jax.tree.leaves(trained.params[net]), jax.tree.leaves(begun[net]), strict=True)
        changed = [np.isfinite(a).all() and not np.array_equal(a, b) for a, b in pairs]
        assert np.mean(changed) > 0.9, net
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    phase = method.phases[0].name
    totals = [line[f"{phase}/total"] for line in lines if f"{phase}/total" in line]
    assert len(totals) == config.run.steps
    assert np.isfinite(totals).all()
    assert len(set(totals)) == len(totals)
