"""The method itself, with random weights at toy size: a film and a report of the commands."""

import argparse
import json

import cv2
import jax
import numpy as np
import pytest

from talkjax import cli
from talkjax.commands import evaluate
from talkjax.infer import generate
from talkjax.media.detector import DlibDetector
from talkjax.media.picture import read_picture
from talkjax.media.video import VideoWriter, probe
from talkjax.methods import synctalkface
from talkjax.ops import geometry
from talkjax.ops import mel as mel_ops
from talkjax.train.checkpoint import load_trained
from tests.evals.test_evaluate_command import _dark_mouth

pytestmark = pytest.mark.slow
SECONDS = 0.8


@pytest.fixture
def film(export, shared, tmp_path, monkeypatch, capsys):
    """`film(audio)` -> the frames of a still face saying it, as they go to the encoder."""
    frames = []

    class Recorder(VideoWriter):
        def write(self, rgb):
            frames.append(rgb.copy())
            super().write(rgb)

    monkeypatch.setattr(generate, "VideoWriter", Recorder)

    def make(audio):
        frames.clear()
        face, out = shared / "data/public/faces/id01_grid_still.png", tmp_path / "out.mp4"
        flags = ["--face", str(face), "--audio", str(audio), "--out", str(out), "--json"]
        assert cli.main(["generate", "--checkpoint", str(export), *flags]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["frames"] == len(frames) == round(SECONDS * 25)
        assert abs(probe(out).duration_s - SECONDS) <= 0.02 + 1e-6
        return np.stack(frames)

    return make


def _may_change(picture, hide_from):
    """Pixels of the picture under the part of the crop that is hidden from the model."""
    (face,) = DlibDetector().detect(picture)
    place = geometry.smooth_crops(face.landmarks_xy_px[None], 64, 0)[0]
    rows = np.arange(64)[:, None] * np.ones([1, 64])
    inside = np.where(rows >= hide_from * 64 - 1, 255, 0).astype(np.uint8)
    size = (picture.shape[1], picture.shape[0])
    return cv2.warpAffine(inside, place.astype(np.float64), size) > 0


def test_only_what_is_hidden_changes_and_with_the_sound(export, shared, film, sound):
    picture, _ = read_picture(shared / "data/public/faces/id01_grid_still.png")
    loud, silent = film(sound(SECONDS, level=0.2)), film(sound(SECONDS, level=0.0))
    may_change = _may_change(picture, load_trained(export).config.model.hide_from)
    assert 0.02 < may_change.mean() < 0.5
    for frame in (*loud, *silent):
        np.testing.assert_array_equal(frame[~may_change], picture[~may_change])
        assert (frame[may_change] != picture[may_change]).any(axis=1).mean() > 0.5
    # Noise is never the same twice; silence is, and its mouth rests.
    assert len({frame.tobytes() for frame in loud}) > len(loud) // 2
    np.testing.assert_array_equal(silent, np.repeat(silent[:1], len(silent), axis=0))
    assert not np.array_equal(loud[10], silent[10])


def test_silence_gives_numbers(export):
    trained = load_trained(export)
    method = synctalkface.build(**trained.config.model.to_dict())
    size, frames = trained.config.data.image_size, np.arange(3)
    mel = mel_ops.log_mel(np.zeros(16_000, np.float32))
    windows = mel_ops.mel_windows(
        mel, mel_ops.mel_start(frames), mel_frames=trained.config.data.mel_frames
    )
    faces = np.random.default_rng(0).integers(0, 256, [1, 3, size, size, 3], dtype=np.uint8)
    batch = {"frames_u8": faces, "reference_u8": faces, "mel_windows": windows[None]}
    made = jax.jit(method.predict_fn)(trained.params, trained.model_vars, batch, jax.random.key(0))
    assert all(np.isfinite(value).all() for value in made.values())
    np.testing.assert_allclose(np.sum(made["key_address"], axis=-1), 1, atol=1e-5)


def test_the_report_has_its_rows(export, tmp_path):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    flags = ["--checkpoint", str(export), "--data", "fake://6x36?size=64", "--out", str(tmp_path)]
    flags += ["--workers", "0", "--linear-clips", "0", "--pictures", "1"]
    assert evaluate.evaluate(parser.parse_args(flags), track=_dark_mouth) == 0
    rows = json.loads((tmp_path / "metrics.json").read_text())["rows"]
    generated, truth = rows["generated"], rows["ground_truth"]
    assert np.isfinite(generated["psnr"]["mean"]) and np.isfinite(generated["lmd"]["mean"])
    assert generated["psnr"]["mean"] < truth["psnr"]["mean"]
