"""The audio-visual sync critic of SyncTalkFace on GRID (Park et al. 2022; Prajwal et al. 2020).

    talkjax train --config configs/sync_critic_grid.py:cpu --workdir runs/critic \
        --config.data.path=data/grid

Variants: `full` (published size, 128 px, a GPU), `cpu` (64 px, two cores), `judge` (as cpu, other
seed and width: judges what was trained against cpu), `smoke` (tiny, toy data).
Measured results, with machine and date: benchmarks/README.md.
"""

from ml_collections import ConfigDict

from configs import common

VARIANTS = ("full", "cpu", "judge", "smoke")


def get_config(variant: str = "full") -> ConfigDict:
    """The run as a table of plain values."""
    common.check_variant(variant, VARIANTS)
    config = ConfigDict()
    config.method = "sync_critic"
    config.run = common.run(
        steps=60_000, picture_every_steps=0, keep_checkpoints=1, best_metric="max:accuracy"
    )
    config.data = common.data(
        path="data/grid",
        sampler="sync",
        image_size=128,
        batch_size=64,  # clips; times windows_per_clip = the code's 256 windows
        clip_frames=5,
        mel_frames=16,
        windows_per_clip=4,
        keep_decoded_mb=1100.0,  # 21k frames of 128 px
    )
    config.model = ConfigDict(
        dict(
            image_size=128,
            channel_order="bgr",
            min_gap_frames=2,
            temperature=0.07,
            dtype="float32",
            sync=dict(
                face_channels=(32, 64, 128, 256, 512, 512, 512),
                face_repeats=(0, 2, 3, 2, 2, 2),
                face_last_kernel=4,
                audio_channels=(32, 64, 128, 256, 512),
                audio_repeats=(2, 2, 2, 2),
            ),
        )
    )
    config.loss_weights = ConfigDict(dict(fit=dict(bce=1.0, contrast=1.0)))
    config.optim = ConfigDict(
        dict(
            sync=common.adam(
                learning_rate=1e-4,  # hparams.syncnet_lr
                b1=0.9,
                b2=0.999,
                clip_norm=1.0,
            )
        )
    )
    config.ema_decay = 0.999
    config.mesh = common.one_axis_mesh()
    config.sharding_rules = common.REPLICATED
    config.experts = ConfigDict()
    config.init_from = ""
    config.validation = ConfigDict(dict(split="val", batches=8))
    return globals()[f"_{variant}"](config)


def _full(config: ConfigDict) -> ConfigDict:
    return config


def _cpu(config: ConfigDict) -> ConfigDict:
    """64 px and narrow nets: minutes on two cores."""
    common.for_two_cores(config)
    config.run.update(steps=1_200, validate_every_steps=200, save_every_steps=200)
    config.data.windows_per_clip = 6
    config.model.sync = ConfigDict(
        dict(
            face_channels=(16, 32, 64, 96, 128, 128),
            face_repeats=(0, 1, 1, 1, 1),
            face_last_kernel=4,
            audio_channels=(16, 32, 64, 96, 128),
            audio_repeats=(1, 1, 1, 1),
        )
    )
    common.cosine(config.optim.sync, peak=1e-3, steps=1_200)
    config.validation.batches = 12
    return config


def _judge(config: ConfigDict) -> ConfigDict:
    """Another seed and another width than `cpu`, so that its errors are its own."""
    config = _cpu(config)
    config.run.seed = 1
    config.model.sync.face_channels = (24, 48, 64, 96, 128, 96)
    config.model.sync.audio_channels = (24, 48, 64, 96, 96)
    return config


def _smoke(config: ConfigDict) -> ConfigDict:
    """Seconds; toy data. Sizes and the source change, the losses do not."""
    config = _cpu(config)
    common.for_smoke(config)
    config.data.windows_per_clip = 3
    config.model.sync = smoke_sync()
    config.optim.sync.update(warmup_steps=1, decay_steps=100)
    return config


def smoke_sync() -> ConfigDict:
    """A critic of 32 px crops (16x32 lower halves)."""
    return ConfigDict(
        dict(
            face_channels=(8, 8, 16, 16, 16),
            face_repeats=(0, 0, 0, 0),
            face_last_kernel=4,
            audio_channels=(8, 8, 16, 16, 16),
            audio_repeats=(0, 0, 0, 0),
        )
    )
