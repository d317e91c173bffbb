"""The order that judges give to models, on reports made up so that the answer is known."""

import argparse
import json

import numpy as np
import pytest

from benchmarks import judge_order
from talkjax.errors import UserError


def _report(
    folder, *, error, confidence, clips=("a", "b"), judge="1a", lse=None, words=None, syncnet="5e"
):
    """`lse` and `words`: LSE-C and the share of words read of the generated frames, if any."""

    def row(wrong, sure):
        return {
            "label_opening_error": {"mean": wrong},
            "label_opening_correlation_centred": {"mean": 1 - 2 * wrong},
            "sync_confidence": {"mean": sure},
            "sync_distance_unshifted": {"mean": 1 - sure},
        }

    rows = {
        "generated": row(error, confidence),
        "ground_truth": row(0.0, 1.0),
        "still_hidden": row(1.0, 0.0),
    }
    folder.mkdir()
    protocol = {"checkpoint": folder.name, "step": 1, "weights_sha256": folder.name}
    protocol["judge"] = {"checkpoint": "judge", "weights_sha256": judge}
    report = {"rows": rows, "clips": {key: {} for key in clips}, "protocol": protocol}
    ends = {"ground_truth": 1.0, "still_hidden": 0.0}
    if lse is not None:
        for name, sure in {"generated": lse, **ends}.items():
            scores = {"lse_c": sure, "lse_d": 9 - sure, "lse_d_unshifted": 10 - sure}
            rows[name] |= {key: {"mean": value} for key, value in scores.items()}
        label = "aligned crops, not the protocol's"
        protocol["syncnet"] = {"label": label, "weights_sha256": syncnet}
    if words is not None:
        read = {"generated": words, **ends}
        accuracy = {name: {"all words": {"mean": share}} for name, share in read.items()}
        report["lip_reading"] = {"accuracy": accuracy}
        protocol["lip_reader"] = {"checkpoint": "reader", "weights_sha256": "0d"}
    (folder / "metrics.json").write_text(json.dumps(report))
    return str(folder)


def _run(reports, picture=None):
    return judge_order.run(argparse.Namespace(reports=reports, picture=picture))


def test_a_judge_that_orders_by_the_lips_has_minus_one(tmp_path):
    errors = [0.5, 0.1, 0.3, 0.4, 0.2]
    reports = [_report(tmp_path / str(e), error=e, confidence=1 - e**2) for e in errors]
    found = _run(reports, tmp_path / "order.png")
    for which in ("models", "with_ends"):
        for error in judge_order.ERRORS:
            assert found["spearman"][which][error]["sync_confidence"] == pytest.approx(-1)
            assert found["spearman"][which][error]["sync_distance_unshifted"] == pytest.approx(-1)
    assert found["judges"] == {"judge": {"checkpoint": "judge", "weights_sha256": "1a"}}
    assert found["models"][reports[0]]["checkpoint"] == "0.5"
    assert (tmp_path / "order.png").stat().st_size > 1000
    assert "lse_c" not in found["spearman"]["models"]["label_opening_error"]


def test_a_judge_that_goes_astray_is_seen(tmp_path):
    pairs = [(0.5, 0.9), (0.1, 0.1), (0.3, 0.5), (0.4, 0.2), (0.2, 0.4)]
    reports = [_report(tmp_path / str(e), error=e, confidence=c) for e, c in pairs]
    found = _run(reports)["spearman"]["models"]["label_opening_error"]["sync_confidence"]
    assert found == pytest.approx(np.corrcoef([5, 1, 3, 4, 2], [5, 1, 4, 2, 3])[0, 1])


def test_every_judge_has_its_columns_where_all_reports_have_them(tmp_path):
    errors = [0.1, 0.2, 0.3, 0.4, 0.5]
    lse = [0.9, 0.8, 0.6, 0.7, 0.5]  # one pair is the wrong way round
    reports = [
        _report(tmp_path / str(e), error=e, confidence=1 - e, lse=c, words=1 - e / 2)
        for e, c in zip(errors, lse, strict=True)
    ]
    found = _run(reports, tmp_path / "order.png")
    spearman = found["spearman"]["models"]["label_opening_error"]
    assert set(spearman) == {
        *("sync_confidence", "sync_distance_unshifted", "lse_c", "lse_d", "lse_d_unshifted"),
        "words_read",
    }
    for name in ("lse_c", "lse_d", "lse_d_unshifted"):
        assert spearman[name] == pytest.approx(-0.9), name  # 1 - 6 * 2 / (5 * 24)
    assert spearman["words_read"] == pytest.approx(-1)
    assert set(found["judges"]) == {"judge", "syncnet", "lip_reader"}
    assert found["judges"]["syncnet"]["label"] == "aligned crops, not the protocol's"
    assert found["points"][reports[0]]["lse_d"] == pytest.approx(8.1)
    assert found["left_out"] == {}


def test_scores_that_some_reports_lack_are_left_out_by_name(tmp_path):
    reports = [
        _report(tmp_path / str(i), error=0.1 * i, confidence=1 - 0.1 * i, lse=i or None)
        for i in range(5)
    ]
    found = _run(reports)
    assert "lse_c" not in found["spearman"]["models"]["label_opening_error"]
    assert found["left_out"] == {
        # the rows that all share are those of the first report
        name: [reports[0], "ground_truth", "still_hidden"]
        for name in ("lse_c", "lse_d", "lse_d_unshifted")
    }


def test_reports_of_other_syncnets_are_refused(tmp_path):
    reports = [_report(tmp_path / str(i), error=0.1 * i, confidence=0.5, lse=1) for i in range(5)]
    reports[2] = _report(tmp_path / "x", error=0.1, confidence=0.5, lse=1, syncnet="5f")
    with pytest.raises(UserError, match=r"x: another syncnet than .*the same --syncnet"):
        _run(reports)


def test_equal_values_share_a_rank():
    # scipy.stats.spearmanr([1, 1, 2, 3], [1, 2, 2, 4]) is 0.8333...
    assert judge_order.spearman([1, 1, 2, 3], [1, 2, 2, 4]) == pytest.approx(5 / 6)
    assert judge_order.spearman([0, 0, 0], [1, 2, 3]) is None  # a reader that reads nothing


def test_reports_of_other_clips_are_refused(tmp_path):
    reports = [_report(tmp_path / str(i), error=0.1 * i, confidence=0.5) for i in range(5)]
    reports[3] = _report(tmp_path / "x", error=0.1, confidence=0.5, clips=("a", "c"))
    with pytest.raises(UserError, match="x: other clips than"):
        _run(reports)


def test_reports_of_other_judges_are_refused(tmp_path):
    reports = [_report(tmp_path / str(i), error=0.1 * i, confidence=0.5) for i in range(5)]
    reports[2] = _report(tmp_path / "x", error=0.1, confidence=0.5, judge="2b")
    with pytest.raises(UserError, match=r"x: another judge than .*the same --judge"):
        _run(reports)


def test_too_few_models_and_a_missing_report_are_refused(tmp_path):
    report = _report(tmp_path / "a", error=0.1, confidence=0.5)
    with pytest.raises(UserError, match="got 1, want 5 or more"):
        _run([report])
    with pytest.raises(UserError, match=r"metrics.json: not there"):
        _run([report, str(tmp_path / "none")])
