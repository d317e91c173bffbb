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
    config.run = ConfigDict(
        dict(
            seed=0,
            steps=60_000,
            log_every_steps=100,
            validate_every_steps=1_000,
            save_every_steps=1_000,
            picture_every_steps=0,
            keep_checkpoints=1,
            best_metric="max:accuracy",
            profile_steps=(),
        )
    )
    config.data = ConfigDict(
        dict(
            path="data/grid",
            split="train",
            sampler="sync",
            image_size=128,
            batch_size=64,  # clips; times windows_per_clip = the code's 256 windows
            clip_frames=5,
            mel_frames=16,
            windows_per_clip=4,
            flip=False,
            read_threads=4,
            read_ahead_mb=512.0,
            keep_decoded_mb=1100.0,  # 21k frames of 128 px
        )
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
            sync=dict(
                name="adam",
                learning_rate=1e-4,  # hparams.syncnet_lr
                b1=0.9,
                b2=0.999,
                schedule="constant",
                warmup_steps=0,
                decay_steps=0,
                end_factor=0.0,
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
    config.run.update(steps=1_200, log_every_steps=50, validate_every_steps=200)
    config.run.save_every_steps = 200
    config.data.update(image_size=64, batch_size=8, windows_per_clip=6)
    config.data.update(read_threads=1, read_ahead_mb=64.0, keep_decoded_mb=512.0)
    config.model.image_size = 64
    config.model.sync = ConfigDict(
        dict(
            face_channels=(16, 32, 64, 96, 128, 128),
            face_repeats=(0, 1, 1, 1, 1),
            face_last_kernel=4,
            audio_channels=(16, 32, 64, 96, 128),
            audio_repeats=(1, 1, 1, 1),
        )
    )
    config.optim.sync.update(learning_rate=1e-3, schedule="cosine", warmup_steps=100)
    config.optim.sync.update(decay_steps=1_200, end_factor=0.02)
    config.ema_decay = 0.99
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
    config.run.update(steps=4, log_every_steps=1, validate_every_steps=2, save_every_steps=2)
    config.data.update(path="fake://8x40?size=64", image_size=32, batch_size=8)
    config.data.update(windows_per_clip=3, read_ahead_mb=16.0, keep_decoded_mb=0.0)
    config.model.image_size = 32
    config.model.sync = smoke_sync()
    config.optim.sync.update(warmup_steps=1, decay_steps=100)
    config.validation.batches = 1
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
