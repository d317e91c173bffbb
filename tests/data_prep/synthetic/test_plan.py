"""The plan of a clip: a pure function of settings and number, with disjoint splits."""

import dataclasses
from collections import Counter

import pytest

from data_prep.layouts import DEFAULT_FRACTIONS
from data_prep.synthetic.plan import clip_at, identity_splits, plan_clip
from data_prep.synthetic.settings import CorpusSettings
from talkjax.errors import UserError


def test_a_plan_depends_on_settings_and_number_alone():
    settings = CorpusSettings(clips=40, seed=5)
    forwards = [plan_clip(settings, number) for number in range(40)]
    backwards = [plan_clip(settings, number) for number in reversed(range(40))]
    assert forwards == backwards[::-1]
    other = [plan_clip(dataclasses.replace(settings, seed=6), number) for number in range(40)]
    assert all(a.manner != b.manner for a, b in zip(forwards, other, strict=True))


def test_more_clips_of_as_many_faces_do_not_change_the_first():
    few, many = (CorpusSettings(clips=clips, identities=6) for clips in (12, 30))
    assert [plan_clip(few, n) for n in range(12)] == [plan_clip(many, n) for n in range(12)]


@pytest.mark.parametrize("clips", [3, 4, 7, 24, 200, 1000])
def test_every_split_has_clips_and_no_face_is_in_two(clips):
    settings = CorpusSettings(clips=clips)
    listed = [clip_at(settings, number) for number in range(clips)]
    assert {clip.split for clip in listed} == {"train", "val", "test"}
    assert len({(clip.identity, clip.split) for clip in listed}) == settings.identities
    assert len({clip.identity for clip in listed}) == settings.identities
    assert len({clip.clip_id for clip in listed}) == clips


def test_shares_of_a_large_corpus_are_those_asked_for():
    settings = CorpusSettings(clips=1600, val_fraction=0.05, test_fraction=0.2)
    counts = Counter(clip_at(settings, number).split for number in range(1600))
    assert counts == {"train": 1200, "val": 80, "test": 320}


def test_one_clip_is_a_training_clip_and_no_fraction_means_no_face():
    assert identity_splits(CorpusSettings(clips=1)) == ("train",)
    settings = CorpusSettings(clips=100, val_fraction=0.0)
    assert set(identity_splits(settings)) == {"train", "test"}


def test_names_keep_their_split_when_the_videos_are_prepared_by_folder():
    settings = CorpusSettings(clips=400)
    for number in range(50):
        clip = clip_at(settings, number)
        assert DEFAULT_FRACTIONS.split_of(clip.identity) == clip.split


def test_both_head_styles_and_kinds_occur_and_commands_are_english():
    settings = CorpusSettings(clips=200, languages=("en", "de"))
    plans = [plan_clip(settings, number) for number in range(200)]
    assert {plan.head_style for plan in plans} == {"nod", "sway"}
    assert {plan.language for plan in plans} == {"en", "de"}
    kinds = Counter(plan.kind for plan in plans if plan.language == "en")
    assert 0.25 < kinds["command"] / kinds.total() < 0.55  # asked for 0.4 of about a hundred
    assert {plan.kind for plan in plans if plan.language == "de"} == {"free"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"clips": 0}, "clips: got 0, want 1 to"),
        ({"clips": 5, "identities": 6}, "identities: got 6, want 0 to 5"),
        ({"clips": 5, "size_px": 1000}, "size_px: got 1000"),
        ({"clips": 5, "languages": ("en", "en")}, "languages: got 'en,en'"),
        ({"clips": 5, "val_fraction": 0.6, "test_fraction": 0.5}, "split fractions"),
    ],
)
def test_settings_out_of_range_are_one_line(wrong, message):
    with pytest.raises(UserError, match=message):
        CorpusSettings(**wrong)
