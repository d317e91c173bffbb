"""The mel windows of a long recording, block by block, so that no whole spectrogram is held."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from talkjax.ops import mel as mel_ops

# A block's transform takes about 12 kB for each of its mel frames; 320 frames are 4 s.
BLOCK_MEL_FRAMES = 320
# A mel frame needs 400 samples each side and one before (pre-emphasis); 8 frames are 1600.
MARGIN_MEL_FRAMES = 8


def mel_slice(audio: Int[np.ndarray, " n"], first: int, last: int) -> Float[np.ndarray, "s 80"]:
    """`log_mel(audio / 32768)[first:last]` from the samples around it alone.

    Args:
      audio: 16 kHz mono, int16, the whole recording.
      first: first mel frame, from 0.
      last: one past the last mel frame, up to 1 + n // 200.
    """
    start = max(0, first - MARGIN_MEL_FRAMES)
    hop = mel_ops.HOP_SAMPLES
    samples = audio[start * hop : (last + MARGIN_MEL_FRAMES) * hop].astype(np.float32)
    return mel_ops.log_mel(samples / np.float32(32768))[first - start : last - start]


def frame_windows(
    audio: Int[np.ndarray, " n"], *, num_frames: int, mel_frames: int, audio_shift_frames: int
) -> Iterator[Float[np.ndarray, "m {mel_frames}"]]:
    """The mel window of each video frame 0, 1, ... num_frames - 1, in order.

    Equal to `mel_windows` of the whole spectrogram at `mel_start(frame + audio_shift_frames)`:
    beyond the ends of the recording the edge mel frame is repeated.
    """
    total = 1 + len(audio) // mel_ops.HOP_SAMPLES
    starts = mel_ops.mel_start(np.arange(num_frames) + audio_shift_frames)
    block_first, block = 0, np.zeros([0, mel_ops.MEL_BINS], np.float32)
    for start in starts.tolist():
        rows = np.clip(np.arange(start, start + mel_frames), 0, total - 1)
        if rows[-1] >= block_first + len(block):
            block_first = int(rows[0])
            last = min(total, block_first + max(BLOCK_MEL_FRAMES, mel_frames))
            block = mel_slice(audio, block_first, last)
        yield block[rows - block_first].T
