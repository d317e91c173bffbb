"""`talkjax evaluate --syncnet`, and `evaluate` of a SyncNet itself."""

import json

import numpy as np
import pytest

from talkjax.commands import syncnet_parts
from talkjax.errors import UserError
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import write_json
from talkjax.train.trained import fingerprint
from talkjax.weights import manifest
from tests.evals.syncnet.toy_syncnet import ORIGIN, SIDES_SEEN, SIZE, export
from tests.evals.test_evaluate_command import _dark_mouth, _run


def test_evaluation_scores_every_row_and_says_who_judged(tmp_path, judge):
    model = export(tmp_path / "model", "copying", experts={})
    flags = ("--checkpoint", model, "--clips", 2, "--linear-clips", 0, "--pictures", 0)
    code, found = _run(tmp_path, *flags, "--syncnet", judge, track=_dark_mouth)
    assert code == 0
    rows = {row for row, values in found["rows"].items() if "lse_d" in values}
    assert rows == {
        "generated",
        "ground_truth",
        "shuffled_audio",
        "still_mouth",
        "still_hidden",
        "swapped_voice_vs_voice",
        "ground_truth_shuffled",
    }
    for row in rows:
        assert {"lse_c", "lse_offset", "lse_d_unshifted"} <= found["rows"][row].keys()
        assert not any(key.startswith("sync_") for key in found["rows"][row])
    # the model copies what it is given
    truth, made = (found["rows"][row]["lse_d"]["mean"] for row in ("ground_truth", "generated"))
    assert made == pytest.approx(truth, rel=0.02)
    assert found["protocol"]["syncnet"]["checkpoint"] == str(judge)
    table = (tmp_path / "report" / "report.md").read_text()
    label = "trained here on data/toys (3 people), 64 px, step 7; not"
    assert f"## LSE by SyncNet: {label}" in table
    assert f"## Paired differences: LSE by SyncNet: {label}" in table


def test_a_syncnet_of_larger_pictures_judges_a_generator_of_smaller_ones(tmp_path):
    """A generator of 64 px and a SyncNet of 96: pictures are brought to the judge's side."""
    judge = export(tmp_path / "judge", size=96)
    model = export(tmp_path / "model", "copying", experts={})
    flags = ("--checkpoint", model, "--clips", 2, "--linear-clips", 0, "--pictures", 0)
    code, found = _run(tmp_path, *flags, "--syncnet", judge, track=_dark_mouth)
    assert code == 0 and found["failed"] == {}
    assert sorted(SIDES_SEEN) == [96]
    protocol = found["protocol"]
    assert (protocol["image_size"], protocol["syncnet"]["image_size"]) == (64, 96)
    rows = found["rows"]
    # the model copies, so it is heard as its truth is, and neither as another's sound
    made, truth = (rows[row]["lse_c"]["mean"] for row in ("generated", "ground_truth"))
    assert made == pytest.approx(truth, rel=0.02)
    assert rows["still_hidden"]["lse_offset"] != rows["generated"]["lse_offset"]


def test_public_weights_on_aligned_crops_are_said_to_be_comparable_with_nothing(tmp_path):
    public = export(tmp_path / "public", origin=ORIGIN)
    model = export(tmp_path / "model", "copying", experts={})
    words = "aligned crops, not the protocol's: not comparable with published numbers"
    label = f"{manifest.label(ORIGIN)}; {words}"
    flags = ("--clips", 2, "--linear-clips", 0, "--pictures", 0)
    cases = {
        ("--checkpoint", model, "--syncnet", public): ("LSE by SyncNet", "Paired differences"),
        ("--checkpoint", public): ("LSE by SyncNet", "Paired differences"),
    }
    for given, headings in cases.items():
        code, found = _run(tmp_path, *given, *flags, track=_dark_mouth)
        assert code == 0
        assert found["protocol"]["syncnet"]["label"] == label
        table = (tmp_path / "report" / "report.md").read_text()
        for heading in headings:
            (line,) = [row for row in table.splitlines() if row.startswith(f"## {heading}")]
            assert line.endswith(label), heading


