"""SyncNet (Chung & Zisserman 2016), trained here on the synthetic corpus to judge lip sync.

    talkjax synth data/synthetic --clips 600 --seed 0
    talkjax train --config configs/syncnet_synthetic.py:cpu --workdir runs/syncnet_synthetic

Variants: `full` (the published net, 224 px, a GPU, a corpus of `--size 224`), `cpu` (96 px and
narrow, two cores), `smoke` (tiny, toy data).
"""

from ml_collections import ConfigDict

from configs import common, syncnet_grid

VARIANTS = syncnet_grid.VARIANTS


def get_config(variant: str = "full") -> ConfigDict:
    """The run as a table of plain values."""
    common.check_variant(variant, VARIANTS)
    config = syncnet_grid.get_config(variant)
    config.run.seed = 3
    config.data.flip = False
    if variant != "smoke":
        config.data.path = "data/synthetic"
    return config
