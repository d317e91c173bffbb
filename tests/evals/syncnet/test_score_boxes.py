"""`talkjax score --boxes`: faces that another detector found."""

import json
import re

import pytest

from talkjax.commands import video_lse
from talkjax.media.detector import box_from_landmarks
from tests.evals.syncnet.toy_syncnet import FACE, ORIGIN, export, loud_video, score
from tests.media.test_track import points


def _face_box(column):
    """A box whose crop has a patch of `_video` in its middle: 0.4 half sides below the box's."""
    return [column + 30 - 55, 68, column + 30 + 55, 178]


def _write_boxes(path, columns, *, frames=60, without=()):
    listed = [[_face_box(c) for c in columns] if i not in without else [] for i in range(frames)]
    path.write_text(json.dumps(listed))
    return path


def test_boxes_from_elsewhere_are_followed_and_every_face_of_a_shot_is_scored(
    tmp_path, no_detector, capsys
):
    public = export(tmp_path / "public", origin=ORIGIN)
    video = loud_video(tmp_path / "a.mp4", patches={30: 0, 230: 5})
    boxes = _write_boxes(tmp_path / "boxes.json", (30, 230), without=range(20, 31))
    words = (video, "--syncnet", public, "--boxes", boxes, "--boxes-by", "S3FD, scale 0.25")
    code, out, err = score(*words, "--json", capsys=capsys)
    assert code == 0
    found = json.loads(out)
    scored = found["videos"][str(video)]
    heard = {t["face_xyxy_px"][0]: (t["lse_offset"], t["first_frame"], t["end_frame"]) for t in
             scored["tracks"]}  # fmt: skip
    assert heard == {5.0: (0, 0, 60), 205.0: (5, 0, 60)}
    assert scored["lse_offset"] == 2.5
    assert scored["boxes"]["file"] == str(boxes) and len(scored["boxes"]["sha256"]) == 64
    assert "2 faces in a frame; each is scored" in err
    protocol = found["protocol"]
    assert protocol["variant"] == "track" and "XVID" in protocol["left_out"]
    assert protocol["faces"].startswith("boxes of --boxes, found by S3FD, scale 0.25; all faces")
    assert protocol["comparable"].startswith("with numbers of real videos by the same weights")
    code, out, _ = score(*words, capsys=capsys)
    assert code == 0 and "faces: boxes of --boxes, found by S3FD, scale 0.25; all faces" in out
    assert "comparable with published LSE: with numbers of real videos" in out
    code, out, _ = score(*words[:-2], capsys=capsys)
    assert code == 0 and "a detector that is not named (--boxes-by)" in out


def test_the_boxes_of_dlib_give_the_crops_of_dlib(tmp_path, judge, faces, capsys):
    """The same boxes, found here or given, have the same score; only the way to them differs."""
    faces(lambda pixel: FACE)
    video = loud_video(tmp_path / "a.mp4", late_frames=2)
    words = (video, "--syncnet", judge, "--json", "--variant", "track")
    _, out, _ = score(*words, capsys=capsys)
    here = json.loads(out)["videos"][str(video)]
    box = box_from_landmarks(points(*FACE[0])).tolist()
    table = "frame,x0,y0,x1,y1\n" + "".join(f"{i},{','.join(map(str, box))}\n" for i in range(60))
    (tmp_path / "boxes.csv").write_text(table)
    _, out, _ = score(*words, "--boxes", tmp_path / "boxes.csv", capsys=capsys)
    given = json.loads(out)
    for key in video_lse.KEYS:
        assert given["videos"][str(video)][key] == here[key]
    assert given["protocol"]["comparable"] == (
        "no, a judge trained here, which was shown other crops in training"
    )


def test_a_folder_of_boxes_has_a_file_for_each_video(tmp_path, judge, no_detector, capsys):
    videos = [loud_video(tmp_path / f"{i}.mp4", seed=i) for i in range(3)]
    folder = tmp_path / "boxes"
    folder.mkdir()
    for i in range(2):
        _write_boxes(folder / f"{i}.json", (130,))
    code, out, err = score(*videos, "--syncnet", judge, "--boxes", folder, "--json", capsys=capsys)
    assert code == 3
    found = json.loads(out)
    assert set(found["videos"]) == {str(video) for video in videos[:2]}
    assert f"{folder / '2.json'}: No such file" in err
    assert found["protocol"]["variant"] == "track"  # boxes are of no use to aligned crops


@pytest.mark.parametrize(
    ("columns", "flags", "reason"),
    [
        ((), (), "boxes.json: no box in the 60 frames of .*a.mp4"),
        ((130,), ("--variant", "whole"), "--boxes: got --variant whole, want track"),
        ((130,), ("--min-track", "80"), "too short: a face is seen in 60 frames .* want 80"),
        ((130,), ("--min-face", "120"), "face is too small: 110 px wide, want 120 px"),
    ],
)
def test_why_boxes_give_nothing_to_score(
    tmp_path, judge, no_detector, columns, flags, reason, capsys
):
    video = loud_video(tmp_path / "a.mp4")
    boxes = _write_boxes(tmp_path / "boxes.json", columns)
    code, _, err = score(video, "--syncnet", judge, "--boxes", boxes, *flags, capsys=capsys)
    assert code == 2 and re.search(reason, err)


def test_one_file_of_boxes_is_of_one_video(tmp_path, judge, capsys):
    (tmp_path / "other").mkdir()
    videos = [loud_video(path / "a.mp4") for path in (tmp_path, tmp_path / "other")]
    boxes = _write_boxes(tmp_path / "boxes.json", (130,))
    cases = {
        ("--boxes", boxes): "got one file of boxes for 2 videos, want a folder",
        ("--boxes", tmp_path): "several videos are named a, so",
        ("--boxes-by", "S3FD"): "--boxes-by: names what found the boxes of --boxes, which is not",
    }
    for flags, reason in cases.items():
        code, out, err = score(*videos, "--syncnet", judge, *flags, capsys=capsys)
        assert (code, out) == (2, "") and re.search(reason, err), reason
