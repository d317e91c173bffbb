"""A sync critic small enough to train in a test; a config file like those in configs/."""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    """The config; variant "no_experts_block" leaves a block out."""
    config = ConfigDict()
    config.method = "sync_critic"
    config.run = ConfigDict(
        dict(
            seed=0,
            steps=4,
            log_every_steps=1,
            validate_every_steps=2,
            save_every_steps=2,
            picture_every_steps=0,
            keep_checkpoints=1,
            best_metric="max:accuracy",
            required="",
            after="",
            profile_steps=(),
        )
    )
    config.data = ConfigDict(
        dict(
            path="fake://8x40?size=32",
            split="train",
            sampler="sync",
            image_size=32,
            batch_size=8,
            clip_frames=5,
            mel_frames=16,
            windows_per_clip=2,
            consecutive=False,
            flip=False,
            read_threads=1,
            read_ahead_mb=8.0,
            keep_decoded_mb=0.0,
        )
    )
    config.model = ConfigDict(
        dict(
            image_size=32,
            channel_order="rgb",
            min_gap_frames=5,
            bce_gap_frames=0,
            temperature=0.1,
            dtype="float32",
            views=1,
            every_frames=1,
            jitter=dict(
                brightness=0.0, contrast=0.0, colour=0.0, scale=0.0, shift=0.0, blur_px=0.0
            ),
            sync=dict(
                face_channels=[4, 4, 4, 4, 8],
                face_repeats=(0, 0, 0, 0),
                face_last_kernel=4,
                audio_channels=(4, 4, 4, 4, 8),
                audio_repeats=(0, 0, 0, 0),
                region=(0.5, 1.0, 0.0, 1.0),
                ends="relu",
                parts=1,
                context_layers=0,
                context_heads=1,
                learned_temperature=False,
            ),
        )
    )
    config.loss_weights = ConfigDict(dict(fit=dict(bce=1.0, contrast=0.1)))
    adam = common.adam(learning_rate=1e-3, b1=0.9, b2=0.999, clip_norm=0.0)
    config.optim = ConfigDict(dict(sync=adam))
    config.ema_decay = 0.9
    config.mesh = ConfigDict(dict(axes=("data",), shape=(1,)))
    config.sharding_rules = [(".*", ())]
    config.experts = ConfigDict()
    config.init_from = ""
    config.validation = ConfigDict(dict(split="val", batches=1))
    if variant == "no_experts_block":
        del config.experts
    return config
