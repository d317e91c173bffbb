import dataclasses

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.evals import ground_truth, head_pose, landmarks, report, report_tables, runner
from talkjax.evals.landmarks import LandmarkTracker
from tests.evals import eval_toys

CROPS = np.tile(np.eye(2, 3, dtype=np.float32), (eval_toys.FRAMES, 1, 1))


def _known(series=None, phones=(), times_s=()):
    times_s = np.array(times_s, np.float64).reshape(-1, 2)
    return ground_truth.Known(series or {}, tuple(phones), times_s, CROPS)


def _sine(frames=50, period=10.0, shift=0.0):
    return np.sin(2 * np.pi * (np.arange(frames) - shift) / period)


def _faces(angles_deg, *, place=(0.0, 0.0), size=40.0):
    """(t, 68, 2) landmarks of the rigid model, y down, turned by rotations written out here."""
    points = np.zeros((len(angles_deg), 68, 2))
    model = np.zeros((68, 3))
    model[list(head_pose.MODEL)] = list(head_pose.MODEL.values())
    # the eyes' other points, so that the eyes' middles are half an eye distance off the middle
    for eye, side in ((slice(36, 42), -1), (slice(42, 48), 1)):
        known = [k for k in range(eye.start, eye.stop) if k in head_pose.MODEL]
        rest = [k for k in range(eye.start, eye.stop) if k not in known]
        model[rest] = (np.array([side * 3.0, 0, 0]) - model[known].sum(axis=0)) / 4
    for f, (yaw, pitch, roll) in enumerate(np.radians(angles_deg)):
        nod = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        turn = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        tilt = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        turned = model @ (np.array(tilt) @ turn @ nod).T
        points[f] = turned[:, :2] * [size, -size] + place
    return points


def _eyes(heights_px):
    """Both eyes 20 px wide, their lids this far apart."""
    points = np.zeros((len(heights_px), 68, 2))
    for start in (36, 42):
        for k, (x, side) in enumerate([(0, 0), (7, -1), (13, -1), (20, 0), (13, 1), (7, 1)]):
            points[:, start + k, 0] = x + 40 * (start == 42)
            points[:, start + k, 1] = side * np.asarray(heights_px) / 2
    return points


def test_labels_become_series_and_what_does_not_fit_is_named():
    labels = {"lip_opening": np.ones(3), "head_pose": np.zeros((3, 6)), "articulation": np.ones(8)}
    crops = CROPS[:3]
    known = ground_truth.read_known(labels, {}, crop_to_source=crops)
    assert set(known.series) == {"opening", *head_pose.AXES} and known.phones == ()
    assert ground_truth.read_known({"articulation": np.ones(8)}, {}, crop_to_source=crops) is None
    for name, values in (("lip_width", np.ones(4)), ("blink", np.full(3, np.nan))):
        with pytest.raises(UserError, match=f"label {name}: got shape"):
            ground_truth.read_known({name: values}, {}, crop_to_source=crops)
    with pytest.raises(UserError, match=r"phone_times_s: got shape \(2, 2\), want \(1, 2\)"):
        ground_truth.read_known(
            {"phone_times_s": np.zeros((2, 2))}, {"phones": "a"}, crop_to_source=crops
        )


def test_late_lips_that_open_half_as_far_have_a_known_error_and_lag():
    label = 0.2 + 0.1 * _sine()
    pred = 0.2 + 0.05 * _sine(shift=2)
    values, pairs = ground_truth.compare(
        {"opening": pred, "width": label}, _known({"opening": label}), reference_frame=0, shut=None
    )
    # numpy's own correlation; two frames of 40 ms
    want = np.corrcoef(pred[1:], label[1:])[0, 1]
    assert values["label_opening_correlation"] == pytest.approx(want)
    assert values["label_opening_error"] == pytest.approx(np.abs(pred - label)[1:].mean())
    assert values["label_lag_ms"] == 80.0
    assert set(pairs) == {"label_opening"}  # the width has no label
    assert not any("width" in key for key in values)


def test_lips_that_do_not_move_follow_nothing():
    values, _ = ground_truth.compare(
        {"opening": np.full(50, 0.1)}, _known({"opening": _sine()}), reference_frame=0, shut=None
    )
    assert values["label_opening_correlation"] == 0.0 and "label_lag_ms" not in values


