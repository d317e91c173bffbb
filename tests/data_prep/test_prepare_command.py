"""What `talkjax prepare` says at its end."""

from pathlib import Path

from data_prep.prepare import Prepared
from talkjax.commands.prepare import _summary


def summary(layout="folder", changes=(), **splits):
    changes = dict(changes)
    report = {"kept": 8, "rejected": {}, "seconds": 24.0, "notes": {}, "missing": {"count": 0}}
    report |= {"speed": {}, "filters": {"no_face": 0}, "trimmed": {"face_lost": 0}}
    report |= {"split": {"keys": 8, "moved": {}}, "cut": {"clips": 0, "parts": 0}}
    report |= {"passed_over": {}, "without_words": 0} | changes
    rows = {name: {"clips": n, "seconds": 3.0 * n, "shards": [0]} for name, n in splits.items()}
    index = {"splits": rows, "settings": {"layout": layout}}
    return _summary(Path("out"), Prepared(report, index, was_complete=True))


def test_an_empty_split_is_the_last_word_with_the_remedy():
    last = summary(train=7, val=1).splitlines()[-1]
    assert last.startswith("WARNING: split test is empty")
    assert "--overwrite" in last and "--test-fraction" in last


def test_full_splits_need_no_warning():
    assert "WARNING" not in summary(train=6, val=1, test=1)


def test_too_few_people_are_said_plainly():
    text = summary(train=7, changes={"split": {"keys": 2, "moved": {}}})
    assert text.count("2 identities were kept in all, want 3 or more") == 2


def test_the_summary_says_what_was_passed_over_moved_cut_and_shortened():
    changes = {
        "passed_over": {"a.png": "a picture", "b.png": "a picture", "c": "the file is empty"},
        "split": {"keys": 6, "moved": {"anna": "train -> val"}},
        "cut": {"clips": 2, "parts": 7},
        "trimmed": {"shot_cut": 0, "face_lost": 3},
    }
    lines = summary(train=6, val=1, test=1, changes=changes).splitlines()
    assert "passed over 3 files and folders:" in lines and "      2  a picture" in lines
    assert "moved, so that no split is empty: anna (train -> val)" in lines
    assert "2 long clips were cut into 7 (--max-seconds)" in lines
    assert "kept but shortened: 3 face_lost" in lines


def test_missing_words_are_a_warning_where_the_layout_has_them():
    full = {"train": 6, "val": 1, "test": 1, "changes": {"without_words": 2}}
    assert "WARNING: 2 of 8 clips have no word file" in summary("grid", **full)
    assert "word file" not in summary("folder", **full)
