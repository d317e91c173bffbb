"""What each kind of model looks like in the report: the rows must tell them apart."""

import dataclasses
import json

import numpy as np
import pytest

from talkjax.evals import baselines, ground_truth, landmarks, report, report_tables, runner, sync
from talkjax.evals.landmarks import LandmarkTracker
from talkjax.evals.runner import Tools
from tests.evals import eval_toys

CLIPS = 9
NAMES = [f"clip{i:02d}" for i in range(CLIPS)]


def _load(clip_id):
    return eval_toys.clip(int(clip_id[4:]))


def _critic():
    return sync.Critic(
        embed_faces=eval_toys.embed_faces,
        embed_sound=eval_toys.embed_sound,
        image_size=128,
        clip_frames=5,
        mel_frames=16,
    )


def _linear():
    values = [eval_toys.lips(seed) for seed in range(500, 520)]
    series = [landmarks.lip_series(eval_toys.track(_drawn(v))) for v in values]
    return baselines.fit_linear_lips([eval_toys.mel_of(v) for v in values], series)


def _drawn(values):
    return eval_toys.with_mouth(np.zeros((len(values), 128, 128, 3), np.uint8), values)


def _tools(generate, *, critics=True, linear=None, track=eval_toys.track, num_voices=2):
    return Tools(
        generate=generate,
        tracker=LandmarkTracker(track, workers=0),
        critics={"": _critic()} if critics else {},
        linear=linear,
        sync_stride=2,
        hide_from=0.5,
        num_voices=num_voices,
    )


def _evaluate(tools, *, names=NAMES, load=_load):
    done = []
    found = runner.evaluate_clips(
        names, load, tools, seed=0, reference_frame=0, on_clip_done=lambda: done.append(1)
    )
    assert len(done) == len(names)
    return found


def _metrics(tools, **changes):
    return report.metrics(_evaluate(tools, **changes), protocol={}, seed=0)


@pytest.fixture(scope="module")
def listening():
    return _metrics(_tools(eval_toys.listens, linear=_linear()))


@pytest.fixture(scope="module")
def peeking():
    return _metrics(_tools(eval_toys.peeks))


@pytest.fixture(scope="module")
def deaf():
    return _metrics(_tools(eval_toys.deaf))


def _mean(contents, row, key):
    return contents["rows"][row][key]["mean"]


def test_a_perfect_model_looks_like_ground_truth(listening):
    rows = listening["rows"]
    assert rows["generated"].keys() == rows["ground_truth"].keys()
    for key in rows["generated"]:
        assert rows["generated"][key]["mean"] == pytest.approx(
            rows["ground_truth"][key]["mean"], abs=1e-6
        ), key
    assert _mean(listening, "generated", "psnr") == 100.0
    assert _mean(listening, "generated", "lmd") == 0.0
    assert _mean(listening, "generated", "opening_correlation") == pytest.approx(1.0)
    assert _mean(listening, "generated", "jitter") == pytest.approx(1.0)
    assert _mean(listening, "generated", "lag_ms") == 0.0
    assert _mean(listening, "generated", "sync_offset") == 0.0


def test_the_lips_of_a_model_that_listens_follow_the_voice_and_not_the_face(listening):
    for key in ("opening_correlation", "width_correlation"):
        assert _mean(listening, "swapped_voice_vs_voice", key) == pytest.approx(1.0)
        face, base = (_mean(listening, row, key) for row in ("swapped_voice_vs_face", "base_rate"))
        assert face == pytest.approx(base, abs=0.05)
    # the resting mouth of the first 14 frames is common to all clips
    assert 0.2 < _mean(listening, "base_rate", "opening_correlation") < 0.85


def test_a_model_that_copies_the_face_fails_the_swapped_test(peeking):
    assert _mean(peeking, "generated", "lmd") == 0.0  # with its own voice it looks perfect
    difference = peeking["differences"]["swapped_voice_vs_face - base_rate"]
    for key in ("opening_correlation", "width_correlation"):
        assert _mean(peeking, "swapped_voice_vs_face", key) == pytest.approx(1.0)
        base = _mean(peeking, "base_rate", key)
        assert _mean(peeking, "swapped_voice_vs_voice", key) == pytest.approx(base, abs=1e-9)
        assert difference[key]["low"] > 0.2


