"""The audio-visual sync critic of SyncTalkFace on GRID (Park et al. 2022; Prajwal et al. 2020).

    talkjax train --config configs/sync_critic_grid.py:cpu --workdir runs/critic \
        --config.data.path=data/grid

The published loss is `bce` alone (variant `bce`); all others add `contrast`, which gets a critic
off chance sooner and asks what an offset search asks.

Variants: `full` (published size, 128 px, a GPU; begins after `overfit` has passed), `cpu` (64 px,
two cores), `bce` (as cpu, the published loss alone), `near` (from cpu on, near misses), `sharp`
(mouths of 96 px crops, longer, near negatives: for measuring, not for training a 64 px generator),
`varied` (from sharp on, with other voices, light and framing), `judge` (as cpu, other seed and
width: judges what was trained against cpu), `overfit` (as cpu, 50 clips: must pass before a long
run), `smoke` (tiny, toy data).
Measured results, with machine and date: benchmarks/README.md.
"""

from ml_collections import ConfigDict

from configs import common

VARIANTS = ("full", "cpu", "bce", "near", "sharp", "varied", "judge", "overfit", "smoke")


# First and last row, first and last column, as fractions of the side.
LOWER_HALF = (0.5, 1.0, 0.0, 1.0)
# 32x64 of 96 px: lips and the skin about them, most of the jaw.
MOUTH = (0.5625, 0.8958333, 0.1666667, 0.8333333)


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
        consecutive=False,
        keep_decoded_mb=1100.0,  # 21k frames of 128 px
    )
    config.model = ConfigDict(
        dict(
            image_size=128,
            channel_order="bgr",
            min_gap_frames=2,
            bce_gap_frames=0,
            temperature=0.07,
            dtype="float32",
            views=1,
            every_frames=1,
            jitter=no_jitter(),
            sound_jitter=no_sound_jitter(),
            sync=dict(
                face_channels=(32, 64, 128, 256, 512, 512, 512),
                face_repeats=(0, 2, 3, 2, 2, 2),
                face_last_kernel=4,
                face_stem_stride=1,
                audio_channels=(32, 64, 128, 256, 512),
                audio_repeats=(2, 2, 2, 2),
                region=LOWER_HALF,
                ends="relu",
                parts=1,
                context_layers=0,
                context_heads=1,
                learned_temperature=False,
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
    common.on_its_own(config)
    return globals()[f"_{variant}"](config)


def _full(config: ConfigDict) -> ConfigDict:
    """Hours: fifty clips must have been learnt by heart before it begins."""
    config.run.after = "runs/overfit"
    return config


def _cpu(config: ConfigDict) -> ConfigDict:
    """64 px and narrow nets: minutes on two cores."""
    common.for_two_cores(config)
    config.run.update(steps=1_200, validate_every_steps=200, save_every_steps=200)
    config.data.windows_per_clip = 6
    config.model.sync.update(
        face_channels=(16, 32, 64, 96, 128, 128),
        face_repeats=(0, 1, 1, 1, 1),
        audio_channels=(16, 32, 64, 96, 128),
        audio_repeats=(1, 1, 1, 1),
    )
    common.cosine(config.optim.sync, peak=1e-3, steps=config.run.steps)
    config.validation.batches = 12
    return config


def _bce(config: ConfigDict) -> ConfigDict:
    """SyncTalkFace's and Wav2Lip's loss, without the negatives of InfoNCE."""
    config = _cpu(config)
    config.loss_weights.fit.contrast = 0.0
    return config


def _near(config: ConfigDict) -> ConfigDict:
    """Near misses alone left a new net at chance for 700 steps (synthetic corpus): begin later."""
    config = _cpu(config)
    config.init_from = "runs/critic"
    config.run.best_metric = "max:retrieval"
    near_misses(config)
    common.cosine(config.optim.sync, peak=5e-4, steps=config.run.steps)
    return config


def _sharp(config: ConfigDict) -> ConfigDict:
    """As many pixels as `cpu`, of the mouth and its surroundings alone; many near negatives."""
    config = _cpu(config)
    steps = 3_000
    config.run.update(steps=steps, validate_every_steps=300, save_every_steps=300)
    config.run.best_metric = "max:retrieval"
    config.data.update(image_size=96, keep_decoded_mb=3_000.0)
    config.model.image_size = 96
    config.model.sync.region = MOUTH
    # Half the arithmetic of `cpu`, so that a step of more windows takes no longer.
    config.model.sync.update(
        face_stem_stride=2,
        face_channels=(24, 48, 96, 128, 128),
        face_repeats=(0, 1, 1, 1),
        audio_channels=(8, 32, 64, 96, 128),
        audio_repeats=(0, 1, 1, 1),
    )
    stretches(config)
    common.cosine(config.optim.sync, peak=1e-3, steps=steps)
    return config


def _varied(config: ConfigDict) -> ConfigDict:
    """From `sharp` on: when it begins to know its clips by heart, other voices, light, framing."""
    config = _sharp(config)
    config.init_from = "runs/sharp"
    config.run.steps = 2_500
    config.run.update(validate_every_steps=250, save_every_steps=250)
    config.model.jitter = ConfigDict(light_jitter())
    config.model.sound_jitter = ConfigDict(other_voices())
    common.cosine(config.optim.sync, peak=7e-4, steps=config.run.steps)
    return config


def _judge(config: ConfigDict) -> ConfigDict:
    """Another seed and another width than `cpu`, so that its errors are its own."""
    config = _cpu(config)
    config.run.seed = 1
    config.model.sync.face_channels = (24, 48, 64, 96, 128, 96)
    config.model.sync.audio_channels = (24, 48, 64, 96, 96)
    return config


def _overfit(config: ConfigDict) -> ConfigDict:
    """Fifty clips, to be learnt by heart in minutes; the run fails if they are not."""
    return fifty_clips(_cpu(config), steps=600)


def _smoke(config: ConfigDict) -> ConfigDict:
    """Seconds; toy data. Sizes and the source change, the losses do not."""
    config = _cpu(config)
    common.for_smoke(config)
    near_misses(config)
    config.data.update(batch_size=8, windows_per_clip=7)
    config.model.jitter = ConfigDict(light_jitter())
    config.model.sound_jitter = ConfigDict(other_voices())
    config.model.sync.update(smoke_sync())
    config.optim.sync.update(warmup_steps=1, decay_steps=100)
    return config


def smoke_sync() -> ConfigDict:
    """A critic of 32 px crops (16x32 lower halves)."""
    small = dict(
        face_channels=(8, 8, 16, 16, 16),
        face_repeats=(0, 0, 0, 0),
        audio_channels=(8, 8, 16, 16, 16),
        audio_repeats=(0, 0, 0, 0),
    )
    return ConfigDict(get_config("full").model.sync.to_dict() | small)


def near_misses(config: ConfigDict) -> None:
    """Each mouth is held against all sounds within 0.6 s of its clip, as an offset search does."""
    config.data.update(batch_size=12, consecutive=True, windows_per_clip=16)
    config.model.update(every_frames=5, min_gap_frames=1, bce_gap_frames=3)


def stretches(config: ConfigDict) -> None:
    """Near and far moments of a clip at once: eleven mouths of 1.3 s, each against all its sounds.

    Unlike `near_misses` it learns from the first step on, since the far moments are easy. Sounds
    are cheaper than mouths, so there are three for each.
    """
    config.data.update(batch_size=4, consecutive=True, windows_per_clip=32)
    config.model.update(every_frames=3, min_gap_frames=1, bce_gap_frames=3)


def fifty_clips(config: ConfigDict, *, steps: int) -> ConfigDict:
    """Trains and validates on the same fifty clips, and must tell them apart in the end."""
    config.run.update(steps=steps, validate_every_steps=200, save_every_steps=steps)
    config.run.required = "accuracy>=0.9"
    config.data.split = config.validation.split = "train[:50]"
    config.model.jitter = ConfigDict(no_jitter())
    config.model.sound_jitter = ConfigDict(no_sound_jitter())
    common.cosine(config.optim.sync, peak=1e-3, steps=steps)
    return config


def no_jitter() -> dict[str, float]:
    """All frames as they are."""
    place = dict(scale=0.0, shift=0.0, blur_px=0.0, flip=0.0)
    return dict(brightness=0.0, contrast=0.0, colour=0.0) | place


def no_sound_jitter() -> dict[str, float]:
    """All sounds as they are."""
    return dict(level=0.0, tilt=0.0, warp=0.0, noise=0.0)


def other_voices() -> dict[str, float]:
    """What tells voices, rooms and microphones apart, and says nothing of the lips."""
    return dict(level=0.5, tilt=0.4, warp=0.1, noise=0.15)


def light_jitter() -> dict[str, float]:
    """What one camera and one cropper do from day to day."""
    return no_jitter() | dict(brightness=0.1, contrast=0.15, colour=0.05, scale=0.04, shift=0.02)


def strong_jitter() -> dict[str, float]:
    """Views for `visual` (papers' numbers: colour 20 %, 4 of 128 px, blur); unmirrored."""
    moved = dict(scale=0.05, shift=0.03, blur_px=0.7)
    return no_jitter() | dict(brightness=0.1, contrast=0.2, colour=0.2) | moved
