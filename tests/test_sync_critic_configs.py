"""Every sync critic's config: it round-trips, its parts fit together, its smoke variant trains."""

import importlib
import json
import pathlib

import jax
import numpy as np
import pytest

from configs import sync_critic_context_grid, sync_critic_contrastive_grid, sync_critic_grid
from talkjax import assemble, main
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import flat, plain

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "configs"
MODULES = {
    path.stem: importlib.import_module(f"configs.{path.stem}")
    for path in sorted(FOLDER.glob("sync_critic_*.py"))
}
VARIANTS = [(name, variant) for name, module in MODULES.items() for variant in module.VARIANTS]
EVERY_SETTING = set(flat(plain(sync_critic_grid.get_config("full").model)))


def test_there_are_configs_of_three_critics():
    assert {"sync_critic_grid", "sync_critic_context_grid", "sync_critic_contrastive_grid"} <= set(
        MODULES
    )


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_config_is_plain_and_names_every_setting(name, variant):
    config = MODULES[name].get_config(variant)
    values = plain(config)
    assert json.loads(json.dumps(values)) == values
    assert set(flat(values["model"])) == EVERY_SETTING


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_the_net_fits_the_data_and_every_term_has_its_weight(name, variant):
    """At the size that the config says, without computing."""
    config = MODULES[name].get_config(variant)
    method, spec = assemble.build_method(config), assemble.element_spec(config)
    params, model_vars = jax.eval_shape(method.init_fn, jax.random.key(0), spec)
    loss = method.phases[0].loss_fn
    terms = jax.eval_shape(
        lambda p, v, b, k: loss(p, v, b, k).terms, params, model_vars, spec, jax.random.key(0)
    )
    assert set(terms) == set(config.loss_weights.fit)
    assert all(term.shape == (config.data.batch_size,) for term in terms.values())
    scores = jax.eval_shape(method.scores_fn, params, model_vars, spec, jax.random.key(0))
    assert config.run.best_metric.removeprefix("max:") in scores
    assert {"accuracy", "retrieval", "retrieval_chance"} <= set(scores)


def test_three_critics_are_one_method_with_other_values():
    names = (sync_critic_grid, sync_critic_contrastive_grid, sync_critic_context_grid)
    configs = [module.get_config("cpu") for module in names]
    assert {config.method for config in configs} == {"sync_critic"}
    bce, contrastive, context = configs
    assert bce.loss_weights.fit.to_dict() == {"bce": 1.0, "contrast": 1.0}
    assert contrastive.loss_weights.fit.to_dict() == {"bce": 0.0, "contrast": 1.0}
    assert context.loss_weights.fit.to_dict() == {"bce": 0.0, "contrast": 1.0, "visual": 1.0}
    assert [c.data.clip_frames / 25 for c in configs] == [0.2, 0.2, 1.2]
    assert [c.data.mel_frames / 80 for c in configs] == [0.2, 0.2, 1.2]


@pytest.mark.parametrize("name", [name for name in MODULES if name.endswith("_grid")])
def test_fifty_clips_are_learnt_and_judged_by_heart(name):
    config = MODULES[name].get_config("overfit")
    assert config.data.split == config.validation.split == "train[:50]"
    assert config.run.required.startswith("accuracy>=")
    assert not any(config.model.jitter.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_smoke_trains_and_saves(name, tmp_path):
    config = MODULES[name].get_config("smoke")
    main.run(config, tmp_path)
    trained = load_trained(tmp_path)
    assert trained.step == config.run.steps
    assert 0.0 <= trained.scores["retrieval"] <= 1.0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    totals = [line["fit/total"] for line in lines if "fit/total" in line]
    assert len(set(totals)) == config.run.steps and np.isfinite(totals).all()
    reports = [line for line in lines if "fit/total" in line]
    assert all(line["fit/retrieval_chance"] == pytest.approx(1 / 7) for line in reports)