def test_a_deaf_model_follows_neither_beyond_the_base_rate(deaf):
    # the one film that it always makes: correlation with a clip is that of two clips
    for row in ("generated", "swapped_voice_vs_voice", "swapped_voice_vs_face"):
        base = _mean(deaf, "base_rate", "opening_correlation")
        assert _mean(deaf, row, "opening_correlation") == pytest.approx(base, abs=0.15)
    low = deaf["rows"]["swapped_voice_vs_voice"]["opening_correlation"]["low"]
    assert deaf["rows"]["generated"]["opening_correlation"]["high"] < 0.8 and low < 0.7


def test_a_still_mouth_has_correlation_zero_and_no_jitter(listening):
    assert _mean(listening, "still_mouth", "opening_correlation") == 0.0
    assert _mean(listening, "still_mouth", "jitter") == 0.0
    assert _mean(listening, "still_mouth", "lmd") > 0.1
    assert "lag_ms" not in listening["rows"]["still_mouth"]


def test_every_row_carries_the_measures_that_mean_something_for_it(listening):
    rows = listening["rows"]
    assert set(rows) == set(report.ROWS) - {ground_truth.LABELS_ROW}  # toys have no labels
    pictures = {"psnr", "ssim", "psnr_mouth", "ssim_mouth", "lmd", "lmd_centred"}
    for row in ("generated", "ground_truth", "shuffled_audio", "still_mouth", "still_hidden"):
        assert pictures | {"sync_distance", "jitter"} <= rows[row].keys()
        # shuffled_audio is driven by another sound than the one whose pauses are known
        assert ("silence_opening" in rows[row]) == (row != "shuffled_audio")
    lips = {"opening_correlation", "width_correlation", "opening_error", "width_error", "lag_ms"}
    lips |= {"opening_correlation_centred", "width_correlation_centred"}
    lips |= {"opening_correlation_framewise", "width_correlation_framewise"}
    assert rows["silence"].keys() == {"silence_opening"}
    for row in ("linear", "base_rate", "swapped_voice_vs_face", "linear_swapped_vs_face"):
        assert lips <= rows[row].keys()
        assert not (pictures | {"sync_distance"}) & rows[row].keys()
    assert not any(
        key.startswith(("psnr", "lmd", "opening")) for key in rows["ground_truth_shuffled"]
    )


def test_sync_rows_tell_true_sound_from_another(listening):
    for right, wrong in (
        ("generated", "shuffled_audio"),
        ("ground_truth", "ground_truth_shuffled"),
        ("swapped_voice_vs_voice", "ground_truth_shuffled"),
    ):
        rows = listening["rows"]
        assert rows[right]["sync_confidence"]["low"] > rows[wrong]["sync_confidence"]["high"]
        assert rows[right]["sync_distance"]["high"] < rows[wrong]["sync_distance"]["low"]


def test_silence_is_that_of_the_driving_voice(listening, deaf):
    # all toys rest in silence; the deaf model's film rests there too, the true range is theirs
    for row in ("generated", "ground_truth", "swapped_voice_vs_voice"):
        assert _mean(listening, row, "silence_opening") == pytest.approx(0.0, abs=0.02)


def test_a_mouth_that_moves_in_silence_is_seen():
    def restless(frames, reference, mel):
        return eval_toys.with_mouth(frames, np.full((len(frames), 2), 0.6))

    found = _metrics(_tools(restless, critics=False))
    assert _mean(found, "generated", "silence_opening") > 0.5
    assert _mean(found, "ground_truth", "silence_opening") < 0.05


def test_a_mouth_that_opens_at_nothing_but_zeros_is_seen():
    def restless(frames, reference, mel):
        made = eval_toys.listens(frames, reference, mel)
        return (
            eval_toys.with_mouth(frames, np.ones((len(frames), 2))) if (mel == -4).all() else made
        )

    found = _metrics(_tools(restless, critics=False))
    assert _mean(found, "silence", "silence_opening") > 0.9
    assert _mean(found, "generated", "silence_opening") < 0.05
    rested = _metrics(_tools(eval_toys.listens, critics=False))
    assert _mean(rested, "silence", "silence_opening") == pytest.approx(0.0, abs=0.02)


