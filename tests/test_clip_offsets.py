"""Lags of clips by ridge regression, held against lags that were made."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from benchmarks import clip_offsets
from benchmarks.clip_offsets import agreement, halves_agree, lags_of, spread_of
from data_prep.coarse_sync import ClipFeatures
from talkjax.errors import UserError
from talkjax.ops.mel import MEL_BINS

FRAMES, CLIPS = 75, 40
# Frames of 25 fps; a mel frame of 80 Hz is 0.3125 of them.
MADE = np.linspace(-1.5, 1.5, CLIPS)[np.random.default_rng(0).permutation(CLIPS)]


@pytest.fixture(scope="module")
def clips():
    """Mouths that a smooth sound moves, each clip's picture late by its own lag."""
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((4, 30))
    spectrum = rng.standard_normal((4, MEL_BINS))
    made = []
    for lag in MADE:
        causes = gaussian_filter1d(rng.standard_normal((4, 400)), 3.0, axis=1)
        times = 40 + (np.arange(FRAMES) + 0.5 - lag) * 3.2 - 0.5
        lips = np.stack([np.interp(times, np.arange(400), cause) for cause in causes], axis=1)
        mel = causes.T[40 : 40 + 240] @ spectrum + 0.01 * rng.standard_normal((240, MEL_BINS))
        mouth = lips @ mixing + 0.05 * rng.standard_normal((FRAMES, 30))
        made.append(ClipFeatures(mouth - mouth.mean(axis=0), mel.astype(np.float32)))
    return made


def test_lags_are_found_to_a_fraction_of_a_frame(clips):
    error = lags_of(clips) - MADE
    assert np.std(error) < 0.15  # of lags whose standard deviation is 0.9
    assert abs(np.mean(error)) < 0.25  # the windows lie on the grid of mel frames


def test_agreement_tells_the_critics_offsets_from_made_up_ones(clips):
    named = {f"clip{i}": clip for i, clip in enumerate(clips)}
    true = dict(zip(named, MADE, strict=True))
    found = agreement(named, true)
    assert found["clips"] == CLIPS
    assert found["correlation"] > 0.97
    assert found["std_difference"] < 0.15 < found["std_critic"]
    made_up = dict(zip(named, np.roll(MADE, 7), strict=True))
    assert abs(agreement(named, made_up)["correlation"]) < 0.5


def test_halves_agree_where_clips_differ_and_not_where_all_are_in_step(clips):
    assert halves_agree(clips) > 0.9
    found = spread_of(clips)
    assert found["clips"] == CLIPS and found["std_ridge"] == pytest.approx(np.std(MADE), abs=0.1)
    # the picture put back by whole mel frames: what is left is less than half of one
    in_step = [
        ClipFeatures(clip.mouth, np.roll(clip.mel, round(lag * 3.2), axis=0))
        for clip, lag in zip(clips, MADE, strict=True)
    ]
    assert np.std(lags_of(in_step)) < 0.2


def test_too_few_clips_are_refused(clips):
    with pytest.raises(UserError, match="found 1, want at least 15"):
        agreement({"clip0": clips[0]}, {"clip0": 0.0})


def test_the_command_knows_clips_by_the_names_of_the_report(clips, tmp_path, monkeypatch, capsys):
    """A report names sources; clips' own names are others."""
    records = [
        SimpleNamespace(clip_id=f"s1/{i}", source=f"{i}.mpg", made=clip)
        for i, clip in enumerate(clips)
    ]
    monkeypatch.setattr(clip_offsets, "iterate_clips", lambda path, split: records)
    monkeypatch.setattr(clip_offsets, "clip_features", lambda record: record.made)
    said = {f"{i}.mpg": {"fine_offset_frames": float(lag)} for i, lag in enumerate(MADE)}
    (tmp_path / "report.json").write_text(json.dumps({"sync": {"clips": said}}))
    monkeypatch.setattr("sys.argv", ["clip_offsets", "recorded", str(tmp_path), "--splits", "test"])
    clip_offsets.main()
    found = json.loads(capsys.readouterr().out)
    assert found["clips"] == CLIPS and found["correlation"] > 0.97


def test_a_set_without_a_critic_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["clip_offsets", "recorded", str(tmp_path)])
    for report, said in ((None, "is not there"), ({"kept": 3}, "no critic was asked")):
        if report is not None:
            (tmp_path / "report.json").write_text(json.dumps(report))
        with pytest.raises(SystemExit) as ended:
            clip_offsets.main()
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith(f"clip_offsets: {tmp_path / 'report.json'}: {said}")
        assert len(error.splitlines()) == 1
