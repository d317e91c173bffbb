"""How far apart lips and sound of a clip are, by a sync critic, and when that can be said."""

import numpy as np

from talkjax.arrays import Float, UInt8
from talkjax.evals import sync

# The farthest shift is then averaged over 16 windows; over a few of them any shift may win.
MIN_WINDOWS = 31


def least_frames(critic: sync.Critic) -> int:
    """Frames that a clip must have for a verdict."""
    return critic.clip_frames - 1 + MIN_WINDOWS


def clip_score(
    critic: sync.Critic, frames_u8: UInt8[np.ndarray, "t h w 3"], mel: Float[np.ndarray, "s m"]
) -> sync.SyncScore:
    """Distance, confidence and offset of a clip over all its windows.

    Args:
      critic: judges.
      frames_u8: crops, 25 a second.
      mel: of the sound that belongs to them, as in the record.

    Raises:
      ValueError: if the clip has less than `least_frames`.
    """
    if len(frames_u8) < least_frames(critic):
        raise ValueError(
            f"clip has {len(frames_u8)} frames, a verdict needs {least_frames(critic)}"
        )
    starts = np.arange(critic.num_windows(len(frames_u8)))
    faces, sounds = critic.faces(frames_u8, starts), critic.sound(mel, starts)
    return sync.sync_score(sync.shift_distances(faces, sounds, starts))
