"""The sync critic on the embedded corpus (`talkjax synth`): many faces, known truth.

    talkjax synth data/synthetic --clips 600 --identities 600 --command-fraction 1 --size 64
    talkjax train --config configs/sync_critic_synthetic.py:cpu --workdir runs/critic_synthetic

Variants: `full` (published size, 128 px, a GPU), `cpu` (64 px, two cores, minutes: enough to train
a generator against), `sharp` (mouths from 96 px crops, near negatives, for measuring),
`varied` (from sharp on, with other voices, light and framing), `judge`
(longer, other seed and width: judges what was trained against cpu), `overfit` (50 clips: must pass
before a long run), `smoke` (tiny, toy data).
"""

from ml_collections import ConfigDict

from configs import common, sync_critic_grid

VARIANTS = ("full", "cpu", "sharp", "varied", "judge", "overfit", "smoke")


def get_config(variant: str = "full") -> ConfigDict:
    """The critic of GRID, on another data set."""
    common.check_variant(variant, VARIANTS)
    config = sync_critic_grid.get_config(variant)
    if variant != "smoke":
        config.data.path = "data/synthetic"
    if variant == "cpu":
        config.run.update(steps=800, validate_every_steps=200, save_every_steps=200)
        common.cosine(config.optim.sync, peak=1e-3, steps=800)
    return config
