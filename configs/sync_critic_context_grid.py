"""The context-aware discriminative sync critic on GRID (CALS; Park et al. 2024, arXiv 2305.19556).

    talkjax train --config configs/sync_critic_context_grid.py:cpu --workdir runs/context \
        --config.data.path=data/grid

Windows of 1.2 s, six parts of 0.2 s that look at each other. Each mouth must find its sound and
its own second view among other moments. The authors' net and weights are not published.

Variants: `full` (128 px, a GPU; begins after `overfit` has passed), `cpu` (64 px, two cores),
`sharp` (as the 0.2 s critic's, in about its time), `near` (as cpu, from it on, with near misses),
`overfit` (as cpu, 50 clips: must pass before a long run), `smoke` (tiny, toy data).
"""

from ml_collections import ConfigDict

from configs import common, sync_critic_grid

VARIANTS = ("full", "cpu", "sharp", "near", "overfit", "smoke")
PARTS = 6  # of 5 frames and 16 mel frames: 1.2 s


def get_config(variant: str = "full") -> ConfigDict:
    """The 0.2 s critic's run with a longer window and the visual loss."""
    common.check_variant(variant, VARIANTS)
    config = sync_critic_grid.get_config(variant)
    config.data.update(clip_frames=5 * PARTS, mel_frames=16 * PARTS)
    config.model.update(views=2, jitter=ConfigDict(sync_critic_grid.strong_jitter()))
    config.model.sync.update(ends="linear", parts=PARTS, context_layers=2, context_heads=4)
    config.model.sync.learned_temperature = True
    config.loss_weights.fit = ConfigDict(dict(bce=0.0, contrast=1.0, visual=1.0))
    config.run.best_metric = "max:retrieval"
    return globals()[f"_{variant}"](config)


def _full(config: ConfigDict) -> ConfigDict:
    config.run.after = "runs/overfit_context"
    config.model.min_gap_frames = 3  # as specified: papers' negatives are at least 3 frames away
    config.data.batch_size = 32  # clips; four windows of each
    config.model.jitter.flip = 0.5  # as specified; runs of `cpu` stay comparable without
    return config


def _cpu(config: ConfigDict) -> ConfigDict:
    """As many minutes as the 0.2 s critic's 1,200 steps: a step, 288 parts of mouths, takes six."""
    config.data.update(batch_size=6, windows_per_clip=4)
    config.run.update(steps=210, validate_every_steps=70, save_every_steps=70)
    common.cosine(config.optim.sync, peak=1e-3, steps=config.run.steps)
    config.validation.batches = 12
    return config


def _sharp(config: ConfigDict) -> ConfigDict:
    """Mouths every fifth frame share their parts: ten parts make five windows of 1.2 s."""
    config.data.update(batch_size=4, windows_per_clip=24)  # 2.1 s
    config.model.every_frames = 5
    config.run.update(steps=1_200, validate_every_steps=200, save_every_steps=200)
    common.cosine(config.optim.sync, peak=1e-3, steps=config.run.steps)
    return config


def _near(config: ConfigDict) -> ConfigDict:
    """Windows of a clip share their parts, so a step costs half as much."""
    config.init_from = "runs/context"
    sync_critic_grid.near_misses(config)
    config.data.batch_size = 6
    config.run.update(steps=600, validate_every_steps=100, save_every_steps=100)
    common.cosine(config.optim.sync, peak=5e-4, steps=config.run.steps)
    return config


def _overfit(config: ConfigDict) -> ConfigDict:
    config = _cpu(config)
    return sync_critic_grid.fifty_clips(config, steps=300)


def _smoke(config: ConfigDict) -> ConfigDict:
    config.data.update(windows_per_clip=7, batch_size=8)  # of clips of 40 frames
    return config
