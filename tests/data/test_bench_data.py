"""The loader that `bench data` compares with does the same work: it returns the same arrays."""

import dataclasses
import json

import numpy as np
import pytest
import simplejpeg

from benchmarks import data as bench
from benchmarks import data_layouts
from benchmarks.usual_loader import RESAMPLER, UsualLoader, network_inputs
from talkjax import cli
from talkjax.data import fake, pipeline
from talkjax.data.samplers import make_sampler
from talkjax.ops.mel import log_mel

# librosa.load imports audioread, which imports these
pytestmark = pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated")
SETTINGS = bench.SETTINGS | {"image_size": 32}


@pytest.fixture(scope="module")
def record():
    return fake.make_record(fake.parse("fake://1x24?size=32"), "train", 0)


def test_the_usual_loader_returns_our_arrays(tmp_path, record):
    data_layouts.write_record(tmp_path / "00000", record)
    usual = UsualLoader(tmp_path, SETTINGS, resampler=RESAMPLER)
    sampler = make_sampler(SETTINGS)
    target, reference, _ = sampler.starts(24, np.random.default_rng(4))
    theirs = usual.windows(str(tmp_path / "00000"), target, reference)
    ours = sampler(record, np.random.default_rng(4))
    for name in ("frames_u8", "reference_u8"):
        np.testing.assert_array_equal(theirs[name][..., ::-1], ours[name])  # theirs are BGR
    for name in ("mel_windows", "mel_chunk"):
        # ours were kept in float16, whose step at 4 is 0.004
        np.testing.assert_allclose(theirs[name], ours[name], atol=0.004)


def test_the_net_inputs_of_the_usual_loader_have_the_published_shapes(tmp_path, record):
    data_layouts.write_record(tmp_path / "00000", record)
    usual = UsualLoader(tmp_path, SETTINGS, resampler=RESAMPLER)
    inputs = network_inputs(usual.item(np.random.default_rng(0)))
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
    said = capsys.readouterr()
    assert said.out == out.read_text()
    assert "round 1 of 1, windows per core-second: talkjax " in said.err.splitlines()[-1]
    result = json.loads(out.read_text())
    assert result["layouts"]["made"] == "from_records"
    assert set(result["windows_per_core_second"]) == set(result["definitions"]) - {
        "usual_pinned",  # the toy's sound needs no resampling
        "ratio_per_core",
        "from_videos",
        "from_records",
    }
    assert set(result["ratio_per_core"]) == {
        f"{ours}_over_{theirs}"
        for ours in ("talkjax", "talkjax_kept")
        for theirs in ("usual", "usual_uint8")
    }


def test_items_of_the_usual_loader_lie_inside_the_clip(tmp_path, record):
    data_layouts.write_record(tmp_path / "00000", record)
    usual = UsualLoader(tmp_path, SETTINGS, resampler=RESAMPLER)
    starts = []
    usual.windows = lambda folder, target, reference: starts.append((target, reference))
    for seed in range(100):
        usual.item(np.random.default_rng(seed))
    assert {frame for pair in starts for frame in pair} == set(range(2, 18))  # 24 - 5 - 2
    assert all(target != reference for target, reference in starts)


def test_both_layouts_of_a_video_show_and_sound_the_same(tmp_path, shared):
    video = shared / "data/public/grid_s1/bbbf9a.mpg"
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / video.name).symlink_to(video.resolve())
    found = data_layouts.from_videos(
        tmp_path / "videos", tmp_path / "made", clips=1, size_px=128, workers=1
    )
    described = found.as_json()
    assert described["folders"]["audio_rate_hz"] == 44_100
    assert described["folders"]["audio_channels"] == 2
    settings = bench.SETTINGS | {"image_size": 128}
    usual = UsualLoader(found.folders, settings, resampler=RESAMPLER)
    (record,) = pipeline.iterate_clips(found.records, "train")
    sampler = make_sampler(settings)
    target, reference, _ = sampler.starts(record.num_frames, np.random.default_rng(4))
    ours = sampler(record, np.random.default_rng(4))
    theirs = usual.windows(str(found.folders / "00000"), target, reference)
    # the crops are turned a little against each other, and scaled by other filters
    difference = theirs["frames_u8"][..., ::-1].astype(float) - ours["frames_u8"]
    assert np.abs(difference).mean() < 6
    other = theirs["frames_u8"][..., ::-1].astype(float) - ours["frames_u8"][:, ::-1]
    assert np.abs(other).mean() > 20
    # of 8 units; the resamplers differ above 7 kHz and in silence
    assert np.abs(theirs["mel_chunk"] - ours["mel_chunk"]).mean() < 0.15


def test_a_native_crop_has_the_centre_and_the_side_of_ours():
    turn = np.deg2rad(10)
    matrix = 1.25 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([180.0, 150.0])
    offset = centre - matrix @ np.full(2, 31.5)
    crop_to_source = np.concatenate([matrix, offset[:, None]], axis=1).astype(np.float32)
    rows, columns = data_layouts.native_square(crop_to_source, 64, (288, 360, 3))
    assert (rows, columns) == (slice(110, 190), slice(140, 220))
    rows, columns = data_layouts.native_square(crop_to_source, 64, (180, 200, 3))
    assert (rows, columns) == (slice(110, 180), slice(140, 200))


def test_a_benchmark_without_rounds_is_refused(capsys):
    assert cli.main(["bench", "data", "--rounds", "0"]) == 2
    assert "--rounds" in capsys.readouterr().err


def test_frames_of_the_toy_are_pictures_of_the_asked_size(record):
    assert simplejpeg.decode_jpeg(record.frames_jpeg[0]).shape == (32, 32, 3)
    mel = log_mel(dataclasses.asdict(record)["audio_i16"].astype(np.float32) / 32768)
    np.testing.assert_allclose(record.mel, mel, atol=0.004)
