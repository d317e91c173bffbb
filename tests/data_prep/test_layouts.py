"""Each layout on a small tree of the published shape. No video is decoded here."""

import hashlib
import os
import random
import shutil

import pytest

from data_prep.layouts import Fractions, contents, list_clips, list_missing, passed_over
from data_prep.layouts.api import Clip, hash_place, with_every_split
from data_prep.layouts.grid import sentence
from data_prep.layouts.hdtf import seconds
from data_prep.layouts.words import READERS
from talkjax.errors import UserError


def tree(root, files):
    """Writes {relative path: text}."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_folder_takes_every_depth_and_holds_out_whole_identities(tmp_path):
    names = [f"person{i}/trip/{j}.MOV" for i in range(40) for j in range(3)]
    tree(tmp_path, dict.fromkeys(["lone.mkv", "notes.txt", ".hidden/x.mp4", *names], ""))
    clips = list_clips("folder", tmp_path, fractions=Fractions(val=0.2, test=0.2))
    assert len(clips) == 121
    assert {c.identity for c in clips} == {"lone", *(f"person{i}" for i in range(40))}
    splits = {}
    for clip in clips:
        splits.setdefault(clip.identity, set()).add(clip.split)
    assert all(len(s) == 1 for s in splits.values())
    counts = [sum(s == {split} for s in splits.values()) for split in ("train", "val", "test")]
    assert min(counts) >= 2 and counts[0] > counts[1] + counts[2]


def test_folder_keeps_the_suffix_where_two_files_differ_in_nothing_else(tmp_path):
    tree(tmp_path, {"a/1.mp4": "", "a/1.avi": "", "a/2.mp4": ""})
    ids = [clip.clip_id for clip in list_clips("folder", tmp_path)]
    assert ids == ["a/1.avi", "a/1.mp4", "a/2"]


def test_folder_goes_by_content_where_the_suffix_says_nothing(make_video, tmp_path):
    make_video(tmp_path / "a/1.bin", frames=2)
    shutil.copy(tmp_path / "a/1.bin", tmp_path / "a/2")
    tree(tmp_path, {"a/3.bin": "some text", "a/4.wav": "", "a/5.dat": "", ".git/x": ""})
    (tmp_path / "a/6.mp4").symlink_to("nothing")
    clips = list_clips("folder", tmp_path)
    assert [clip.source for clip in clips] == ["a/1.bin", "a/2"]
    assert passed_over("folder", tmp_path, clips) == {
        ".git": "hidden: its name starts with a dot",
        "a/3.bin": "is a text file, not a video or audio file",
        "a/4.wav": "sound by its suffix",
        "a/5.dat": "the file is empty (0 bytes), want a video or audio file",
        "a/6.mp4": "no file that can be read (a link to nothing?)",
    }


def test_a_bound_on_the_files_that_are_opened(make_video, tmp_path, monkeypatch):
    make_video(tmp_path / "2.bin", frames=2)
    tree(tmp_path, {"1.bin": "text", "3.mp4": ""})
    assert [clip.source for clip in list_clips("folder", tmp_path)] == ["2.bin", "3.mp4"]
    monkeypatch.setattr(contents, "MAX_PROBED", 1)
    clips = list_clips("folder", tmp_path)
    assert [clip.source for clip in clips] == ["3.mp4"]
    assert "not looked into" in passed_over("folder", tmp_path, clips)["2.bin"]


def test_every_file_of_the_bad_set_is_a_clip_or_passed_over_with_a_reason(shared):
    bad = shared / "data" / "bad"
    clips = list_clips("folder", bad)
    over = passed_over("folder", bad, clips)
    assert {clip.source for clip in clips} | over.keys() == {path.name for path in bad.iterdir()}
    assert over["text_renamed.wav"] == over["header_only.wav"] == "sound by its suffix"
    assert over["alpha.png"] == "a picture by its suffix"


def test_what_another_layout_does_not_take_is_said(tmp_path):
    files = ["s1/bbaf2n.mpg", "s1/bbaf2n.align", "s1/bbaf3s.mkv", "s1/lost.align", "s1/x.q"]
    tree(tmp_path, dict.fromkeys(files, ""))
    over = passed_over("grid", tmp_path, list_clips("grid", tmp_path))
    assert over == {
        "s1/bbaf3s.mkv": "a video that layout grid does not name: see its tree",
        "s1/lost.align": "text or a table by its suffix",
        "s1/x.q": "no video by its suffix",
    }


def test_a_large_set_splits_by_the_hash_alone(grid):
    clips = list_clips("grid", grid)
    text = "\n".join(f"{clip.clip_id} {clip.split}" for clip in clips)
    # Of the splits before small sets were helped.
    want = "b0c404aa5186402d11649659efc87c3ce10acf6f6a65ca85da653a3c8a651b71"
    assert hashlib.sha256(text.encode()).hexdigest() == want
    assert not any(clip.moved_from for clip in clips)


@pytest.mark.parametrize("count", [3, 4, 6])
def test_a_small_set_has_every_split_whatever_the_order(count):
    fractions = Fractions(val=0.1, test=0.1)
    # All hashes of these say train.
    keys = [f"k{i}" for i in range(100) if fractions.split_of(f"k{i}") == "train"][:count]
    clips = [Clip(f"{key}/{i}", "", "", key, "train", split_key=key) for key in keys for i in "ab"]
    random.Random(0).shuffle(clips)
    split_of = {clip.split_key: clip.split for clip in with_every_split(clips, fractions)}
    ranked = sorted(keys, key=hash_place)
    assert [split_of[key] for key in ranked] == ["val", "test"] + ["train"] * (count - 2)
    moved = {c.split_key for c in with_every_split(clips, fractions) if c.moved_from == "train"}
    assert moved == set(ranked[:2])


def test_too_few_keys_fractions_of_zero_and_published_splits_move_nothing():
    def splits(clips, **fractions):
        return [clip.split for clip in with_every_split(clips, Fractions(**fractions))]

    clips = [Clip(key, "", "", key, "train", split_key=key) for key in "abc"]
    assert splits(clips[:2], val=0.1, test=0.1) == ["train"] * 2
    assert splits(clips, val=0.0, test=0.0) == ["train"] * 3
    assert sorted(splits(clips, val=0.0, test=0.1)) == ["test", "train", "train"]
    published = [Clip(key, "", "", key, "train") for key in "abc"]
    assert splits(published, val=0.1, test=0.1) == ["train"] * 3


def test_an_added_clip_moves_no_other_to_another_split(tmp_path):
    tree(tmp_path, {f"p{i}/1.mp4": "" for i in range(30)})
    before = {c.clip_id: c.split for c in list_clips("folder", tmp_path)}
    tree(tmp_path, {f"new{i}/1.mp4": "" for i in range(30)})
    after = {c.clip_id: c.split for c in list_clips("folder", tmp_path)}
    assert before.items() <= after.items()


@pytest.mark.parametrize("video", ["s1/{}.mpg", "s1/video/{}.mpg", "s1/video/mpg_6000/{}.mpg"])
@pytest.mark.parametrize(
    "align",
    ["s1/align/{}.align", "s1/{}.align", "align/s1/{}.align", "alignments/s1/{}.align"]
    + ["align/{}.align", "alignments/{}.align"],
)
def test_grid_published_trees_find_their_alignments(tmp_path, video, align):
    tree(tmp_path, {video.format("bbaf2n"): "", align.format("bbaf2n"): "0 14250 sil"})
    (clip,) = list_clips("grid", tmp_path)
    assert (clip.clip_id, clip.identity) == ("s1/bbaf2n", "s1")
    assert clip.words_source == align.format("bbaf2n")


def test_grid_flat_alignments_of_several_speakers_are_nobodys(tmp_path):
    files = ["s1/bbaf2n.mpg", "s2/bbaf2n.mpg", "align/bbaf2n.align", "alignments/s2/bbaf2n.align"]
    tree(tmp_path, dict.fromkeys(files, ""))
    one, two = list_clips("grid", tmp_path)
    assert (one.words_source, two.words_source) == ("", "alignments/s2/bbaf2n.align")


def test_grid_one_speaker_folder_is_its_own_identity(tmp_path):
    tree(tmp_path / "s7", {"bbaf2n.mpg": "", "align/bbaf2n.align": ""})
    (clip,) = list_clips("grid", tmp_path / "s7")
    assert (clip.clip_id, clip.identity) == ("s7/bbaf2n", "s7")
    assert clip.words_source == "align/bbaf2n.align"


def test_grid_no_sentence_is_in_two_splits_whoever_says_it(tmp_path):
    codes = [f"{c}{k}a{letter}{d}n" for c in "bl" for k in "bg" for letter in "abcde" for d in "12"]
    tree(tmp_path, {f"s{i}/{code}.mpg": "" for i in (1, 2, 3) for code in codes})
    clips = list_clips("grid", tmp_path, fractions=Fractions(val=0.3, test=0.3))
    splits = {}
    for clip in clips:
        splits.setdefault(clip.clip_id.split("/")[1], set()).add(clip.split)
    assert len(splits) == 40 and all(len(s) == 1 for s in splits.values())
    assert {s for group in splits.values() for s in group} == {"train", "val", "test"}


def test_grid_file_name_spells_the_sentence_of_the_alignment(grid):
    clips = list_clips("grid", grid)
    assert len(clips) == 350
    for clip in clips[::50]:
        spoken = READERS["grid"](grid / clip.words_source).transcript
        assert sentence(clip.clip_id.split("/")[1]) == spoken


def test_lrw_published_splits_and_centred_word(tmp_path):
    text = "Disk reference: 1\nDuration: 0.40 seconds\n"
    tree(
        tmp_path / "lipread_mp4",
        {f"ABOUT/{s}/ABOUT_0000{i}.mp4": "" for i, s in enumerate(("train", "val", "test"))}
        | {"ABOUT/train/ABOUT_00000.txt": text},
    )
    clips = list_clips("lrw", tmp_path)
    assert [clip.split for clip in clips] == ["test", "train", "val"]
    (with_words,) = [clip for clip in clips if clip.words_source]
    ((start, end, word),) = READERS["lrw"](tmp_path / with_words.words_source).words
    assert (start, end, word) == (pytest.approx(0.38), pytest.approx(0.78), "ABOUT")


def test_lrs2_lists_decide_the_split_and_pretrain_has_word_times(tmp_path):
    tree(
        tmp_path,
        {
            "train.txt": "553/00001\n",
            "val.txt": "553/00002\n",
            "test.txt": "633/00001 NF\n",
            "pretrain.txt": "700/00009\n",
            "mvlrs_v1/main/553/00001.mp4": "",
            "mvlrs_v1/main/553/00001.txt": "Text:  HELLO THERE\nConf:  5\n",
            "mvlrs_v1/main/553/00002.mp4": "",
            "mvlrs_v1/main/633/00001.mp4": "",
            "mvlrs_v1/pretrain/700/00009.mp4": "",
            "mvlrs_v1/pretrain/700/00009.txt": (
                "Text:  HELLO THERE\nConf:  4\n\nWORD START END ASDSCORE\n"
                "HELLO 0.28 0.36 3.3\nTHERE 0.40 0.61 4.0\n"
            ),
        },
    )
    clips = {clip.clip_id: clip for clip in list_clips("lrs2", tmp_path)}
    assert {name: clip.split for name, clip in clips.items()} == {
        "main/553/00001": "train",
        "main/553/00002": "val",
        "main/633/00001": "test",
        "pretrain/700/00009": "train",
    }
    words = READERS["lrs2"](tmp_path / clips["pretrain/700/00009"].words_source)
    assert words.words == ((0.28, 0.36, "HELLO"), (0.40, 0.61, "THERE"))
    assert READERS["lrs2"](tmp_path / clips["main/553/00001"].words_source).words == ()


def test_lrs2_a_list_that_names_missing_files_is_refused(tmp_path):
    tree(tmp_path, {"train.txt": "553/00001\n553/00002\n", "main/553/00001.mp4": ""})
    with pytest.raises(UserError, match=r"1 of 2 clips .* 553/00002.mp4"):
        list_clips("lrs2", tmp_path)


def test_hdtf_cuts_each_annotated_interval_and_knows_people(tmp_path):
    tree(
        tmp_path,
        {
            "HDTF/RD_annotion_time.txt": "Radio11.mp4 0:30-1:00 1:02:10-1:02:45\nGone.mp4 0:1-0:9",
            "HDTF/WRA_annotion_time.txt": "KellyAyotte0.mp4 0:05-0:15\nKellyAyotte1.mp4 0:00-0:20",
            "videos/RD_Radio11.mp4": "",
            "videos/KellyAyotte0.mp4": "",
            "videos/WRA_KellyAyotte1.mp4": "",
        },
    )
    clips = list_clips("hdtf", tmp_path)
    assert [(c.clip_id, c.identity, c.start_s, c.end_s) for c in clips] == [
        ("RD_Radio11_000", "Radio11", 30, 60),
        ("RD_Radio11_001", "Radio11", 3730, 3765),
        ("WRA_KellyAyotte0_000", "KellyAyotte", 5, 15),
        ("WRA_KellyAyotte1_000", "KellyAyotte", 0, 20),
    ]
    assert clips[0].name == "videos/RD_Radio11.mp4[30-60s]"
    assert clips[2].split == clips[3].split
    assert seconds("1:02:03") == 3723


def test_hdtf_counts_the_listed_videos_that_are_not_there(tmp_path):
    tree(
        tmp_path,
        {
            "RD_annotion_time.txt": "Radio11.mp4 0:30-1:00\nGone.mp4 0:01-0:09\nLost.mp4 0:00-0:05",
            "WRA_annotion_time.txt": "Gone.mp4 0:05-0:15",
            "videos/RD_Radio11.mp4": "",
        },
    )
    assert list_missing("hdtf", tmp_path) == ["RD_Gone", "RD_Lost", "WRA_Gone"]
    assert list_missing("folder", tmp_path) == []


@pytest.mark.parametrize("lists", [{"RD_annotion_time.txt": "Radio11.mp4 0:30-1:00"}, {}])
def test_hdtf_two_videos_of_one_name_are_refused(tmp_path, lists):
    tree(tmp_path, {"a/RD_Radio11_000.mp4": "", "b/RD_Radio11_000.mkv": ""} | lists)
    wanted = r"a/RD_Radio11_000.mp4 and b/RD_Radio11_000.mkv have the same name"
    with pytest.raises(UserError, match=wanted):
        list_clips("hdtf", tmp_path)


def test_hdtf_clips_that_are_cut_already(tmp_path):
    tree(tmp_path, {"RD_Radio11_000.mp4": "", "WDA_BarackObama_001.mp4": "", "other.mp4": ""})
    clips = list_clips("hdtf", tmp_path)
    assert [c.clip_id for c in clips] == ["RD_Radio11_000", "WDA_BarackObama_001"]
    assert clips[0].start_s is None


def test_voxceleb2_takes_the_separate_sound_and_published_test_people(tmp_path):
    people = {f"dev/mp4/id{i:05d}/vid/00001.mp4": "" for i in range(40)}
    tree(
        tmp_path,
        people | {"test/mp4/id09999/vid/00001.mp4": "", "dev/aac/id00000/vid/00001.m4a": ""},
    )
    clips = list_clips("voxceleb2", tmp_path, fractions=Fractions(val=0.2, test=0.5))
    assert {c.split for c in clips if c.identity != "id09999"} == {"train", "val"}
    assert [c.split for c in clips if c.identity == "id09999"] == ["test"]
    assert clips[0].audio_source == "dev/aac/id00000/vid/00001.m4a"
    assert clips[1].audio_source == ""


@pytest.mark.parametrize("layout", ["folder", "grid", "lrw", "lrs2", "hdtf", "voxceleb2"])
def test_no_clips_is_an_error_with_the_path_and_what_was_looked_for(tmp_path, layout):
    with pytest.raises(UserError, match=rf"{tmp_path}: no clips found; .*looked for"):
        list_clips(layout, tmp_path)


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", b"caf\xe9/1.mp4"])
def test_a_name_that_is_not_utf8_is_refused_by_its_repr(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass
    with pytest.raises(UserError, match=r"caf\\udce9.*the name is not UTF-8; rename it"):
        list_clips("folder", tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: found nothing, want a folder"):
        list_clips("folder", tmp_path / "nowhere")


@pytest.mark.parametrize("line", ["0 bin", "a b bin", "0 1.5 bin"])
def test_a_broken_alignment_names_file_and_line(tmp_path, line):
    (tmp_path / "x.align").write_text(line)
    with pytest.raises(UserError, match=rf"x.align: found the line '{line}'"):
        READERS["grid"](tmp_path / "x.align")
