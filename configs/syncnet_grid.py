"""SyncNet (Chung & Zisserman 2016), trained here on GRID to judge lip sync (LSE-D, LSE-C).

    talkjax train --config configs/syncnet_grid.py:cpu --workdir runs/syncnet \
        --config.data.path=data/grid

Its numbers cannot be compared with those of the public weights.

Variants: `full` (the published net, 224 px, a GPU, data of `--size 224`), `cpu` (96 px and
narrow, two cores), `smoke` (tiny, toy data).
"""

from ml_collections import ConfigDict

from configs import common

VARIANTS = ("full", "cpu", "smoke")


def get_config(variant: str = "full") -> ConfigDict:
    """The run as a table of plain values."""
    common.check_variant(variant, VARIANTS)
    config = ConfigDict()
    config.method = "syncnet"
    config.run = common.run(
        steps=60_000, picture_every_steps=0, keep_checkpoints=1, best_metric="max:accuracy"
    )
    config.run.seed = 2  # not that of any critic
    config.data = common.data(
        path="data/grid",
        sampler="sync_mfcc",
        image_size=224,
        batch_size=32,  # clips
        clip_frames=5,
        mfcc_steps=20,
        windows_per_clip=8,
        jpeg_quality=(20, 95),  # what the protocol's recompression makes of 25 frames a second
        keep_decoded_mb=3300.0,  # 21k frames of 224 px
    )
    config.data.flip = True
    config.model = ConfigDict(
        dict(
            image_size=224,
            channel_order="bgr",
            margin=20.0,
            min_gap_frames=2,
            dtype="float32",
            syncnet=dict(
                lip_channels=(96, 256, 256, 256, 256, 512),
                lip_last_kernel=6,
                sound_channels=(64, 192, 384, 256, 256, 512),
                hidden=512,
                width=1024,
            ),
        )
    )
    config.loss_weights = ConfigDict(dict(fit=dict(contrastive=1.0)))
    adam = common.adam(learning_rate=1e-4, b1=0.9, b2=0.999, clip_norm=1.0)
    config.optim = ConfigDict(dict(syncnet=adam))
    config.ema_decay = 0.999
    common.on_its_own(config)
    return globals()[f"_{variant}"](config)


def _full(config: ConfigDict) -> ConfigDict:
    return config


def _cpu(config: ConfigDict) -> ConfigDict:
    """96 px and narrow: the last lip kernel shrinks with the side (nets/syncnet.py)."""
    common.for_two_cores(config)
    config.run.update(steps=1_600, validate_every_steps=200, save_every_steps=200)
    config.data.update(image_size=96, windows_per_clip=6, keep_decoded_mb=600.0)
    config.model.update(image_size=96, margin=8.0)
    config.model.syncnet = ConfigDict(
        dict(
            lip_channels=(24, 64, 96, 96, 96, 128),
            lip_last_kernel=2,
            sound_channels=(24, 48, 96, 96, 96, 128),
            hidden=128,
            width=128,
        )
    )
    common.cosine(config.optim.syncnet, peak=1e-3, steps=1_600)
    config.validation.batches = 12
    return config


def _smoke(config: ConfigDict) -> ConfigDict:
    """Seconds; toy data. Sizes and the source change, the loss does not."""
    config = _cpu(config)
    common.for_smoke(config)
    # The smallest side that the net's layers leave something of.
    config.data.update(image_size=64, windows_per_clip=3)
    config.model.update(image_size=64, margin=2.0)
    config.model.syncnet = ConfigDict(
        dict(
            lip_channels=(8, 8, 8, 8, 8, 16),
            lip_last_kernel=1,
            sound_channels=(8, 8, 8, 8, 8, 16),
            hidden=16,
            width=16,
        )
    )
    config.optim.syncnet.update(warmup_steps=1, decay_steps=100)
    return config
