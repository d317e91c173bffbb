"""`talkjax doctor` on toy records: it finds what was broken on purpose."""

import dataclasses
import json

import numpy as np
import pytest

from data_prep.coarse_sync import ClipFeatures, coarse_sync
from talkjax.cli import main
from talkjax.data import schema, writer
from talkjax.data.source import open_source


def write_set(folder, *, change=lambda records: records):
    """Six toy clips, after `change`, as a data set with its report."""
    records = [
        record
        for split in ("train", "val", "test")
        for source in [open_source("fake://2x30?size=32", split)]
        for record in (source[0], source[1])
    ]
    records = change(records)
    clips = [(schema.encode(record), writer.ClipMeta.of(record)) for record in records]
    writer.write_dataset(folder, clips, settings={"size_px": 32})
    report = {"kept": len(records), "rejected": {}, "filters": {}, "notes": {}}
    report |= {"sources": {"fps": {"25": len(records)}, "audio_rate_hz": {"16000": len(records)}}}
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def facts(folder, capsys):
    code = main(["doctor", str(folder), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_set_is_ok_and_gets_a_contact_sheet(tmp_path, capsys):
    folder = write_set(tmp_path / "set")
    assert main(["doctor", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "every record is whole" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"contact_sheet.png", "doctor.json"}
    code, found = facts(folder, capsys)
    assert (code, found["ok"], found["clips"], found["problems"]) == (0, True, 6, [])
    assert found["seconds"] == pytest.approx(6 * 30 / 25)


def test_the_text_names_what_it_counts_with_units(tmp_path, capsys):
    folder = write_set(tmp_path)
    report = json.loads((folder / "report.json").read_text())
    report |= {"notes": {"a.mp4": ["shot cut at frame 12"]}, "filters": {"no_face": 2, "silent": 0}}
    report["sources"] = {"fps": {"0": 1, "29.97": 5}, "audio_rate_hz": {"44100": 6}}
    (folder / "report.json").write_text(json.dumps(report))
    assert main(["doctor", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("6 clips, 7 s, ")
    assert "source videos: unreadable (1 video), 29.97 frames/s (5 videos)" in lines
    assert "source sound: 44100 Hz (6 videos)" in lines
    assert "rejected by `talkjax prepare`: 2 no_face" in lines
    assert "shortened or otherwise remarked on: 1 (see notes in report.json)" in lines
    assert any(
        line.split() == ["length,", "s", "1.20", "1.20", "to"] + ["1.20"] * 2 + ["to", "1.20"]
        for line in lines
    )
    assert "lips and sound: too few clips to compare" in lines


def test_a_changed_byte_is_found_and_the_exit_code_says_so(tmp_path, capsys):
    folder = write_set(tmp_path)
    index = json.loads((folder / "index.json").read_text())
    index["clips"][0]["sha256"] = "0" * 64
    (folder / "index.json").write_text(json.dumps(index))
    code, found = facts(folder, capsys)
    assert code == 1 and not found["ok"]
    assert "sha256" in found["problems"][0] and index["clips"][0]["clip_id"] in found["problems"][0]
    assert found["clips"] == 5


def test_a_missing_shard_is_a_problem_and_the_rest_is_still_read(tmp_path, capsys):
    folder = write_set(tmp_path)
    next(folder.glob("val-*")).unlink()
    code, found = facts(folder, capsys)
    assert code == 1 and "is missing" in found["problems"][0]
    assert found["clips"] == 4


def test_one_clip_in_two_splits_is_a_problem(tmp_path, capsys):
    def repeat(records):
        twin = dataclasses.replace(records[0], clip_id="twin", split="test")
        return [*records, twin]

    code, found = facts(write_set(tmp_path, change=repeat), capsys)
    assert code == 1
    assert "twin and " in found["problems"][0]
    assert "are the same clip in different splits" in found["problems"][0]
    assert len(found["duplicates"]) == 1


def test_silent_clips_are_counted(tmp_path, capsys):
    def hush(records):
        silent = np.zeros_like(records[0].audio_i16)
        return [dataclasses.replace(records[0], audio_i16=silent), *records[1:]]

    _, found = facts(write_set(tmp_path, change=hush), capsys)
    assert any("1 clips are silent" in line for line in found["warnings"])
    assert found["quiet_fraction"]["most"] == 1


def test_clips_without_words_are_counted_and_a_warning_where_the_layout_has_words(tmp_path, capsys):
    def first_speaks(records):
        records = [dataclasses.replace(record, words=(), texts={}) for record in records]
        return [dataclasses.replace(records[0], texts={"transcript": "bin blue"}), *records[1:]]

    folder = write_set(tmp_path, change=first_speaks)
    _, found = facts(folder, capsys)
    assert found["without_words"] == 5
    assert not any("no words" in line for line in found["warnings"])
    index = json.loads((folder / "index.json").read_text())
    index["settings"]["layout"] = "grid"
    (folder / "index.json").write_text(json.dumps(index))
    _, found = facts(folder, capsys)
    assert any(line.startswith("5 clips have no words") for line in found["warnings"])


def test_a_report_of_an_older_version_is_one_line(tmp_path, capsys):
    report = json.loads((write_set(tmp_path) / "report.json").read_text())
    del report["sources"]
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert main(["doctor", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("has no sources: an older version made this set; prepare it again")


def test_no_data_set_is_one_line(tmp_path, capsys):
    assert main(["doctor", str(tmp_path)]) == 2
    assert "index.json" in capsys.readouterr().err


def toy_features(lag_frames, *, related=True):
    """Mouths that show a smooth random loudness `lag_frames` after it sounds."""
    rng = np.random.default_rng(0)
    clips = []
    for _ in range(20):
        loud = np.convolve(rng.standard_normal(300), np.ones(6), mode="same")
        moved = np.convolve(rng.standard_normal(300), np.ones(6), mode="same")
        seen = np.repeat(
            (loud if related else moved)[50 - lag_frames : 130 - lag_frames, None], 192, 1
        )
        mouth = (seen + rng.standard_normal(seen.shape)).astype(np.float32)
        heard = np.interp(np.arange(256) / 3.2, np.arange(80), loud[50:130])
        mel = np.repeat(heard[:, None], 80, 1).astype(np.float32)
        clips.append(ClipFeatures(mouth - mouth.mean(axis=0), mel))
    return clips


@pytest.mark.parametrize("lag", [-4, 5])
def test_the_lag_of_a_set_is_found_to_a_frame(lag):
    found = coarse_sync(toy_features(lag))
    assert found.is_clear
    assert found.lag_frames == pytest.approx(lag, abs=1)


def test_unrelated_sound_has_no_clear_lag_and_little_video_none_at_all():
    unrelated = coarse_sync(toy_features(0, related=False))
    assert max(unrelated.explained) < 0.1
    assert coarse_sync(toy_features(0)[:5]) is None
