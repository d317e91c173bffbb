"""The loader that `bench data` compares with does the same work: it returns the same arrays."""

import dataclasses

import numpy as np
import pytest
import simplejpeg

from benchmarks import data as bench
from talkjax import cli
from talkjax.data import fake
from talkjax.data.transforms import make_sampler
from talkjax.ops.mel import log_mel


@pytest.fixture(scope="module")
def record():
    return fake.make_record(fake.parse("fake://1x24?size=32"), "train", 0)


def test_the_usual_loader_returns_our_arrays(tmp_path, record):
    bench._write_folder(tmp_path / "00000", record)
    usual = bench.UsualLoader(tmp_path, image_size=32)
    sampler = make_sampler(bench.SETTINGS | {"image_size": 32})
    target, reference, _ = sampler.starts(24, np.random.default_rng(4))
    theirs = usual.windows(str(tmp_path / "00000"), target, reference)
    ours = sampler(record, np.random.default_rng(4))
    for name in ("frames_u8", "reference_u8"):
        np.testing.assert_array_equal(theirs[name][..., ::-1], ours[name])  # theirs are BGR
    for name in ("mel_windows", "mel_chunk"):
        # ours were kept in float16, whose step at 4 is 0.004
        np.testing.assert_allclose(theirs[name], ours[name], atol=0.004)


def test_the_net_inputs_of_the_usual_loader_have_the_published_shapes(tmp_path, record):
    bench._write_folder(tmp_path / "00000", record)
    usual = bench.UsualLoader(tmp_path, image_size=32)
    inputs = bench.network_inputs(usual.item(np.random.default_rng(0)))
    assert {name: array.shape for name, array in inputs.items()} == {
        "x": (6, 5, 32, 32),
        "y": (3, 5, 32, 32),
        "lip": (5, 3, 5, 32, 32),
        "mel_windows": (5, 80, 16),
        "mel_chunk": (80, 16),
    }
    assert all(array.dtype == np.float32 for array in inputs.values())
    assert not inputs["x"][:3, :, 16:].any()  # the lower half of the input is hidden
    assert not inputs["lip"][:, :, :, :16].any()  # the upper half of the lips is


def test_one_command_prints_and_writes_the_comparison(tmp_path, capsys):
    out = tmp_path / "bench.json"
    words = ["--rounds", "1", "--seconds", "0.1", "--data", "fake://2x12?size=32"]
    assert cli.main(["bench", "data", *words, "--out", str(out)]) == 0
    assert capsys.readouterr().out == out.read_text()
    assert '"over_usual_uint8"' in out.read_text()


def test_a_benchmark_without_rounds_is_refused(capsys):
    assert cli.main(["bench", "data", "--rounds", "0"]) == 2
    assert "--rounds" in capsys.readouterr().err


def test_frames_of_the_toy_are_pictures_of_the_asked_size(record):
    assert simplejpeg.decode_jpeg(record.frames_jpeg[0]).shape == (32, 32, 3)
    mel = log_mel(dataclasses.asdict(record)["audio_i16"].astype(np.float32) / 32768)
    np.testing.assert_allclose(record.mel, mel, atol=0.004)
