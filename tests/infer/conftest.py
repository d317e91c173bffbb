"""A synthetic face video, a sound, and a detector that knows where the "face" is."""

import av
import jax
import numpy as np
import pytest

from configs import synctalkface_grid
from talkjax import assemble
from talkjax.infer.predict import Predictor
from talkjax.media.detector import Face
from talkjax.media.video import VideoWriter
from talkjax.methods import synctalkface
from talkjax.train import checkpoint
from talkjax.train.files import hashable
from tests.infer import stub

WIDTH, HEIGHT = 160, 120
VIDEO_FRAMES = 11
# Eye corners and nose of a face whose eye centres are 24 px apart: dlib's order, right first.
LANDMARKS = np.array([[98, 45], [86, 45], [62, 45], [74, 45], [80, 62]], np.float32)


class KnowingDetector:
    """Finds the face at its place, except in frames whose upper left corner is black."""

    def __init__(self, *, scale: float = 1.0, faces: int = 1):
        self.landmarks = (LANDMARKS - LANDMARKS[4]) * np.float32(scale) + LANDMARKS[4]
        self.faces = faces

    def detect(self, rgb):
        if not _is_lit(rgb):
            return []
        box = np.array([50, 30, 110, 90], np.float32)
        here = [Face(box, self.landmarks, 1.0)]
        away = [Face(box + 400, LANDMARKS * np.float32(0.5) + 300, 0.5)]
        return here + away * (self.faces - 1)

    def follow(self, rgb, landmarks_xy_px):
        return landmarks_xy_px, np.full([8, 8], 255 * _is_lit(rgb), np.uint8)

    def confirm(self, patch):
        return 1.0 if patch[0, 0] else None


def _is_lit(rgb) -> bool:
    return bool(rgb[:8, :8].max() > 40)


def frame(number: int) -> np.ndarray:
    """A grey frame whose level tells its number, with a lit corner."""
    rgb = np.full([HEIGHT, WIDTH, 3], 40 + 8 * number, np.uint8)
    rgb[:16, :16] = 220
    return rgb


@pytest.fixture
def video(tmp_path):
    """11 frames whose grey levels rise by 8 a frame."""
    path = tmp_path / "face.mp4"
    with VideoWriter(path, width=WIDTH, height=HEIGHT, crf=4) as writer:
        for number in range(VIDEO_FRAMES):
            writer.write(frame(number))
    return path


@pytest.fixture
def sound(tmp_path):
    """`sound(seconds)` -> a 16 kHz WAV of noise."""

    def write(seconds: float, *, level: float = 0.1):
        path = tmp_path / f"voice_{seconds}_{level}.wav"
        samples = np.random.default_rng(0).normal(0, level, round(seconds * 16_000))
        samples_i16 = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            chunk = av.AudioFrame.from_ndarray(samples_i16[None], format="s16", layout="mono")
            chunk.sample_rate = 16_000
            container.mux(stream.encode(chunk))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def predictor(monkeypatch):
    stub.install(monkeypatch)
    return Predictor(stub.trained(), batch_frames=4)


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """The smoke model with random weights, as an exported checkpoint."""
    config = synctalkface_grid.get_config("smoke")
    batch = assemble.element_spec(config)
    method = synctalkface.build(**hashable(config.model))
    params, model_vars = jax.eval_shape(lambda key: method.init_fn(key, batch), jax.random.key(0))
    generator = np.random.default_rng(0)

    def draw(leaf):  # quicker than to compile the initialisation
        fan_in = max(1, np.prod(leaf.shape[:-1]))
        return generator.normal(0, (3 / fan_in) ** 0.5, leaf.shape).astype(leaf.dtype)

    params = jax.tree.map(draw, params)
    model_vars = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), model_vars)
    folder = tmp_path_factory.mktemp("trained") / "smoke"
    data_settings = {"size_px": 64, "smooth_sigma_frames": 2.5}
    trained = checkpoint.Trained(config, params, model_vars, 3, {}, data_settings, {})
    checkpoint.write_export(trained, folder)
    return folder
