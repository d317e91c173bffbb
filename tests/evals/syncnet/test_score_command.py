"""`talkjax score`: videos and faces in, LSE of every one out."""

import json
import re

import numpy as np
import pytest

from talkjax.weights import manifest
from tests.evals.syncnet.toy_syncnet import FACE, ORIGIN, export, loud_video, score
from tests.media.synthetic_media import write_video


@pytest.mark.parametrize("late", [0, 4])
def test_a_picture_that_is_late_by_some_frames_is_said_to_be(tmp_path, judge, late, capsys):
    video = loud_video(tmp_path / "a.mp4", late_frames=late)
    flags = ("--variant", "whole", "--json", "--out", tmp_path / "score.json")
    code, out, _ = score(video, "--syncnet", judge, *flags, capsys=capsys)
    assert code == 0
    found = json.loads(out)
    assert found == json.loads((tmp_path / "score.json").read_text())
    scored = found["videos"][str(video)]
    assert scored["lse_offset"] == late
    # a constant lag is not in LSE-D; without the shift it is, and looks like another's sound
    lag_costs = scored["lse_d_unshifted"] - scored["lse_d"]
    if late:
        assert lag_costs > 0.5 * scored["lse_c"]
    else:
        assert lag_costs == pytest.approx(0, abs=1e-9)
    assert scored["lse_c"] > scored["lse_d"]
    (track,) = scored["tracks"]
    assert (track["first_frame"], track["end_frame"], track["windows"]) == (0, 60, 55)
    assert found["mean"]["lse_d"] == scored["lse_d"]
    assert found["judge"]["label"].startswith("trained here on data/toys (3 people), 64 px, step 7")
    assert found["protocol"]["variant"] == "whole"