def _shaky(frames_u8):
    """As the toys' landmarks, with eyes whose distance is misread, by what the forehead says."""
    points = eval_toys.track(frames_u8)
    points[:, 42:48, 0] += 8.0 * (frames_u8[:, 0, 0, :1] / 255.0 - 0.5)
    return points


def _flickering(clip_id):
    toy = _load(clip_id)
    truth = toy.truth_u8.copy()
    rng = np.random.default_rng([int(clip_id[4:]), 2])
    truth[:, 0, 0] = rng.integers(0, 256, size=(len(truth), 1), dtype=np.uint8)
    return dataclasses.replace(toy, truth_u8=truth, model_u8=truth)


def test_framewise_a_mouth_that_never_moves_follows_the_noise_of_the_eyes_that_it_shares():
    found = _metrics(_tools(eval_toys.listens, critics=False, track=_shaky), load=_flickering)
    for row in ("still_hidden", "still_mouth"):
        assert _mean(found, row, "width_correlation_centred") == pytest.approx(0.0, abs=1e-6)
        assert _mean(found, row, "width_correlation_framewise_centred") > 0.3
    voice, face = (f"swapped_voice_vs_{of}" for of in ("voice", "face"))
    base = _mean(found, "base_rate", "width_correlation_framewise")
    assert _mean(found, face, "width_correlation_framewise") > base + 0.1
    assert _mean(found, face, "width_correlation") == pytest.approx(
        _mean(found, "base_rate", "width_correlation"), abs=0.05
    )
    assert _mean(found, voice, "width_correlation") == pytest.approx(1.0, abs=0.01)


def test_still_hidden_holds_all_that_the_model_draws_and_still_mouth_the_mouth_alone():
    def moving(clip_id):
        toy = _load(clip_id)
        truth = toy.truth_u8.copy()
        truth[:, 64:] += np.arange(len(truth), dtype=np.uint8)[:, None, None, None]
        return dataclasses.replace(toy, truth_u8=truth, model_u8=truth)

    found = _metrics(_tools(eval_toys.listens, critics=False), load=moving)
    assert _mean(found, "still_hidden", "psnr") < _mean(found, "still_mouth", "psnr") - 2
    assert _mean(found, "generated", "psnr") > _mean(found, "still_mouth", "psnr")
    assert "generated - still_hidden" in found["differences"]


def test_more_voices_a_face_narrow_the_difference_to_the_base_rate():
    def widths(num_voices):
        found = _metrics(_tools(eval_toys.deaf, critics=False, num_voices=num_voices))
        assert {len(given) for given in found["protocol"]["voices_of"].values()} == {num_voices}
        difference = found["differences"]["swapped_voice_vs_face - base_rate"]
        keys = ("opening_correlation", "width_correlation")
        return sum(difference[key]["high"] - difference[key]["low"] for key in keys)

    assert widths(4) < 0.9 * widths(1)


def test_linear_follows_what_is_linear(listening):
    assert _mean(listening, "linear", "opening_correlation") > 0.9
    assert _mean(listening, "linear", "width_correlation") > 0.9


def test_linear_swapped_is_what_the_linear_row_says_with_the_other_voice(listening):
    # what follows the voice (the toy's linear map does) is to the face's lips as the base rate
    names = {"opening_correlation", "width_correlation_centred"}
    for key in names:
        base = _mean(listening, "base_rate", key)
        assert _mean(listening, "linear_swapped_vs_face", key) == pytest.approx(base, abs=0.1)
        assert _mean(listening, "linear", key) > 0.9
    difference = listening["differences"]["swapped_voice_vs_face - linear_swapped_vs_face"]
    assert names <= difference.keys()


def test_correlations_of_rows_are_pooled_and_per_clip_values_stand_beside(listening):
    row = listening["rows"]["base_rate"]
    clips = listening["clips"]
    own = [clips[name]["base_rate"]["opening_correlation"] for name in NAMES]
    assert row["opening_correlation_per_clip"]["mean"] == pytest.approx(np.mean(own))
    assert row["opening_correlation"]["mean"] != row["opening_correlation_per_clip"]["mean"]


