"""Blocks that configs share: what is the same in every run and says nothing about its method.

Sizes, batch, losses and learning rates stand in each config. A function here returns one block,
or changes the sizes of a whole config to fit a smaller machine.
"""

from ml_collections import ConfigDict

# Batch on "data", every parameter on every device.
REPLICATED = ((".*", ()),)


def check_variant(variant: str, known: tuple[str, ...]) -> None:
    """Raises ValueError, naming the variants there are."""
    if variant not in known:
        raise ValueError(f"variant {variant!r} does not exist, want one of {', '.join(known)}")


def run(**settings: str | int) -> ConfigDict:
    """How often what happens; and the length of the run, what it keeps and which step is best."""
    often = dict(log_every_steps=100, validate_every_steps=1_000, save_every_steps=1_000)
    never = dict(profile_steps=(), required="", after="")
    return ConfigDict(dict(seed=0) | never | often | settings)


def data(**settings: str | int | float) -> ConfigDict:
    """The training split, not flipped, read by four threads; and the settings of a sampler."""
    reading = dict(split="train", flip=False, read_threads=4, read_ahead_mb=512.0)
    return ConfigDict(reading | settings)


def adam(*, learning_rate: float, b1: float, b2: float, clip_norm: float) -> dict:
    """Adam at a constant rate, no decay of weights; a clip_norm of 0 does not clip."""
    return dict(
        name="adam",
        learning_rate=learning_rate,
        b1=b1,
        b2=b2,
        eps=1e-8,
        weight_decay=0.0,
        schedule="constant",
        warmup_steps=0,
        decay_steps=0,
        end_factor=0.0,
        clip_norm=clip_norm,
    )


def cosine(optim: ConfigDict, *, peak: float, steps: int) -> None:
    """Makes the rate of an optimizer rise in 100 steps and fall to 2 % of its peak."""
    optim.update(learning_rate=peak, schedule="cosine", warmup_steps=100)
    optim.update(decay_steps=steps, end_factor=0.02)


def one_axis_mesh() -> ConfigDict:
    """All devices along "data"."""
    return ConfigDict(dict(axes=("data",), shape=(-1,)))


def on_its_own(config: ConfigDict) -> None:
    """The batch over all devices, no expert, no earlier run; validated on eight batches."""
    config.mesh = one_axis_mesh()
    config.sharding_rules = REPLICATED
    config.experts = ConfigDict()
    config.init_from = ""
    config.validation = ConfigDict(dict(split="val", batches=8))


def for_two_cores(config: ConfigDict) -> None:
    """64 px and small batches; a short run, so logs come sooner and averages forget faster."""
    config.run.log_every_steps = 50
    config.data.update(image_size=64, batch_size=8, read_threads=1, read_ahead_mb=64.0)
    config.data.keep_decoded_mb = 512.0  # 21k frames of 64 px are 256
    config.model.image_size = 64
    config.ema_decay = 0.99


def for_smoke(config: ConfigDict) -> None:
    """Four steps of 32 px on toy data. The nets are the config's to shrink."""
    config.run.update(steps=4, log_every_steps=1, validate_every_steps=2, save_every_steps=2)
    config.data.update(path="fake://8x40?size=64", image_size=32, batch_size=8)
    config.data.update(read_threads=1, read_ahead_mb=16.0, keep_decoded_mb=0.0)
    config.model.image_size = 32
    config.validation.batches = 1
