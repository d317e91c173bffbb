"""The contrastive sync critic on GRID (StyleTalker's discriminator; Min et al. 2022).

    talkjax train --config configs/sync_critic_contrastive_grid.py:cpu --workdir runs/contrastive \
        --config.data.path=data/grid

InfoNCE alone, other moments of the same clip among the negatives, linear ends, a learned
temperature. The authors' net and numbers are not published: sizes are those of the BCE critic.
`full` has 32 clips of 9 windows, each window against 8 others of its clip and 279 of other clips
(as specified: 256 windows, 8 shifted sounds beside each).
Differs: those 8 are windows of the batch, from anywhere in the clip, not 3 to 15 frames away; the
few that are nearer than 3 frames do not count.

Variants: `full` (published size of SyncTalkFace's critic, 128 px, a GPU), `cpu` (64 px, two
cores), `sharp` (mouths from 96 px crops, near negatives, for measuring), `varied` (from sharp on,
with other voices, light and framing), `overfit` (as cpu, 50 clips: must pass before a long run),
`smoke` (tiny, toy data).
"""

from ml_collections import ConfigDict

from configs import common, sync_critic_grid

VARIANTS = ("full", "cpu", "sharp", "varied", "overfit", "smoke")


def get_config(variant: str = "full") -> ConfigDict:
    """The BCE critic's run with another loss, other ends and a learned temperature."""
    common.check_variant(variant, VARIANTS)
    config = sync_critic_grid.get_config(variant)
    config.run.best_metric = "max:retrieval"
    config.loss_weights.fit.update(bce=0.0, contrast=1.0)
    config.model.temperature = 0.07  # at first
    config.model.sync.update(ends="linear", learned_temperature=True)
    if variant == "full":
        config.run.after = "runs/overfit_contrastive"
        config.data.update(batch_size=32, windows_per_clip=9)
        config.model.min_gap_frames = 3
    return config