def test_a_syncnet_gets_a_report_of_its_own(tmp_path, judge):
    code, found = _run(tmp_path, "--checkpoint", judge, track=_dark_mouth)
    assert code == 0
    assert set(found["rows"]) == {"ground_truth", "ground_truth_shuffled"}
    wanted = {"lse_d", "lse_c", "retrieval_clip", "retrieval_window", "above_shuffled"}
    assert wanted <= found["rows"]["ground_truth"].keys()
    assert found["protocol"]["chance"]["retrieval_window"] == 1 / 31
    assert "cut into sound and picture" in found["protocol"]["shift_found"]
    # 36 frames have 31 windows, which must be left of a shift
    assert list(found["injected_shifts"]) == ["0"]
    offsets = [clip["ground_truth"]["lse_offset"] for clip in found["clips"].values()]
    shares = {k: share["mean"] for k, share in found["offset_histogram"].items()}
    assert shares == {f"{int(k)}": offsets.count(k) / 6 for k in sorted(set(offsets))}


def test_a_syncnets_report_has_every_injected_shift_and_prints_the_least(tmp_path, judge):
    data = f"fake://3x46?size={SIZE}"  # 41 windows: 31 are left of a shift of 10
    code, found = _run(tmp_path, "--checkpoint", judge, "--data", data, track=_dark_mouth)
    assert code == 0
    shifts = found["injected_shifts"]
    assert list(shifts) == [str(k) for k in range(-10, 11)]
    assert {share["clips"] for share in shifts.values()} == {3}
    truth = found["rows"]["ground_truth"]["shift_found"]["mean"]
    assert np.mean([share["mean"] for share in shifts.values()]) == pytest.approx(truth)
    least = min(shifts, key=lambda k: shifts[k]["mean"])
    shown = "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**shifts[least])
    assert f"| {least} | {shown} | 3 | " in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("flag", ["--syncnet", "--judge", "--lip-reader"])
def test_a_judge_is_not_judged(tmp_path, judge, flag):
    with pytest.raises(UserError, match=f"holds a syncnet, which makes no frames that {flag}"):
        _run(tmp_path, "--checkpoint", judge, flag, tmp_path / "absent", track=_dark_mouth)
    assert not (tmp_path / "report").exists()


def test_public_weights_that_were_trained_on_stay_named(tmp_path):
    tuned = export(tmp_path / "tuned")
    about = json.loads((tuned / "about.json").read_text())
    write_json(tuned / "about.json", about | {"began_from": ORIGIN})
    judge = syncnet_parts.load_judge(tuned)
    assert not judge.is_public  # its crops are those of its own training
    assert judge.label.startswith("trained here on data/toys (3 people), 64 px, step 7, begun from")
    for text in ("syncnet_v2.model", ORIGIN["source"], "MIT", "0123456789ab", "not comparable"):
        assert text in judge.label
    assert judge.identity()["began_from"] == ORIGIN
    assert "origin" not in judge.identity()


def test_an_expert_of_the_training_may_not_judge(tmp_path, judge):
    own = fingerprint(load_trained(judge).params)
    elsewhere = {"fingerprint": "another", "source": str(tmp_path / "x"), "seed": 0, "step": 7}
    cases = {
        "same weights": elsewhere | {"fingerprint": own},
        "same place": elsewhere | {"source": str(judge)},
    }
    model = tmp_path / "model"
    for expert in cases.values():
        with pytest.raises(UserError, match=r"judge: is expert sync of the training of .*model"):
            syncnet_parts.find_judge(
                judge, model, experts={"sync": expert}, data="fake://2x9?size=64"
            )
    for experts in ({"sync": elsewhere}, {}, None):
        found = syncnet_parts.find_judge(judge, model, experts=experts, data="fake://2x9?size=64")
        assert found.net.image_size == SIZE


def test_crops_that_move_otherwise_are_refused_for_a_judge_trained_here(tmp_path):
    steady = export(tmp_path / "steady", sigma_frames=9.0)
    with pytest.raises(UserError, match=r"smooth_sigma_frames = 2.5, .*steady was .* with 9.0"):
        syncnet_parts.find_judge(steady, tmp_path, experts={}, data="fake://2x9?size=64")
    public = export(tmp_path / "public", sigma_frames=9.0, origin=ORIGIN)
    assert syncnet_parts.find_judge(public, tmp_path, experts={}, data="fake://2x9").is_public