def test_a_broken_clip_is_counted_with_its_reason_and_lends_no_voice():
    def load(clip_id):
        if clip_id == "clip03":
            raise ValueError("frame 7 is no readable JPEG")
        toy = _load(clip_id)
        if clip_id == "clip05":
            return dataclasses.replace(toy, truth_u8=toy.truth_u8[:9], model_u8=toy.model_u8[:9])
        return toy

    def generate(frames, reference, mel):
        if np.array_equal(frames, _load("clip08").model_u8):
            raise ValueError("the model gives no frames")
        return eval_toys.listens(frames, reference, mel)

    found = _metrics(_tools(generate, critics=False, num_voices=1), load=load)
    assert found["failed"] == {
        "clip03": "frame 7 is no readable JPEG",
        "clip05": "clip has 9 frames, want 13 or more",
        "clip08": "the model gives no frames",
    }
    assert set(found["clips"]) == set(NAMES) - set(found["failed"])
    assert found["protocol"]["clips_failed"] == 3
    voices = found["protocol"]["voices_of"]
    assert {"clip03", "clip05"}.isdisjoint(voice for given in voices.values() for voice in given)
    # the clip that was given clip08's voice has no true lips of that voice to be judged by
    (heir,) = [clip for clip, given in voices.items() if given == ["clip08"]]
    assert "base_rate" not in found["clips"][heir]
    assert found["protocol"]["clips_per_row"]["base_rate"] == len(found["clips"]) - 1


def test_a_landmark_process_that_dies_fails_its_clip_and_no_other():
    def load(clip_id):
        toy = _load(clip_id)
        if clip_id != "clip00":
            return toy
        black = np.zeros_like(toy.truth_u8)
        return dataclasses.replace(toy, truth_u8=black, model_u8=black)

    with landmarks.tracker(eval_toys.track_or_die, workers=1) as tracker:
        tools = dataclasses.replace(_tools(eval_toys.listens, critics=False), tracker=tracker)
        found = _evaluate(tools, load=load, names=NAMES[:4])
    assert list(found.failed) == ["clip00"] and "process died" in found.failed["clip00"]
    assert set(found.results) == set(NAMES[1:4])


def test_landmarks_that_are_not_finite_fail_the_clip():
    def track(frames):
        points = eval_toys.track(frames)
        if (frames[0] == _load("clip02").truth_u8[0]).mean() > 0.9:
            points[3] = np.nan
        return points

    found = _metrics(_tools(eval_toys.listens, critics=False, track=track))
    assert list(found["failed"]) == ["clip02"]
    assert "not finite" in found["failed"]["clip02"]


def test_one_clip_has_no_rows_that_need_two():
    found = _metrics(_tools(eval_toys.listens), names=NAMES[:1])
    alone = {"generated", "ground_truth", "still_mouth", "still_hidden", "silence"}
    assert set(found["rows"]) == alone


def test_voices_of_another_length_are_judged_as_far_as_both_reach():
    def load(clip_id):
        number = int(clip_id[4:])
        return eval_toys.clip(number, 40 + 3 * number)

    found = _metrics(_tools(eval_toys.listens), load=load, names=NAMES[:6])
    assert found["failed"] == {}
    assert _mean(found, "swapped_voice_vs_voice", "opening_correlation") == pytest.approx(1.0)


def test_metrics_json_has_no_nan_and_the_table_has_every_row(listening, tmp_path):
    report.write_json(tmp_path / "out" / "metrics.json", listening)
    again = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert again == listening
    for row in again["rows"].values():
        for interval in row.values():
            assert set(interval) == {"mean", "low", "high"}
            assert interval["low"] <= interval["mean"] + 1e-9
    table = report_tables.markdown(listening, title="toy")
    for row in listening["rows"]:
        assert f"| {row} |" in table
    assert "9 clips measured, 0 failed." in table
    assert "fewer than 10 they are too narrow" in table
    assert "* `lag_ms`: the best of ±200 ms; a lag at that edge is none." in table
    name = "swapped_voice_vs_face - base_rate"
    found = listening["differences"][name]["width_correlation"]
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {name} |")]
    assert f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" in line
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["metrics.json"]


def test_a_nan_is_refused_rather_than_written(tmp_path):
    with pytest.raises(ValueError):
        report.write_json(tmp_path / "metrics.json", {"lmd": float("nan")})
    assert not (tmp_path / "metrics.json").exists()


def test_one_clip_has_no_intervals_and_the_table_says_what_is_missing():
    found = _metrics(_tools(eval_toys.listens), names=NAMES[:1])
    table = report_tables.markdown(found, title="toy")
    assert "[" not in table
    assert "need two clips" in table
