"""The pipeline as a whole: same shards for any number of workers, resume, refusals, report."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from data_prep import beam_pipeline
from data_prep.layouts import Fractions
from data_prep.layouts.api import hash_place
from data_prep.outcome import FILTERS
from data_prep.prepare import Prepared, prepare
from data_prep.settings import Settings
from talkjax.cli import main
from talkjax.data.source import open_source
from talkjax.errors import UserError

NAMES = ("bbaf3s", "bbaf4p", "lbbq9s", "srbb4n")
FRACTIONS = Fractions(val=0.25, test=0.25)


def hashes(folder):
    """SHA-256 of the shards and of the index."""
    files = [*folder.glob("*.array_record"), folder / "index.json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def run(raw, out, **options) -> Prepared:
    options = {"layout": "grid", "settings": Settings(), "quiet": True} | options
    return prepare(raw, out, fractions=FRACTIONS, **options)


@pytest.fixture(scope="module")
def raw(grid, make_video, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "s1"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(grid / f"{name}.mpg", folder)
        if name != "srbb4n":
            shutil.copy(grid / f"{name}.align", folder)
    (folder / "read.me").touch()
    make_video(folder / "noface.mp4")
    make_video(folder / "mute.mp4", audio=False)
    return folder


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "set"
    return out, run(raw, out, workers=2)


def test_report_names_each_reject_with_its_reason(prepared):
    out, done = prepared
    report = json.loads((out / "report.json").read_text())
    assert report == done.report
    assert report["kept"] == 4
    assert report["seconds"] == pytest.approx((75 * 3 + 74) / 25, abs=0.05)
    assert report["rejected"] == {
        "mute.mp4": "no_audio: no audio stream in the file; training needs the sound",
        "noface.mp4": "no_face: no face found in 30 frames",
    }
    assert report["filters"].keys() == FILTERS.keys()
    assert {k: n for k, n in report["filters"].items() if n} == {"no_audio": 1, "no_face": 1}
    assert report["trimmed"] == {
        "shot_cut": 0,
        "damaged": 0,
        "face_lost": 0,
        "audio_short": 0,
        "sync_offset": 0,
    }
    assert report["passed_over"] == {"read.me": "no video by its suffix"}
    assert report["without_words"] == 1
    assert report["split"]["keys"] == 4 and report["cut"] == {"clips": 0, "parts": 0}
    assert report["sources"]["fps"] == {"25": 6}
    assert report["missing"] == {"count": 0, "videos": []}


def test_speed_counts_the_whole_command_and_its_workers(prepared):
    speed = prepared[1].report["speed"]
    assert speed["workers"] == 2
    assert speed["video_s"] == pytest.approx((75 * 3 + 74 + 2 * 30) / 25, abs=1.5)
    # Two workers import NumPy, OpenCV and the detector.
    assert speed["cpu_s"] > speed["clips_cpu_s"] + 0.5
    by_cpu, by_wall = (speed["video_s"] / speed[name] for name in ("cpu_s", "wall_s"))
    assert speed["times_real_time_per_core"] == pytest.approx(by_cpu, abs=0.05)
    assert speed["times_real_time_per_core_by_wall"] == pytest.approx(by_wall / 2, abs=0.05)
    assert prepared[1].report["shards"]["megabytes_per_s"] > 0


def test_the_set_opens_and_nothing_else_is_left(prepared):
    out, done = prepared
    splits = done.index["splits"]
    assert sum(part["clips"] for part in splits.values()) == 4
    for split in splits:
        assert open_source(out, split)[0].split == split
    shards = {row["file"] for part in splits.values() for row in part["shards"]}
    assert {p.name for p in out.iterdir()} == shards | {"index.json", "report.json", "prepare.json"}


@pytest.mark.slow
def test_one_worker_writes_the_same_bytes_as_two(prepared, raw, tmp_path):
    run(raw, tmp_path / "one", workers=1)
    assert hashes(tmp_path / "one") == hashes(prepared[0])


def test_a_finished_run_does_nothing(prepared, raw):
    out, _ = prepared
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = run(raw, out)
    assert again.was_complete
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_changed_settings_are_refused_by_name(prepared, raw):
    with pytest.raises(UserError, match=r"size_px was 128, is 64; .*--overwrite"):
        run(raw, prepared[0], settings=Settings(size_px=64))


def test_a_changed_source_is_refused_by_name(prepared, raw, tmp_path):
    changed = tmp_path / "s1"
    shutil.copytree(raw, changed)
    with open(changed / "bbaf3s.mpg", "ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"1 source files are changed, first bbaf3s\.mpg"):
        run(changed, prepared[0])
    (changed / "bbaf3s.mpg").unlink()
    with pytest.raises(UserError, match=r"2 source files are gone, first bbaf3s\.align"):
        run(changed, prepared[0])


def test_a_run_that_another_version_began_is_refused_by_name(make_video, tmp_path):
    make_video(tmp_path / "raw" / "a.mp4")
    out = tmp_path / "out"
    with pytest.raises(UserError, match="none of the 1 clips was kept"):
        run(tmp_path / "raw", out, layout="folder")
    plan = json.loads((out / "prepare.json").read_text())
    for name in ("talkjax_version", "schema_version"):
        (out / "prepare.json").write_text(json.dumps(plan | {name: "0.0"}))
        with pytest.raises(UserError, match=rf"{name} was 0\.0, is {plan[name]}; .*--overwrite"):
            run(tmp_path / "raw", out, layout="folder")
    del plan["talkjax_version"]
    (out / "prepare.json").write_text(json.dumps(plan))
    with pytest.raises(UserError, match="by another version of TalkJAX"):
        run(tmp_path / "raw", out, layout="folder")


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(prepared, raw, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "talkjax", "prepare", raw, out, "--layout", "grid"]
    command += ["--workers", "1", "--val-fraction", "0.25", "--test-fraction", "0.25"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob(".partial/000/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in out.glob(".partial/000/*.json")}
    assert 0 < len(done) < 6
    assert not list(out.glob("*.array_record")) and not (out / "index.json").exists()
    run(raw, out)
    assert hashes(out) == hashes(prepared[0])


def test_none_kept_is_an_error_and_leaves_a_report_but_no_index(make_video, tmp_path):
    make_video(tmp_path / "raw" / "a.mp4")
    with pytest.raises(UserError, match=r"none of the 1 clips was kept \(1 no_face\)"):
        run(tmp_path / "raw", tmp_path / "out", layout="folder")
    assert (tmp_path / "out" / "report.json").exists()
    assert not (tmp_path / "out" / "index.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_beam_writes_the_same_shards(prepared, raw, tmp_path, workers):
    # In a process of its own: Beam warns on import.
    command = [sys.executable, "-m", "talkjax", "prepare", raw, tmp_path / "beam"]
    command += ["--layout", "grid", "--runner", "beam", "--workers", workers]
    command += ["--val-fraction", "0.25", "--test-fraction", "0.25"]
    subprocess.run(command, check=True, capture_output=True)
    assert hashes(tmp_path / "beam") == hashes(prepared[0])


def test_listed_videos_that_are_missing_are_in_the_report(make_video, tmp_path):
    make_video(tmp_path / "raw" / "RD_Radio11.mp4")
    times = "Radio11.mp4 0:00-0:01\nGone.mp4 0:00-0:09\n"
    (tmp_path / "raw" / "RD_annotion_time.txt").write_text(times)
    with pytest.raises(UserError, match="none of the 1 clips was kept"):
        run(tmp_path / "raw", tmp_path / "out", layout="hdtf")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["missing"] == {"count": 1, "videos": ["RD_Gone"]}


def test_a_small_set_has_every_split_of_what_was_kept(grid, make_video, tmp_path):
    few = Fractions(val=0.1, test=0.1)
    # Four people whose hashes all say train; the first, who is moved to val, shows no face.
    people = [f"p{i}" for i in range(50) if few.split_of(f"p{i}") == "train"][:4]
    people.sort(key=hash_place)
    make_video(tmp_path / "raw" / people[0] / "1.mp4")
    for person in people[1:]:
        (tmp_path / "raw" / person).mkdir()
        (tmp_path / "raw" / person / "1.mpg").symlink_to(grid / "lbbq9s.mpg")
    out = tmp_path / "out"
    options = {"layout": "folder", "settings": Settings(size_px=32), "quiet": True}
    done = prepare(tmp_path / "raw", out, fractions=few, **options)
    found = {clip["identity"]: clip["split"] for clip in done.index["clips"]}
    assert found == {people[1]: "test", people[2]: "val", people[3]: "train"}
    assert done.report["split"] == {
        "keys": 3,
        "moved": {people[1]: "train -> test", people[2]: "train -> val"},
    }
    for person, split in found.items():
        (record,) = open_source(out, split)
        assert (record.identity, record.split) == (person, split)


def test_beam_options_reach_the_pipeline(make_video, tmp_path, monkeypatch):
    class Seen(Exception):
        pass

    def run(tasks, *, workers, options):
        raise Seen(len(tasks), beam_pipeline.flags(options, workers))

    monkeypatch.setattr(beam_pipeline, "run", run)
    make_video(tmp_path / "raw" / "a.mp4")
    command = ["prepare", str(tmp_path / "raw"), str(tmp_path / "out"), "--layout", "folder"]
    command += ["--workers", "2", "--beam-option=--job_name=lips"]
    assert main(command) == 2  # the local runner has no use for them
    with pytest.raises(Seen) as seen:
        main([*command, "--runner", "beam"])
    local = ["--runner=DirectRunner", "--direct_num_workers=2"]
    assert seen.value.args == (
        1,
        [*local, "--direct_running_mode=multi_processing", "--job_name=lips"],
    )
    with pytest.raises(Seen) as seen:
        main([*command, "--runner", "beam", "--beam-option=--runner=FlinkRunner"])
    assert seen.value.args == (1, ["--job_name=lips", "--runner=FlinkRunner"])


def test_the_command_says_where_it_looked_when_there_are_no_clips(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code = main(["prepare", str(tmp_path / "empty"), str(tmp_path / "out"), "--layout", "grid"])
    text = capsys.readouterr().err
    assert code == 2
    assert f"{tmp_path / 'empty'}: no clips found; looked for **/*.mpg" in text
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_report_as_json(prepared, raw, capsys):
    out, done = prepared
    flags = ["--layout", "grid", "--val-fraction", "0.25", "--test-fraction", "0.25", "--json"]
    assert main(["prepare", str(raw), str(out), *flags]) == 0
    assert json.loads(capsys.readouterr().out) == done.report
