"""Face boxes from files: three ways to write the same, and what is refused in one line."""

import json
import pathlib

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.evals.face_boxes import read_boxes

VIDEO = pathlib.Path("a.mp4")
FACES = [[[10, 20, 60.5, 80]], [], [[11, 20, 61, 80], [100, 20, 150, 90]]]
CSV = """frame,x0,y0,x1,y1,confidence
0,10,20,60.5,80,0.99
2,11,20,61,80,0.98
2,100,20,150,90,0.97
"""


def _write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _frames(boxes, num_frames=3, size_wh=(160, 120)):
    return boxes.of_frames(VIDEO, num_frames=num_frames, size_wh=size_wh)


def test_lists_the_entries_of_syncnet_pythons_faces_and_csv_say_the_same(tmp_path):
    entries = [
        [{"frame": i, "bbox": box, "conf": 0.99} for box in faces] for i, faces in enumerate(FACES)
    ]
    sure = [[[*box, 0.99] for box in faces] for faces in FACES]
    written = [
        _write(tmp_path / "a.json", FACES),
        _write(tmp_path / "b.json", entries),
        _write(tmp_path / "c.json", sure),
        _write(tmp_path / "d.csv", "\ufeff" + CSV),  # as spreadsheets begin theirs
        _write(tmp_path / "e.CSV", CSV.replace("\n", "\r\n")),
    ]
    for path in written:
        found = _frames(read_boxes(path))
        assert [len(of_frame) for of_frame in found] == [1, 0, 2], path
        for got, want in zip(found, FACES, strict=True):
            np.testing.assert_array_equal(got, np.reshape(want, (-1, 4)))


def test_another_number_of_frames_is_refused_but_for_the_ends(tmp_path):
    listed = read_boxes(_write(tmp_path / "a.json", [*FACES, *[[]] * 47]))
    assert [len(_frames(listed, count)) for count in (48, 50, 52)] == [48, 50, 52]
    for count in (47, 53):
        with pytest.raises(UserError, match=rf"a.json: boxes of 50 frames, a.mp4 has {count} at"):
            _frames(listed, count)
    # a table ends with the last face, so it may be far shorter, not longer
    table = read_boxes(_write(tmp_path / "b.csv", CSV))
    assert [len(of_frame) for of_frame in _frames(table, 60)] == [1, 0, 2] + [0] * 57
    with pytest.raises(UserError, match="ffmpeg -i VIDEO -r 25"):
        _frames(read_boxes(_write(tmp_path / "c.csv", CSV.replace("\n2,", "\n9,"))), 7)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "[[1, 2", "is no JSON"),
        ("a.json", {"0": []}, "want a list with a list of faces for each frame"),
        ("a.json", [[[1, 2, 3]]], "frame 0: got .1, 2, 3., want a face as"),
        ("a.json", [[], [[9, 2, 3, 8]]], "frame 1: got .9, 2, 3, 8., .* x0 < x1"),
        ("a.json", [[[0, 0, float("nan"), 8]]], "frame 0: got"),
        ("a.json", [[{"box": [1, 2, 3, 4]}]], "frame 0: got .'box'"),
        ("a.json", [["abcd"]], "frame 0: got 'abcd'"),
        ("a.json", [[{"bbox": "abcd"}]], "frame 0: got"),
        ("a.json", "[" * 100_000, "is no JSON"),
        ("a.json", f"[[[0, 0, 9, {'9' * 5000}]]]", "is no JSON"),
        ("a.json", f"[[[0, 0, 9, {'9' * 4000}]]]", "frame 0: got"),
        ("a.csv", f"frame,x0,y0,x1,y1\n{'9' * 5000},1,2,3,4\n", "line 2: frame '999"),
        ("a.csv", "x,y\n1,2\n", "columns x, y, want frame, x0, y0, x1, y1"),
        ("a.csv", "", "want frame, x0, y0, x1, y1"),
        ("a.csv", "frame,x0,y0,x1,y1\n-1,1,2,3,4\n", "line 2: frame '-1', want 0, 1, 2"),
        ("a.csv", "frame,x0,y0,x1,y1\n0,1,2,3\n", "frame 0: got"),
        ("a.csv", "frame,x0,y0,x1,y1\n0,1,2,3,x\n", "frame 0: got"),
    ],
)
def test_what_is_no_file_of_boxes_is_refused_in_a_line(tmp_path, name, content, reason):
    path = _write(tmp_path / name, content)
    with pytest.raises(UserError, match=reason) as caught:
        read_boxes(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UserError, match=r"a.json: No such file or directory; want face boxes"):
        read_boxes(tmp_path / "a.json")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"b.csv: is no CSV"):
        read_boxes(tmp_path / "b.csv")


@pytest.mark.parametrize(
    "box",
    [
        [0.2, 0.3, 0.6, 0.7],  # shares of the picture
        [300, 20, 360, 80],  # of a larger picture
        [-60, 20, -5, 80],
        [0, 0, 1e9, 1e9],
    ],
)
def test_boxes_in_other_pixels_are_refused(tmp_path, box):
    boxes = read_boxes(_write(tmp_path / "a.json", [[], [box], []]))
    with pytest.raises(UserError, match=r"a.json: frame 1: box .* a.mp4, which has 160 x 120 px"):
        _frames(boxes)
