"""`prepare` with a critic: rejects, moved sound, report, any number of workers, resume."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest

from data_prep.layouts import Fractions
from data_prep.prepare import prepare
from data_prep.settings import Settings
from data_prep.sync_check import SyncCheck, SyncRules
from talkjax.data import schema
from talkjax.data.source import open_source
from talkjax.errors import UserError
from tests.data_prep.sync_stub import LEAST_FRAMES, NameCritic

# GRID clips under names that say what the stub hears; one has a frame less than it wants.
CLIPS = {
    "late_+3_0.5": "bbaf3s",
    "early_-4_0.5": "bbaf4p",
    "good_+0_0.5": "lbbq9s",
    "doubtful_+2_0.1": "bbaf5a",
    "far_-15_0.5": "bbal8p",
    "brief_+9_0.0": "srbb4n",
}
RULES = SyncRules(min_confidence=0.3, fix_offset=True)
IDENTITY = {"checkpoint": "runs/critic", "step": 7, "validation_accuracy": 0.9}


def hashes(folder):
    files = [*folder.glob("*.array_record"), folder / "index.json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def run(raw, out, *, rules=RULES, identity=IDENTITY, log=None, workers=1):
    check = None
    if rules is not None:
        log = log or out.with_name(f"{out.name}.log")
        log.mkdir(exist_ok=True)
        check = SyncCheck(NameCritic(str(log)), rules, identity)
    return prepare(
        raw,
        out,
        layout="folder",
        settings=Settings(size_px=32),
        fractions=Fractions(val=0.0, test=0.0),
        split_by="clip",
        sync=check,
        workers=workers,
        quiet=True,
    )


def records(out):
    return {
        record.clip_id: record
        for split in json.loads((out / "index.json").read_text())["splits"]
        for record in open_source(out, split)
    }


@pytest.fixture(scope="module")
def raw(grid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    for name, clip in CLIPS.items():
        shutil.copy(grid / f"{clip}.mpg", folder / f"{name}.mpg")
    return folder


@pytest.fixture(scope="module")
def plain(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("plain") / "set"
    return out, run(raw, out, rules=None)


@pytest.fixture(scope="module")
def fixed(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("fixed") / "set"
    return out, run(raw, out, workers=2)


def test_clips_are_rejected_by_confidence_and_offset_with_the_reason(fixed):
    report = fixed[1].report
    assert report["rejected"] == {
        "doubtful_+2_0.1.mpg": (
            "sync_confidence: sync confidence 0.1000 (offset +2), want at least 0.3"
        ),
        "far_-15_0.5.mpg": (
            "sync_offset: the sound is 15 frames late (confidence 0.5000), want at most 14"
        ),
    }
    assert report["filters"]["sync_confidence"] == report["filters"]["sync_offset"] == 1
    assert report["trimmed"]["sync_offset"] == 2


def test_the_sound_of_the_others_is_moved_and_the_clip_cut(plain, fixed):
    got, untouched = records(fixed[0]), records(plain[0])
    assert set(got) == {"late_+3_0.5", "early_-4_0.5", "good_+0_0.5", "brief_+9_0.0"}
    assert got["good_+0_0.5"].frames_jpeg == untouched["good_+0_0.5"].frames_jpeg
    for name, late in (("late_+3_0.5", 3), ("early_-4_0.5", -4)):
        before, after = untouched[name], got[name]
        schema.validate(after)
        left = before.num_frames - abs(late)
        picture, sound = max(late, 0), max(-late, 0)
        assert after.frames_jpeg == before.frames_jpeg[picture : picture + left]
        samples = slice(sound * 640, (sound + left) * 640)
        np.testing.assert_array_equal(after.audio_i16, before.audio_i16[samples])


def test_the_report_has_every_verdict_and_what_was_done(fixed):
    report = fixed[1].report
    sync = report["sync"]
    assert sync["critic"] == IDENTITY
    assert sync["rules"] == dataclasses.asdict(RULES)
    assert (sync["measured"], sync["too_short"]) == (5, 1)
    assert sync["offsets"] == {"-15": 1, "-4": 1, "+0": 1, "+2": 1, "+3": 1}
    assert sync["moved"] == {"early_-4_0.5.mpg": -4, "late_+3_0.5.mpg": 3}
    assert sync["clips"]["late_+3_0.5.mpg"] == {
        "offset_frames": 3,
        "fine_offset_frames": 3,
        "confidence": 0.5,
    }
    assert "sound moved, 72 of 75 frames kept" in report["notes"]["late_+3_0.5.mpg"][0]
    (brief,) = report["notes"]["brief_+9_0.0.mpg"]
    assert f"74 frames, want {LEAST_FRAMES}" in brief


def test_without_a_critic_nothing_is_said_of_sync(plain):
    done = plain[1]
    assert "sync" not in done.report and done.report["kept"] == 6
    assert "sync" not in done.index["settings"]


@pytest.mark.slow
def test_one_worker_writes_the_same_as_two_and_opens_the_critic_once(fixed, raw, tmp_path):
    done = run(raw, tmp_path / "one", workers=1)
    assert hashes(tmp_path / "one") == hashes(fixed[0])
    assert done.report["sync"] == fixed[1].report["sync"]
    assert len(list((tmp_path / "one.log").iterdir())) == 1
    assert len(list(fixed[0].with_name("set.log").iterdir())) == 2


def test_a_finished_run_does_nothing_and_its_critic_may_lie_elsewhere(fixed, raw, tmp_path):
    moved_to = IDENTITY | {"checkpoint": "elsewhere/critic"}
    (tmp_path / "log").mkdir()
    assert run(raw, fixed[0], identity=moved_to, log=tmp_path / "log").was_complete
    assert not list((tmp_path / "log").iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": dataclasses.replace(RULES, min_confidence=0.2)},
        {"identity": IDENTITY | {"step": 8}},
        {"rules": None},
    ],
)
def test_another_critic_or_other_rules_make_another_set(fixed, raw, tmp_path, changes):
    with pytest.raises(UserError, match=r"was prepared differently: .*sync.*--overwrite"):
        run(raw, fixed[0], log=tmp_path, **changes)
