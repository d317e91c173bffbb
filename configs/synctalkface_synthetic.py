"""SyncTalkFace on the embedded corpus (`talkjax synth`): many faces, known truth.

    talkjax synth data/synthetic --clips 600 --identities 600 --command-fraction 1 --size 64
    talkjax train --config configs/sync_critic_synthetic.py:cpu --workdir runs/critic_synthetic
    talkjax train --config configs/synctalkface_synthetic.py:cpu --workdir runs/lips_synthetic

Variants: `full` (published nets, 128 px, a GPU), `cpu` (64 px, narrow nets, two cores, an hour),
`smoke` (tiny, toy data, a random critic). Measured results: benchmarks/README.md.

Differs from GRID's: nobody is seen twice, so a face must be learned from one reference frame. Heads
move and rows above the mouth know little of the lips, so the visible rows may be those of the
target itself (`pose_gap_frames` 0) and the upper half is shown (`hide_from` 0.5), as in the paper.
"""

from ml_collections import ConfigDict

from configs import common, synctalkface_grid

VARIANTS = ("full", "cpu", "smoke")


def get_config(variant: str = "full") -> ConfigDict:
    """The run as a table of plain values."""
    common.check_variant(variant, VARIANTS)
    config = synctalkface_grid.get_config(variant)
    config.data.pose_gap_frames = 0
    config.model.update(hide_from=0.5, mouth_weight=6.0)
    return globals()[f"_{variant}"](config)


def _full(config: ConfigDict) -> ConfigDict:
    config.data.path = "data/synthetic"
    return config


def _cpu(config: ConfigDict) -> ConfigDict:
    """Narrow nets that see and draw 2 x 2 pixels at once: a step costs a third."""
    config.data.path = "data/synthetic"
    config.run.update(steps=4_000, validate_every_steps=500, save_every_steps=500)
    config.run.picture_every_steps = 1_000
    # Accuracy on faces never seen; 0.5 is a coin.
    config.experts.sync.update(checkpoint="runs/critic_synthetic", min_accuracy=0.75)
    gen = config.model.gen
    gen.audio = ConfigDict(dict(channels=(24, 48, 96, 128, 192), repeats=(1, 1, 1, 1)))
    gen.lip = ConfigDict(
        dict(stem_channels=16, channels=(32, 64, 128, 192), repeats=(0, 0, 0), clip_frames=5)
    )
    gen.face = ConfigDict(dict(channels=(32, 48, 64, 96, 192), repeats=(0, 1, 1, 0), patch=2))
    gen.recall.update(width=192, dropout=0.1)
    gen.render = ConfigDict(
        dict(channels=(192, 128, 96, 64, 48), repeats=(0, 1, 1, 1, 0), head_channels=48, patch=2)
    )
    config.model.disc = ConfigDict(
        dict(channels=(16, 32, 64, 96, 96), kernels=(3, 3, 3, 3), patch=2)
    )
    for net, peak in (("gen", 1.5e-3), ("disc", 5e-4)):
        common.cosine(config.optim[net], peak=peak, steps=4_000)
    return config


def _smoke(config: ConfigDict) -> ConfigDict:
    return config
