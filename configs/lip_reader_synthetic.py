"""A lip reader of the synthetic corpus: the words of its commands, on faces it has not seen.

    talkjax train --config configs/lip_reader_synthetic.py:cpu --workdir runs/reader_synthetic \
        --config.data.path=data/synthetic --cpu-devices 2

Variants: `full` (mouths at full resolution, a GPU), `cpu` (two cores, mouths of 24x32 px),
`smoke` (tiny, toy data). The letter a is left out: most of the corpus's other sentences have the
article. Test faces and their sentences occur in no other split. Measured results, with machine and
date: benchmarks/README.md.
"""

from ml_collections import ConfigDict

from configs import common, lip_reader_grid

VARIANTS = lip_reader_grid.VARIANTS


def get_config(variant: str = "full") -> ConfigDict:
    """The run as a table of plain values."""
    common.check_variant(variant, VARIANTS)
    config = lip_reader_grid.get_config(variant)
    if variant != "smoke":
        config.data.path = "data/synthetic"
        letters = lip_reader_grid.GRID_WORDS["letter"]
        config.data.vocabulary.letter = tuple(letter for letter in letters if letter != "a")
        config.data.max_words = 12  # sentences, too
    if variant == "cpu":
        # Drawn crops may be of 64 px: mouths of 24x32, in a net with a stage less.
        config.data.image_size = config.model.image_size = 64
        config.data.keep_decoded_mb = 512.0
        config.model.reader.stages = (32, 64)
    return config
