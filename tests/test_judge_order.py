"""The order that judges give to models, on reports made up so that the answer is known."""

import argparse
import json

import numpy as np
import pytest

from benchmarks import judge_order
from talkjax.errors import UserError


def _report(folder, *, error, confidence, clips=("a", "b"), judge="1a"):
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


def test_equal_values_share_a_rank():
    # scipy.stats.spearmanr([1, 1, 2, 3], [1, 2, 2, 4]) is 0.8333...
    assert judge_order.spearman([1, 1, 2, 3], [1, 2, 2, 4]) == pytest.approx(5 / 6)


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