def test_silence_is_scored_and_said_and_in_no_mean(tmp_path, judge, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        loud_video(folder / f"{number}.mp4", seed=number)
    grey = [np.full((240, 320, 3), 128, np.uint8)] * 60
    quiet = np.zeros(60 * 1920)
    write_video(folder / "silent.mp4", np.arange(60) / 25, pictures=grey, audio=quiet)
    words = (folder, "--syncnet", judge, "--variant", "whole", "--json")
    code, out, err = score(*words, capsys=capsys)
    assert code == 0 and "silent.mp4: silent audio; its score says nothing and is in no mean" in err
    found = json.loads(out)
    heard = [one["lse_d"] for one in found["videos"].values() if not one["silent"]]
    assert len(heard) == 2 and len(found["videos"]) == 3
    assert found["mean"]["lse_d"] == pytest.approx(np.mean(heard))


def test_a_folder_is_scored_and_what_fails_is_named(tmp_path, judge, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    videos = [loud_video(folder / f"{i}.mp4", seed=i, frames=30 + i) for i in range(2)]
    (folder / "notes.txt").write_text("no video")
    mute = loud_video(folder / "mute.mp4", audio=False)
    words = (folder, "--syncnet", judge, "--variant", "whole")
    code, out, err = score(*words, capsys=capsys)
    assert code == 3
    assert f"talkjax score: {mute}: no audio stream" in err
    assert "not comparable with published LSE" in out and "mean of 2" in out
    for video in videos:
        assert str(video) in out
    code, out, _ = score(*words, "--allow-failures", "--json", capsys=capsys)
    assert code == 0
    found = json.loads(out)
    assert set(found["videos"]) == set(map(str, videos)) and set(found["failed"]) == {str(mute)}
    each = [one["lse_c"] for one in found["videos"].values()]
    assert found["mean"]["lse_c"] == pytest.approx(sum(each) / 2)


def test_a_video_alone_that_cannot_be_scored_is_one_line(tmp_path, judge, capsys):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    (tmp_path / "empty").mkdir()
    short = loud_video(tmp_path / "short.mp4", frames=5)
    cases = {
        text: "text file",
        short: "SyncNet needs .*; give a longer video",
        tmp_path / "absent.mp4": "no such file",
        tmp_path / "empty": "no video in this folder",
    }
    for path, reason in cases.items():
        code, out, err = score(path, "--syncnet", judge, "--variant", "whole", capsys=capsys)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert re.search(reason, err)


@pytest.mark.parametrize("variant", ["track", "aligned"])
def test_a_face_is_followed_and_its_stretch_scored(tmp_path, judge, faces, variant, capsys):
    faces(lambda pixel: FACE)
    video = loud_video(tmp_path / "a.mp4", late_frames=2)
    words = (video, "--syncnet", judge, "--variant", variant, "--json")
    code, out, _ = score(*words, capsys=capsys)
    scored = json.loads(out)["videos"][str(video)]
    assert code == 0 and scored["lse_offset"] == 2
    assert [(t["first_frame"], t["end_frame"]) for t in scored["tracks"]] == [(0, 60)]


@pytest.mark.parametrize(
    ("script", "flags", "reason"),
    [
        (lambda pixel: [], (), "no face found in 60 frames"),
        (lambda pixel: FACE, ("--min-track", "80"), "too short: a face is seen in 60 frames .* 80"),
        (lambda pixel: [(160, 110, 20)], (), "face is too small: 51 px wide, want 100 px"),
        (lambda pixel: FACE, ("--min-track", "5"), "--min-track: got 5, want 13 or more"),
    ],
)
def test_why_there_is_nothing_to_score(tmp_path, judge, faces, script, flags, reason, capsys):
    faces(script)
    video = loud_video(tmp_path / "a.mp4")
    code, _, err = score(video, "--syncnet", judge, *flags, capsys=capsys)
    assert code == 2 and len(err.splitlines()) <= 3  # progress may come first
    assert re.search(reason, err)


def test_public_weights_are_labelled_and_shown_the_crops_they_know(tmp_path, faces, capsys):
    faces(lambda pixel: FACE)
    public = export(tmp_path / "public", origin=ORIGIN)
    video = loud_video(tmp_path / "a.mp4")
    code, out, _ = score(video, "--syncnet", public, capsys=capsys)
    assert code == 0
    assert f"SyncNet: {manifest.label(ORIGIN)}" in out
    assert (
        "imported weights syncnet_v2.model (source assumed, not stated by anybody: joonson" in out
    )
    assert "variant track: a crop that follows the face" in out
    assert "faces: dlib's HOG detector, the largest face of each shot; not S3FD" in out
    assert "comparable with published LSE: no, dlib's boxes are not those of S3FD" in out
    code, out, _ = score(video, "--syncnet", public, "--variant", "whole", capsys=capsys)
    assert code == 0 and "comparable with published LSE: with numbers of whole frames" in out
    code, _, err = score(video, "--syncnet", public, "--variant", "aligned", capsys=capsys)
    assert code == 2 and "public weights say nothing of aligned crops" in err


def test_another_net_or_other_windows_are_no_judge(tmp_path, capsys):
    video = loud_video(tmp_path / "a.mp4")
    generator = export(tmp_path / "generator", "copying")
    code, _, err = score(video, "--syncnet", generator, capsys=capsys)
    assert code == 2 and "holds a copying, want a syncnet as --syncnet" in err
    longer = export(tmp_path / "longer", steps=24)
    code, _, err = score(video, "--syncnet", longer, capsys=capsys)
    assert code == 2 and "24 MFCC steps, the protocol wants 5 and 20" in err


@pytest.mark.parametrize("variant", ["aligned", "track"])
def test_a_real_face_is_found_and_scored(shared, judge, variant, capsys):
    video = shared / "data" / "public" / "grid_s1" / "bbaf3s.mpg"
    words = (video, "--syncnet", judge, "--variant", variant, "--json")
    code, out, _ = score(*words, capsys=capsys)
    assert code == 0
    scored = json.loads(out)["videos"][str(video)]
    # 75 frames; the sound ends within the last one
    assert [(t["first_frame"], t["end_frame"]) for t in scored["tracks"]] == [(0, 74)]
    assert scored["notes"] == []
