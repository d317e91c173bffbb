"""Toy methods of a few lines, for tests of the trainer: no lips, no images."""

import jax
import jax.numpy as jnp
import numpy as np

from talkjax.methods.api import LossOut, Method, Phase
from talkjax.train.job import Job, RunSettings
from talkjax.train.optim import make_optimizers
from talkjax.train.sharding import make_mesh

WIDTH = 4
BATCH = 16
REPLICATE = [[".*", []]]
# A whole block of config.optim: plain gradient descent.
SGD = {
    "name": "sgd",
    "learning_rate": 0.1,
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_steps": 0,
    "decay_steps": 0,
    "end_factor": 0.0,
    "clip_norm": 0.0,
}


class Batches:
    """Deterministic batches with a saved position, as the input pipeline gives them."""

    def __init__(self, *, width: int = WIDTH, poison_at: int = -1):
        self.position = 0
        self.width = width
        self.poison_at = poison_at

    def __next__(self):
        rng = np.random.default_rng([7, self.position])
        x = rng.normal(size=(BATCH, self.width)).astype(np.float32)
        if self.position == self.poison_at:
            x[0, 0] = np.nan
        self.position += 1
        return {"x": x}

    def get_state(self):
        return {"next": self.position}

    def set_state(self, state):
        self.position = state["next"]


def element_spec(width: int = WIDTH):
    return {"x": jax.ShapeDtypeStruct((BATCH, width), jnp.float32)}


def _linear(key, *, rows, columns):
    return {"kernel": 0.5 * jax.random.normal(key, (rows, columns))}


def gan():
    """A GAN with a lazy penalty, batch statistics, an averaged generator and a frozen expert."""

    def init_fn(key, batch):
        width = batch["x"].shape[1]
        keys = jax.random.split(key)
        params = {
            "gen": _linear(keys[0], rows=width, columns=width),
            "disc": _linear(keys[1], rows=width, columns=1),
        }
        return params, {"gen": {"mean": jnp.zeros(width), "count": jnp.zeros((), jnp.int32)}}

    def generate(params, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        return noise @ params["gen"]["kernel"]

    def score(params, x):
        return (x @ params["disc"]["kernel"])[:, 0]

    def gen_loss(params, model_vars, batch, key):
        fake = generate(params, batch, key)
        old = model_vars["gen"]
        statistics = {
            "mean": 0.9 * old["mean"] + 0.1 * jnp.mean(fake, axis=0),
            "count": old["count"] + 1,
        }
        expert = jnp.abs(fake @ params["critic"]["kernel"])[:, 0]
        terms = {"adversarial": jax.nn.softplus(-score(params, fake)), "expert": expert}
        return LossOut(terms, {"gen": statistics}, {"spread": jnp.std(fake)})

    def disc_loss(params, model_vars, batch, key):
        fake = generate(params, batch, key)
        real_score, fake_score = score(params, batch["x"]), score(params, fake)
        terms = {"real": jax.nn.softplus(-real_score), "fake": jax.nn.softplus(fake_score)}
        return LossOut(terms, {}, {})

    def penalty_loss(params, model_vars, batch, key):
        slope = jax.grad(lambda x: jnp.sum(score(params, x)))(batch["x"])
        return LossOut({"r1": jnp.sum(slope**2, axis=1)}, {}, {})

    return Method(
        init_fn=init_fn,
        phases=(
            Phase("disc", ("disc",), disc_loss),
            Phase("penalty", ("disc",), penalty_loss, every_steps=4),
            Phase("gen", ("gen",), gen_loss),
        ),
        predict_fn=lambda params, model_vars, batch, key: {"fake": generate(params, batch, key)},
        experts=("critic",),
        averaged=("gen",),
        scores_fn=lambda params, model_vars, batch, key: {
            "closeness": -jnp.abs(batch["x"] @ params["gen"]["kernel"])[:, 0]
        },
    )


CRITIC = {"fingerprint": "0123", "seed": 5, "step": 60, "source": "runs/critic"}
GAN_WEIGHTS = {
    "disc": {"real": 1.0, "fake": 1.0},
    "penalty": {"r1": 0.4},
    "gen": {"adversarial": 1.0, "expert": 0.1},
}


def gan_job(*, steps=8, devices=None, optimizer="sgd", width=WIDTH, **changes):
    """The GAN as a job for `fit`; `changes` replace fields of the Job."""
    settings = RunSettings(
        seed=3,
        steps=steps,
        log_every_steps=2,
        validate_every_steps=0,
        save_every_steps=4,
        picture_every_steps=0,
        keep_checkpoints=2,
        best_metric="",
        required="",
        after="",
        profile_steps=(),
    )
    block = SGD | {"name": optimizer, "learning_rate": 0.05}
    values = {
        "method": gan(),
        "settings": settings,
        "config": {"method": "gan", "run": {"seed": 3, "steps": steps, "best_metric": ""}},
        "optimizers": make_optimizers({"gen": block, "disc": block}),
        "loss_weights": GAN_WEIGHTS,
        "ema_decay": 0.9,
        "mesh": make_mesh(["data"], [-1], devices=devices),
        "sharding_rules": REPLICATE,
        "element_spec": element_spec(width),
        "data_settings": {"layout": "toy"},
        "expert_identities": {"critic": CRITIC},
        "experts": {"critic": {"params": {"kernel": np.ones((width, 1), np.float32)}, "vars": {}}},
    }
    return Job(**(values | changes))