def test_half_of_the_bilabials_close():
    # frames 10 and 30 are shut: middles at 0.42 and 1.22 s
    opening = np.full(50, 0.3)
    opening[[10, 30]] = 0.01
    phones = ("p", "a", "m", "b", "t", "m̩")
    times_s = [(0.38, 0.45), (0.45, 0.9), (0.9, 1.0), (1.21, 1.215), (1.215, 1.23), (1.7, 1.8)]
    known = _known(phones=phones, times_s=times_s)
    # p: yes; m: no; b, shorter than a frame, is next to frame 30: yes; syllabic m: no
    assert ground_truth.closure_rate(opening, known, below=0.02) == 0.5
    assert ground_truth.closure_rate(opening, known, below=0.4) == 1.0
    assert ground_truth.closure_rate(opening, known, below=None) is None
    none = _known(phones=("a", "t"), times_s=[(0, 1), (1, 2)])
    assert ground_truth.closure_rate(opening, none, below=0.4) is None
    # a film that ends before a phone is not judged on it
    assert ground_truth.closure_rate(opening[:20], known, below=0.02) == 1.0
    assert ground_truth.closure_rate(opening[:10], known, below=0.02) is None


def test_shut_is_what_is_read_off_the_same_face_where_the_label_says_shut():
    label = np.array([0.0, 0.0, 0.01, 0.1, 0.3])
    read = np.array([0.05, 0.07, 0.09, 0.1, 0.25])  # dlib sees a gap where there is none
    known = _known({"opening": label})
    assert ground_truth.shut_below({"opening": read}, known) == pytest.approx(0.07 + 0.03)
    never = _known({"opening": label + 0.1})
    assert ground_truth.shut_below({"opening": read}, never) is None
    assert ground_truth.shut_below({"opening": read}, _known({"blink": label})) is None


def test_an_eye_that_narrows_to_the_shut_ratio_is_shut():
    heights = np.full(50, 8.0)
    heights[20:23] = 8.0 * ground_truth.SHUT_EYE_RATIO
    np.testing.assert_allclose(
        ground_truth.blink(_eyes(heights)), np.isin(np.arange(50), [20, 21, 22])
    )


def test_blinks_are_counted_and_timed():
    blink = np.zeros(125)
    blink[10:13] = blink[60:65] = 0.9
    blink[80] = 0.4  # not half way
    # two in 5 s, of 3 and 5 frames
    want = {"blinks_per_minute": pytest.approx(24.0), "blink_ms": pytest.approx(160.0)}
    assert ground_truth.statistics({"blink": blink}) == want
    assert ground_truth.statistics({"blink": np.zeros(125)}) == {"blinks_per_minute": 0.0}


def test_motion_of_the_head_has_a_known_spread_and_speed():
    ramp = np.arange(26.0) * 0.5  # half a degree a frame
    found = ground_truth.statistics({"yaw": ramp})
    assert found == {"yaw_std": pytest.approx(ramp.std()), "yaw_speed": pytest.approx(12.5)}


def test_pose_of_a_turned_model_is_found_whatever_the_crop():
    turns = np.stack([np.linspace(-15, 15, 60), np.linspace(10, -8, 60), np.linspace(0, 9, 60)], 1)
    found = head_pose.from_landmarks(_faces(turns), np.tile(np.eye(2, 3), (60, 1, 1)))
    inside = slice(10, 50)  # a straight line stays one when it is smoothed
    for axis, want in zip(head_pose.AXES[:3], turns.T, strict=True):
        np.testing.assert_allclose((found[axis] - want + want.mean())[inside], 0.0, atol=1e-6)
    # the same faces through crops that took away the tilt and half of the size
    crops = np.tile(np.eye(2, 3), (60, 1, 1))
    level = turns.copy()
    level[:, 2] = 0.0
    for f, angle in enumerate(np.radians(turns[:, 2])):
        turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        crops[f, :, :2] = 2.0 * turned
    again = head_pose.from_landmarks(_faces(level, size=20.0), crops)
    for axis in head_pose.AXES:
        np.testing.assert_allclose(again[axis], found[axis], atol=1e-6)


def test_place_is_that_of_the_eyes_in_eye_distances():
    # moved right by one eye distance over the clip without a turn
    moved = np.concatenate(
        [_faces(np.zeros((1, 3)), place=(x, 7.0)) for x in np.linspace(0, 40, 41)]
    )
    found = head_pose.from_landmarks(moved, np.tile(np.eye(2, 3), (41, 1, 1)))
    np.testing.assert_allclose(found["x"], np.linspace(-0.5, 0.5, 41), atol=1e-6)
    for axis in ("yaw", "pitch", "roll", "y"):
        np.testing.assert_allclose(found[axis], 0.0, atol=1e-6)


