"""`talkjax synth`: the same bytes however it is run, resume, disjoint splits, both forms."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import simplejpeg

from data_prep.doctor import examine, summary
from data_prep.synthetic.corpus import CLIPS_NAME, Task, run_task, synthesize
from data_prep.synthetic.performance import sentence_of
from data_prep.synthetic.plan import plan_clip
from data_prep.synthetic.settings import CorpusSettings
from data_prep.workfolder import PARTIAL_NAME
from talkjax.cli import main
from talkjax.data.source import open_source
from talkjax.errors import UserError
from talkjax.evals.landmarks import lip_series
from talkjax.media.landmarks import landmarks68_many

ROOT = pathlib.Path(__file__).resolve().parents[3]
SETTINGS = CorpusSettings(clips=4, size_px=32, seed=3, command_fraction=1.0)
PATIENCE_S = 240.0


def contents(folder):
    """Relative name -> bytes of all files but the report, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "report.json"
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus made by one worker."""
    out = tmp_path_factory.mktemp("corpus") / "out"
    done = synthesize(out, settings=SETTINGS, workers=1, quiet=True)
    return out, done


def test_two_workers_write_the_bytes_of_one(made, tmp_path):
    out, _ = made
    synthesize(tmp_path, settings=SETTINGS, workers=2, quiet=True)
    one, two = contents(out), contents(tmp_path)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert sum(name.endswith(".array_record") for name in one) == 3


def test_a_second_run_has_nothing_to_do_and_changes_nothing(made):
    out, _ = made
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = synthesize(out, settings=SETTINGS, workers=1, quiet=True)
    assert again.was_complete
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_the_record_says_what_was_planned_and_all_of_it_can_be_read(made):
    out, done = made
    facts = summary(examine(out))
    assert facts["ok"] and facts["clips"] == 4 and facts["identities"] == 4
    assert [facts["splits"][name]["clips"] for name in ("train", "val", "test")] == [2, 1, 1]
    assert done.report["kept"] == 4 and not done.report["rejected"]
    source = open_source(str(out), "train")
    for record in (source[0], source[1]):
        number = int(record.clip_id.split("/")[1])
        plan = plan_clip(SETTINGS, number)
        assert record.texts["transcript"] == sentence_of(SETTINGS.seed, plan).text
        assert record.texts["head_style"] == plan.head_style
        times_s = record.labels["phone_times_s"]
        assert len(times_s) == len(record.texts["phones"].split())
        assert times_s[0, 0] == 0 and times_s[-1, 1] == pytest.approx(record.seconds)
        assert (times_s[1:, 0] >= times_s[:-1, 1] - 1e-6).all()
        assert [word for *_, word in record.words] == record.texts["transcript"].split()


def test_finished_clips_are_kept_and_half_written_ones_are_not(made, tmp_path):
    out, _ = made
    tmp_path = tmp_path / "out"
    # As a killed run leaves it: the plan, two clips, one of them without the mark of its end.
    with pytest.raises(UserError, match="want at least 1"):
        synthesize(tmp_path, settings=SETTINGS, workers=0)
    tmp_path.mkdir()
    (tmp_path / "prepare.json").write_bytes((out / "prepare.json").read_bytes())
    for number in (0, 1):
        run_task(Task(number, SETTINGS, "records", str(tmp_path)))
    kept, half = (tmp_path / f"{PARTIAL_NAME}/000/000000{n}.json" for n in (0, 1))
    outcome = json.loads(kept.read_text())
    kept.write_text(json.dumps(outcome | {"notes": ["made before"]}))
    half.unlink()
    half.with_suffix(".record").write_bytes(b"half a record")
    done = synthesize(tmp_path, settings=SETTINGS, workers=1, quiet=True)
    (source,) = done.report["notes"]  # clip 0, and no other, was not made again
    assert source.endswith("/000000") and done.report["notes"][source] == ["made before"]
    assert contents(tmp_path) == contents(out)


def test_other_settings_are_refused_unless_it_may_start_again(made, tmp_path):
    out, _ = made
    other = dataclasses.replace(SETTINGS, seed=4)
    with pytest.raises(UserError, match=r"seed was 3, is 4.*--overwrite"):
        synthesize(out, settings=other, workers=1, quiet=True)
    with pytest.raises(UserError, match="form was records, is video"):
        synthesize(out, settings=SETTINGS, form="video", workers=1, quiet=True)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path):
    command = [sys.executable, "-m", "talkjax", "synth", str(tmp_path / "a"), "--clips", "8"]
    command += ["--size", "32", "--workers", "1", "--command-fraction", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + PATIENCE_S
    while not list(tmp_path.glob(f"a/{PARTIAL_NAME}/*/*.json")):  # a clip is done
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    # Nothing that could be taken for a data set.
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        PARTIAL_NAME,
        "prepare.json",
    ]
    for name in ("a", "b"):
        settings = CorpusSettings(clips=8, size_px=32, command_fraction=1.0)
        synthesize(tmp_path / name, settings=settings, workers=1, quiet=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_videos_have_their_labels_and_go_when_they_are_replaced(tmp_path, capsys):
    settings = ["--clips", "2", "--size", "32", "--workers", "1", "--command-fraction", "1"]
    assert main(["synth", str(tmp_path / "a"), "--as", "video", *settings]) == 0
    assert "talkjax prepare" in capsys.readouterr().out
    clips = json.loads((tmp_path / "a" / CLIPS_NAME).read_text())["clips"]
    assert [clip["split"] for clip in clips] == ["train", "test"]
    for clip in clips:
        for suffix in (".mp4", ".wav", ".json"):
            assert (tmp_path / "a" / clip["clip_id"]).with_suffix(suffix).stat().st_size > 100
    same = CorpusSettings(clips=2, size_px=32, command_fraction=1.0)
    run_task(Task(0, same, "video", str(tmp_path / "b")))
    again = contents(tmp_path / "b")
    for suffix in (".mp4", ".wav", ".json"):
        name = clips[0]["clip_id"] + suffix
        assert again[name] == (tmp_path / "a" / name).read_bytes()
    assert main(["synth", str(tmp_path / "a"), "--as", "records", *settings]) == 2
    assert "form was video, is records" in capsys.readouterr().err
    assert main(["synth", str(tmp_path / "a"), "--as", "records", *settings, "--overwrite"]) == 0
    assert not list((tmp_path / "a").rglob("*.mp4")) and not (tmp_path / "a" / CLIPS_NAME).exists()


def test_no_sentence_of_test_or_val_is_heard_in_train():
    settings = CorpusSettings(clips=300, languages=("en", "de", "fr"))
    heard = {"train": set(), "val": set(), "test": set()}
    for number in range(settings.clips):
        plan = plan_clip(settings, number)
        heard[plan.clip.split].add(sentence_of(settings.seed, plan).text)
    assert all(len(texts) > 5 for texts in heard.values())
    assert not heard["train"] & heard["test"]
    assert not heard["train"] & heard["val"]
    assert not heard["val"] & heard["test"]


def test_bad_arguments_are_one_line(tmp_path, capsys):
    assert main(["synth", str(tmp_path), "--clips", "3", "--languages", "xx"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("talkjax synth: languages: got 'xx', want some of en,")
    (tmp_path / "file").write_text("")
    assert main(["synth", str(tmp_path / "file"), "--clips", "3"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_ordinary_prepare_finds_the_drawn_faces_and_their_lips(tmp_path):
    videos, out = tmp_path / "videos", tmp_path / "out"
    settings = CorpusSettings(clips=2, size_px=128, seed=3, command_fraction=1.0)
    synthesize(videos, settings=settings, form="video", workers=1, quiet=True)
    assert main(["prepare", str(videos), str(out), "--layout", "folder", "--workers", "1"]) == 0
    assert json.loads((out / "report.json").read_text())["kept"] == 2
    seen = []
    for split in ("train", "test"):
        source = open_source(str(out), split)
        for record in (source[index] for index in range(len(source))):
            (label,) = videos.rglob(pathlib.Path(record.clip_id).name + ".json")
            known = np.asarray(json.loads(label.read_text())["labels"]["lip_opening"])
            assert len(record.frames_jpeg) == len(known)
            points = landmarks68_many(simplejpeg.decode_jpeg(j) for j in record.frames_jpeg)
            seen.append(np.corrcoef(lip_series(points).opening, known)[0, 1])
    assert len(seen) == 2 and min(seen) > 0.6  # 0.89 within a clip over many faces
