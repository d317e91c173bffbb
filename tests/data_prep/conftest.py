"""Small raw videos for preparation tests, and the quickest way to make them."""

import fractions
import pathlib

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def make_video():
    """`make_video(path, frames=30, fps=25, audio=True)`: moving noise with a tone, no face."""

    def make(path: pathlib.Path, *, frames: int = 30, fps: int = 25, audio: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        with av.open(str(path), "w", format="mp4") as container:
            video = container.add_stream("mpeg4", rate=fps)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            sound = container.add_stream("aac", rate=16000, layout="mono") if audio else None
            for _ in range(frames):
                picture = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(video.encode())
            if sound is not None:
                tone = np.sin(np.arange(frames * 16000 // fps) * 0.1).astype(np.float32) * 0.3
                block = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
                block.sample_rate, block.pts = 16000, 0
                block.time_base = fractions.Fraction(1, 16000)
                container.mux(sound.encode(block))
                container.mux(sound.encode())

    return make


@pytest.fixture(scope="session")
def grid(shared):
    """The folder of real GRID clips."""
    return shared / "data" / "public" / "grid_s1"