def test_a_label_moves_the_eyes_as_the_corpus_does():
    render = pytest.importorskip("data_prep.synthetic.render")
    np.testing.assert_allclose(head_pose.NECK, render.PIVOT)
    # slow enough that smoothing does not change it
    steps = np.linspace(-1, 1, 400)[:, None]
    pose = steps * [0.3, 0.2, -0.25, 0.1, 0.05, 0.0] + 0.1 * steps**2
    eyes = []
    for one in pose:
        rotation, shift = render._motion(one)
        eyes.append((0 - render.PIVOT) @ rotation.T + render.PIVOT + shift)
    eyes = np.array(eyes) - np.mean(eyes, axis=0)
    found = head_pose.from_label(pose)
    np.testing.assert_allclose(found["x"], eyes[:, 0], atol=1e-4)
    np.testing.assert_allclose(found["y"], -eyes[:, 1], atol=1e-4)
    yaw = np.degrees(pose[:, 0] - pose[:, 0].mean())
    np.testing.assert_allclose(found["yaw"], yaw, atol=1e-2)


NAMES = [f"clip{i:02d}" for i in range(6)]


def _labelled(clip_id):
    """A toy whose labels say what its drawing shows; its p's lie where the mouth rests."""
    seed = int(clip_id[4:])
    toy, values = eval_toys.clip(seed), eval_toys.lips(seed)
    series = {"opening": 0.2 * values[:, 0], "width": 0.5 + 0.2 * values[:, 1]}
    known = _known(series, phones=("p", "a"), times_s=[(0.1, 0.3), (0.6, 1.7)])
    return dataclasses.replace(toy, known=known)


def _metrics(generate, *, load=_labelled):
    tools = runner.Tools(
        generate=generate,
        tracker=LandmarkTracker(eval_toys.track, workers=0),
        critics={},
        linear=None,
        hide_from=0.5,
        num_voices=2,
        sync_stride=2,
    )
    found = runner.evaluate_clips(
        NAMES, load, tools, seed=0, reference_frame=0, on_clip_done=lambda: None
    )
    assert found.failed == {}
    return report.metrics(found, protocol={}, seed=0)


def _mean(contents, row, key):
    return contents["rows"][row][key]["mean"]


def test_a_model_that_listens_follows_the_labels_of_the_voice_and_not_of_the_face():
    found = _metrics(eval_toys.listens)
    for name in ("opening", "width"):
        key = f"label_{name}_correlation"
        for row in ("generated", "ground_truth", "swapped_voice_vs_voice"):
            assert _mean(found, row, key) == pytest.approx(1.0)
            assert _mean(found, row, f"label_{name}_error") == pytest.approx(0.0, abs=1e-9)
        base = _mean(found, "base_rate", key)
        assert _mean(found, "swapped_voice_vs_face", key) == pytest.approx(base, abs=0.1)
        assert _mean(found, "shuffled_audio", key) == pytest.approx(base, abs=0.1)
        assert _mean(found, "still_mouth", key) == 0.0
        assert f"{key}_centred" in found["rows"]["generated"]
    assert _mean(found, "generated", "label_lag_ms") == 0.0
    for row in ("generated", "ground_truth", "labels"):
        assert _mean(found, row, "bilabial_closure") == 1.0
    difference = found["differences"]["generated - still_mouth"]["label_opening_correlation"]
    assert difference["mean"] == pytest.approx(1.0)
    assert found["protocol"]["ground_truth"]["bilabial_closure"]["phones"] == ["b", "m", "m̩", "p"]
    table = report_tables.markdown(found, title="toy")
    lines = table[table.index("## Against the labels: lips") :].splitlines()
    assert lines[2].startswith("| row | label_opening_correlation | label_width_correlation |")
    assert any(line.startswith("| swapped_voice_vs_voice | 1.000 ") for line in lines)


def test_a_mouth_that_never_closes_has_no_closures():
    def agape(frames, reference, mel):
        return eval_toys.with_mouth(frames, np.full((len(frames), 2), 0.6))

    found = _metrics(agape)
    assert _mean(found, "generated", "bilabial_closure") == 0.0
    assert _mean(found, "ground_truth", "bilabial_closure") == 1.0


def test_a_set_without_labels_has_no_label_measures():
    found = _metrics(eval_toys.listens, load=lambda clip_id: eval_toys.clip(int(clip_id[4:])))
    keys = {key for row in found["rows"].values() for key in row}
    assert not any(key.startswith(("label_", "bilabial", "blink", "yaw")) for key in keys)
    assert "labels" not in found["rows"] and "ground_truth" not in found["protocol"]
    assert "Against the labels" not in report_tables.markdown(found, title="toy")


def test_only_what_is_labelled_is_measured():
    toy = eval_toys.track(_labelled("clip00").truth_u8)
    assert set(ground_truth.seen(toy, _known({"opening": np.zeros(44)}))) == {"opening", "width"}
    everything = _known({"blink": np.zeros(44), **{a: np.zeros(44) for a in head_pose.AXES}})
    assert set(ground_truth.seen(toy[:20], everything)) == set(ground_truth.SERIES)
    series = landmarks.lip_series(toy)
    np.testing.assert_allclose(ground_truth.seen(toy, everything)["opening"], series.opening)
