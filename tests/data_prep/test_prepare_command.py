"""What `talkjax prepare` says at its end."""

from pathlib import Path

from data_prep.prepare import Prepared
from talkjax.commands.prepare import _summary


def summary(**splits):
    report = {"kept": 8, "rejected": {}, "seconds": 24.0, "notes": {}, "missing": {"count": 0}}
    report["speed"] = {}
    rows = {name: {"clips": n, "seconds": 3.0 * n, "shards": [0]} for name, n in splits.items()}
    return _summary(Path("out"), Prepared(report, {"splits": rows}, was_complete=True))


def test_an_empty_split_is_the_last_word_with_the_remedy():
    last = summary(train=7, val=1).splitlines()[-1]
    assert last.startswith("WARNING: split test is empty")
    assert "--overwrite" in last and "--test-fraction" in last


def test_full_splits_need_no_warning():
    assert "WARNING" not in summary(train=6, val=1, test=1)
