"""A lip reader of GRID's 51 words: the readability test (CALS) of talking faces.

    talkjax train --config configs/lip_reader_grid.py:cpu --workdir runs/reader \
        --config.data.path=data/grid --cpu-devices 2

Variants: `full` (mouths at full resolution, many speakers, a GPU), `cpu` (one speaker, two cores,
mouths of 36x48 px), `smoke` (tiny, toy data and its words). For another corpus, and for `smoke` on
your own, give `data.min_word_count`: the vocabulary is then made of its training split's words.
Measured results, with machine and date: benchmarks/README.md.
"""

from ml_collections import ConfigDict

from configs import common

VARIANTS = ("full", "cpu", "smoke")
# GRID's grammar: one word of each class, in this order (Cooke et al. 2006, table I; no w).
GRID_WORDS = dict(
    command=("bin", "lay", "place", "set"),
    colour=("blue", "green", "red", "white"),
    preposition=("at", "by", "in", "with"),
    letter=tuple("abcdefghijklmnopqrstuvxyz"),
    digit=("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    adverb=("again", "now", "please", "soon"),
)


def get_config(variant: str = "full") -> ConfigDict:
    """The run as a table of plain values."""
    common.check_variant(variant, VARIANTS)
    config = ConfigDict()
    config.method = "lip_reader"
    config.run = common.run(
        steps=40_000, picture_every_steps=0, keep_checkpoints=1, best_metric="max:accuracy"
    )
    config.data = common.data(
        path="data/grid",
        sampler="words",
        image_size=128,
        batch_size=32,
        clip_frames=60,  # GRID's words take 55 frames or less
        mel_frames=4,
        max_words=6,
        vocabulary=dict(GRID_WORDS),
        min_word_count=0,
        keep_decoded_mb=1100.0,  # 21k frames of 128 px
    )
    config.data.flip = True
    config.model = ConfigDict(
        dict(
            image_size=128,
            label_smoothing=0.1,
            mixup=0.4,  # Ma et al. 2022
            augmentation=dict(
                shift=0.08,
                scale=0.12,
                blur_px=2.5,
                gamma=0.3,
                colour=0.1,
                speed=0.15,
                time_masks=2,
                time_mask_frames=6,
                boundary_frames=1.0,
            ),
            dtype="float32",
            reader=dict(
                stem=32,
                stages=(64, 128, 256, 512),
                blocks=2,
                width=512,
                dilations=(1, 2, 4),
                points=6,
                points_beside=2,
                hidden=512,
                dropout=0.3,
            ),
        )
    )
    config.loss_weights = ConfigDict(dict(fit=dict(word=1.0, sound=0.3)))
    config.optim = ConfigDict(
        dict(reader=common.adam(learning_rate=3e-4, b1=0.9, b2=0.98, clip_norm=5.0))
    )
    config.optim.reader.update(name="adamw", weight_decay=0.01)
    common.cosine(config.optim.reader, peak=3e-4, steps=40_000)
    config.ema_decay = 0.999
    common.on_its_own(config)
    return globals()[f"_{variant}"](config)


def _full(config: ConfigDict) -> ConfigDict:
    return config


def _cpu(config: ConfigDict) -> ConfigDict:
    """Mouths of 36x48 px and narrow nets: twelve minutes on two cores."""
    common.for_two_cores(config)
    config.run.update(steps=3_000, validate_every_steps=500, save_every_steps=500)
    config.data.image_size = config.model.image_size = 96
    config.data.keep_decoded_mb = 640.0  # 21k frames of 96 px are 576
    config.model.reader.update(
        stem=16, stages=(32, 64, 96), blocks=1, width=160, hidden=256, dropout=0.3
    )
    common.cosine(config.optim.reader, peak=2e-3, steps=3_000)
    config.ema_decay = 0.998
    config.validation.batches = 8
    return config


def _smoke(config: ConfigDict) -> ConfigDict:
    """Seconds; toy data and its words. Sizes and the source change, the losses do not."""
    config = _cpu(config)
    common.for_smoke(config)
    config.data.update(clip_frames=24, max_words=3)
    with config.unlocked():
        config.data.vocabulary = ConfigDict(dict(open=("ah", "ee"), shut=("mm", "oo")))
    config.model.reader.update(stem=4, stages=(8, 8), width=16, dilations=(1,), hidden=16)
    config.optim.reader.update(warmup_steps=1, decay_steps=100)
    return config
