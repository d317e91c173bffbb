"""The contrastive sync critic on the embedded corpus (`talkjax synth`).

    talkjax train --config configs/sync_critic_contrastive_synthetic.py:cpu \
        --workdir runs/contrastive

Variants: `full` (128 px, a GPU), `cpu` (64 px, two cores), `sharp` (mouths from 96 px crops, near
negatives, for measuring), `varied` (from sharp on), `overfit` (as cpu, 50 clips), `smoke` (tiny,
toy data).
"""

from ml_collections import ConfigDict

from configs import common, sync_critic_contrastive_grid

VARIANTS = sync_critic_contrastive_grid.VARIANTS


def get_config(variant: str = "full") -> ConfigDict:
    """The critic of GRID, on another data set."""
    common.check_variant(variant, VARIANTS)
    config = sync_critic_contrastive_grid.get_config(variant)
    if variant != "smoke":
        config.data.path = "data/synthetic"
    return config
