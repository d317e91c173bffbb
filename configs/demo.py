"""The demo: a critic and a small SyncTalkFace on drawn faces, minutes on two cores.

    make demo

Variants: `critic` (trained first), `lips` (the talking face), `smoke` (tiny, toy data, a random
critic). Everything lies under demo/; launch/demo.sh holds the commands. Measured results, with
machine and date: benchmarks/README.md.
"""

from ml_collections import ConfigDict

from configs import common, sync_critic_synthetic, synctalkface_synthetic

VARIANTS = ("critic", "lips", "smoke")


def get_config(variant: str = "lips") -> ConfigDict:
    """The `cpu` runs on the synthetic corpus, made shorter and narrower."""
    common.check_variant(variant, VARIANTS)
    return globals()[f"_{variant}"]()


def _critic() -> ConfigDict:
    """Enough to hear a sound that is not the face's."""
    config = sync_critic_synthetic.get_config("cpu")
    config.data.path = "demo/data"
    config.run.update(steps=320, validate_every_steps=160, save_every_steps=160)
    common.cosine(config.optim.sync, peak=1.5e-3, steps=320)
    return config


def _lips() -> ConfigDict:
    """A narrow generator whose lips move."""
    config = synctalkface_synthetic.get_config("cpu")
    config.data.path = "demo/data"
    config.experts.sync.update(checkpoint="demo/critic", min_accuracy=0.65)
    config.run.update(steps=850, validate_every_steps=425, save_every_steps=425)
    config.run.picture_every_steps = 425
    # In so short a run a strong critic or discriminator paints speckle upon open mouths.
    config.loss_weights.joint.update(sync=0.12, gan=0.02)
    config.model.mouth_weight = 12.0
    gen = config.model.gen
    gen.audio = ConfigDict(dict(channels=(16, 32, 64, 96, 128), repeats=(1, 1, 1, 1)))
    gen.lip = ConfigDict(
        dict(stem_channels=12, channels=(24, 48, 96, 128), repeats=(0, 0, 0), clip_frames=5)
    )
    gen.face = ConfigDict(dict(channels=(24, 32, 48, 64, 128), repeats=(0, 1, 1, 0), patch=2))
    gen.recall.update(slots=48, width=128)
    gen.render = ConfigDict(
        dict(channels=(128, 96, 64, 48, 32), repeats=(0, 0, 1, 1, 0), head_channels=32, patch=2)
    )
    config.model.disc = ConfigDict(
        dict(channels=(16, 24, 48, 64, 64), kernels=(3, 3, 3, 3), patch=2)
    )
    for net, peak in (("gen", 2e-3), ("disc", 5e-4)):
        common.cosine(config.optim[net], peak=peak, steps=850)
    return config


def _smoke() -> ConfigDict:
    """Seconds; toy data."""
    return synctalkface_synthetic.get_config("smoke")
