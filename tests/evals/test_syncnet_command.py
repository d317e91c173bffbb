"""`talkjax score`, `talkjax evaluate --syncnet` and of a SyncNet itself, with a SyncNet that
hears loudness and sees brightness."""

import json
import re
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from talkjax import cli
from talkjax.commands import syncnet_parts, video_lse
from talkjax.errors import UserError
from talkjax.media.detector import box_from_landmarks
from talkjax.methods.api import Method
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import write_json
from talkjax.train.trained import fingerprint
from talkjax.weights import manifest
from tests.evals.test_evaluate_command import _copying, _dark_mouth, _run
from tests.media.synthetic_media import write_video
from tests.media.test_track import ScriptedDetector, points

SIZE = 64
# Of the pictures that the judge was shown.
SIDES_SEEN = set()
ORIGIN = {
    "kind": "syncnet",
    "file": "syncnet_v2.model",
    "source": "joonson/syncnet_python@6efbb1c",
    "sha256": "0123456789abcdef",
    "licence": "syncnet_python: MIT",
}


def _seeing(*, gain):
    """Embeds the brightness of the middle of frames, and the log energy of their sound."""

    def predict_fn(params, model_vars, batch, key):
        side = batch["frames_u8"].shape[-2]
        SIDES_SEEN.add(side)
        middle = slice(side // 2 - 4, side // 2 + 4)
        pictures = batch["frames_u8"][:, :, :, middle, middle].astype(jnp.float32)
        lips = jnp.mean(pictures, axis=(3, 4, 5)) / 160 - 0.25
        energy = batch["mfcc"][:, :, 0].reshape(*batch["mfcc"].shape[:2], 5, 4).mean(axis=-1)
        sounds = (energy - 16.5) / 5
        return {
            "lip_embedding": gain * lips + params["syncnet"]["b"],
            "sound_embedding": gain * sounds,
        }

    return Method(init_fn=lambda key, batch: ({}, {}), phases=(), predict_fn=predict_fn)


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    for name, build in (("copying", _copying), ("syncnet", _seeing)):
        module = types.ModuleType(f"talkjax.methods.{name}")
        module.build = build
        monkeypatch.setitem(sys.modules, module.__name__, module)
    SIDES_SEEN.clear()


def _export(
    folder,
    method="syncnet",
    *,
    size=SIZE,
    weight=0.0,
    sigma_frames=2.5,
    origin=None,
    experts=None,
    steps=20,
):
    net, leaf, model = {
        "copying": ("gen", "offset", {"gain": 1.0, "hide_from": 0.5}),
        "syncnet": ("syncnet", "b", {"gain": 10.0}),
    }[method]
    data = {"image_size": size, "clip_frames": 5, "path": "data/toys"}
    data |= {"syncnet": {"mfcc_steps": steps}, "copying": {"mel_frames": 16}}[method]
    data |= {} if method == "syncnet" else {"audio_shift_frames": -2}
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{f"params/{net}/{leaf}": np.float32(weight)})
    config = {"method": method, "model": model, "data": data, "run": {"seed": 0}}
    write_json(folder / "config.json", config)
    crops = {"size_px": size, "smooth_sigma_frames": sigma_frames, "train_identities": 3}
    about = {"format": 1, "step": 7, "scores": {}, "data_settings": crops, "origin": origin}
    write_json(folder / "about.json", about | {"empty": [f"vars/{net}"], "experts": experts})
    return folder


def _video(path, *, late_frames=0, frames=60, seed=0, audio=True, patches=None):
    """A patch as bright as its sound is loud, or was some frames before; the rest is still, so
    that no change looks like a cut. `patches`: {first column: frames late} of several."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(size=frames + 20)
    heard = level[20:]
    wave = np.repeat(200 * np.exp(2.5 * heard), 640) * rng.normal(size=640 * frames)
    pictures = np.full((frames, 240, 320, 3), 128, np.uint8)
    for column, late in (patches or {130: late_frames}).items():
        shown = level[20 - late : len(level) - late]
        grey = np.round(40 + 160 * shown).astype(np.uint8)
        pictures[:, 90:200, column : column + 60] = grey[:, None, None, None]
    sound = np.clip(np.repeat(wave / 32768, 3), -1, 1) if audio else None
    return write_video(path, np.arange(frames) / 25, pictures=list(pictures), audio=sound)


@pytest.fixture
def judge(tmp_path):
    return _export(tmp_path / "judge")


def _score(*words, capsys):
    code = cli.main(["score", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("late", [0, 4])
def test_a_picture_that_is_late_by_some_frames_is_said_to_be(tmp_path, judge, late, capsys):
    video = _video(tmp_path / "a.mp4", late_frames=late)
    flags = ("--variant", "whole", "--json", "--out", tmp_path / "score.json")
    code, out, _ = _score(video, "--syncnet", judge, *flags, capsys=capsys)
    assert code == 0
    found = json.loads(out)
    assert found == json.loads((tmp_path / "score.json").read_text())
    scored = found["videos"][str(video)]
    assert scored["lse_offset"] == late
    # a constant lag is not in LSE-D; without the shift it is, and looks like another's sound
    lag_costs = scored["lse_d_unshifted"] - scored["lse_d"]
    if late:
        assert lag_costs > 0.5 * scored["lse_c"]
    else:
        assert lag_costs == pytest.approx(0, abs=1e-9)
    assert scored["lse_c"] > scored["lse_d"]
    (track,) = scored["tracks"]
    assert (track["first_frame"], track["end_frame"], track["windows"]) == (0, 60, 55)
    assert found["mean"]["lse_d"] == scored["lse_d"]
    assert found["judge"]["label"].startswith("trained here on data/toys (3 people), 64 px, step 7")
    assert found["protocol"]["variant"] == "whole"


def test_silence_is_scored_and_said_and_in_no_mean(tmp_path, judge, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        _video(folder / f"{number}.mp4", seed=number)
    grey = [np.full((240, 320, 3), 128, np.uint8)] * 60
    quiet = np.zeros(60 * 1920)
    write_video(folder / "silent.mp4", np.arange(60) / 25, pictures=grey, audio=quiet)
    words = (folder, "--syncnet", judge, "--variant", "whole", "--json")
    code, out, err = _score(*words, capsys=capsys)
    assert code == 0 and "silent.mp4: silent audio; its score says nothing and is in no mean" in err
    found = json.loads(out)
    heard = [one["lse_d"] for one in found["videos"].values() if not one["silent"]]
    assert len(heard) == 2 and len(found["videos"]) == 3
    assert found["mean"]["lse_d"] == pytest.approx(np.mean(heard))


def test_a_folder_is_scored_and_what_fails_is_named(tmp_path, judge, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    videos = [_video(folder / f"{i}.mp4", seed=i, frames=30 + i) for i in range(2)]
    (folder / "notes.txt").write_text("no video")
    mute = _video(folder / "mute.mp4", audio=False)
    words = (folder, "--syncnet", judge, "--variant", "whole")
    code, out, err = _score(*words, capsys=capsys)
    assert code == 3
    assert f"talkjax score: {mute}: no audio stream" in err
    assert "not comparable with published LSE" in out and "mean of 2" in out
    for video in videos:
        assert str(video) in out
    code, out, _ = _score(*words, "--allow-failures", "--json", capsys=capsys)
    assert code == 0
    found = json.loads(out)
    assert set(found["videos"]) == set(map(str, videos)) and set(found["failed"]) == {str(mute)}
    each = [one["lse_c"] for one in found["videos"].values()]
    assert found["mean"]["lse_c"] == pytest.approx(sum(each) / 2)


def test_a_video_alone_that_cannot_be_scored_is_one_line(tmp_path, judge, capsys):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    (tmp_path / "empty").mkdir()
    short = _video(tmp_path / "short.mp4", frames=5)
    cases = {
        text: "text file",
        short: "SyncNet needs .*; give a longer video",
        tmp_path / "absent.mp4": "no such file",
        tmp_path / "empty": "no video in this folder",
    }
    for path, reason in cases.items():
        code, out, err = _score(path, "--syncnet", judge, "--variant", "whole", capsys=capsys)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert re.search(reason, err)


FACE = [(160, 110, 60)]


@pytest.fixture
def faces(monkeypatch):
    """`faces(script)` makes the detector see them; a script gets a frame's first pixel."""

    def see(script):
        monkeypatch.setattr(video_lse, "DlibDetector", lambda: ScriptedDetector(script))

    return see


@pytest.mark.parametrize("variant", ["track", "aligned"])
def test_a_face_is_followed_and_its_stretch_scored(tmp_path, judge, faces, variant, capsys):
    faces(lambda pixel: FACE)
    video = _video(tmp_path / "a.mp4", late_frames=2)
    words = (video, "--syncnet", judge, "--variant", variant, "--json")
    code, out, _ = _score(*words, capsys=capsys)
    scored = json.loads(out)["videos"][str(video)]
    assert code == 0 and scored["lse_offset"] == 2
    assert [(t["first_frame"], t["end_frame"]) for t in scored["tracks"]] == [(0, 60)]


@pytest.mark.parametrize(
    ("script", "flags", "reason"),
    [
        (lambda pixel: [], (), "no face found in 60 frames"),
        (lambda pixel: FACE, ("--min-track", "80"), "too short: a face is seen in 60 frames .* 80"),
        (lambda pixel: [(160, 110, 20)], (), "face is too small: 51 px wide, want 100 px"),
        (lambda pixel: FACE, ("--min-track", "5"), "--min-track: got 5, want 13 or more"),
    ],
)
def test_why_there_is_nothing_to_score(tmp_path, judge, faces, script, flags, reason, capsys):
    faces(script)
    video = _video(tmp_path / "a.mp4")
    code, _, err = _score(video, "--syncnet", judge, *flags, capsys=capsys)
    assert code == 2 and len(err.splitlines()) <= 3  # progress may come first
    assert re.search(reason, err)


def test_public_weights_are_labelled_and_shown_the_crops_they_know(tmp_path, faces, capsys):
    faces(lambda pixel: FACE)
    public = _export(tmp_path / "public", origin=ORIGIN)
    video = _video(tmp_path / "a.mp4")
    code, out, _ = _score(video, "--syncnet", public, capsys=capsys)
    assert code == 0
    assert f"SyncNet: {manifest.label(ORIGIN)}" in out
    assert (
        "imported weights syncnet_v2.model (source assumed, not stated by anybody: joonson" in out
    )
    assert "variant track: a crop that follows the face" in out
    assert "faces: dlib's HOG detector, the largest face of each shot; not S3FD" in out
    assert "comparable with published LSE: no, dlib's boxes are not those of S3FD" in out
    code, out, _ = _score(video, "--syncnet", public, "--variant", "whole", capsys=capsys)
    assert code == 0 and "comparable with published LSE: with numbers of whole frames" in out
    code, _, err = _score(video, "--syncnet", public, "--variant", "aligned", capsys=capsys)
    assert code == 2 and "public weights say nothing of aligned crops" in err


def _face_box(column):
    """A box whose crop has a patch of `_video` in its middle: 0.4 half sides below the box's."""
    return [column + 30 - 55, 68, column + 30 + 55, 178]


def _write_boxes(path, columns, *, frames=60, without=()):
    listed = [[_face_box(c) for c in columns] if i not in without else [] for i in range(frames)]
    path.write_text(json.dumps(listed))
    return path


@pytest.fixture
def no_detector(monkeypatch):
    def refuse():
        raise AssertionError("boxes are given, so nothing is detected")

    monkeypatch.setattr(video_lse, "DlibDetector", refuse)


def test_boxes_from_elsewhere_are_followed_and_every_face_of_a_shot_is_scored(
    tmp_path, no_detector, capsys
):
    public = _export(tmp_path / "public", origin=ORIGIN)
    video = _video(tmp_path / "a.mp4", patches={30: 0, 230: 5})
    boxes = _write_boxes(tmp_path / "boxes.json", (30, 230), without=range(20, 31))
    words = (video, "--syncnet", public, "--boxes", boxes, "--boxes-by", "S3FD, scale 0.25")
    code, out, err = _score(*words, "--json", capsys=capsys)
    assert code == 0
    found = json.loads(out)
    scored = found["videos"][str(video)]
    heard = {t["face_xyxy_px"][0]: (t["lse_offset"], t["first_frame"], t["end_frame"]) for t in
             scored["tracks"]}  # fmt: skip
    assert heard == {5.0: (0, 0, 60), 205.0: (5, 0, 60)}
    assert scored["lse_offset"] == 2.5
    assert scored["boxes"]["file"] == str(boxes) and len(scored["boxes"]["sha256"]) == 64
    assert "2 faces in a frame; each is scored" in err
    protocol = found["protocol"]
    assert protocol["variant"] == "track" and "XVID" in protocol["left_out"]
    assert protocol["faces"].startswith("boxes of --boxes, found by S3FD, scale 0.25; all faces")
    assert protocol["comparable"].startswith("with numbers of real videos by the same weights")
    code, out, _ = _score(*words, capsys=capsys)
    assert code == 0 and "faces: boxes of --boxes, found by S3FD, scale 0.25; all faces" in out
    assert "comparable with published LSE: with numbers of real videos" in out
    code, out, _ = _score(*words[:-2], capsys=capsys)
    assert code == 0 and "a detector that is not named (--boxes-by)" in out


def test_the_boxes_of_dlib_give_the_crops_of_dlib(tmp_path, judge, faces, capsys):
    """The same boxes, found here or given, have the same score; only the way to them differs."""
    faces(lambda pixel: FACE)
    video = _video(tmp_path / "a.mp4", late_frames=2)
    words = (video, "--syncnet", judge, "--json", "--variant", "track")
    _, out, _ = _score(*words, capsys=capsys)
    here = json.loads(out)["videos"][str(video)]
    box = box_from_landmarks(points(*FACE[0])).tolist()
    table = "frame,x0,y0,x1,y1\n" + "".join(f"{i},{','.join(map(str, box))}\n" for i in range(60))
    (tmp_path / "boxes.csv").write_text(table)
    _, out, _ = _score(*words, "--boxes", tmp_path / "boxes.csv", capsys=capsys)
    given = json.loads(out)
    for key in video_lse.KEYS:
        assert given["videos"][str(video)][key] == here[key]
    assert given["protocol"]["comparable"] == (
        "no, a judge trained here, which was shown other crops in training"
    )


def test_a_folder_of_boxes_has_a_file_for_each_video(tmp_path, judge, no_detector, capsys):
    videos = [_video(tmp_path / f"{i}.mp4", seed=i) for i in range(3)]
    folder = tmp_path / "boxes"
    folder.mkdir()
    for i in range(2):
        _write_boxes(folder / f"{i}.json", (130,))
    code, out, err = _score(*videos, "--syncnet", judge, "--boxes", folder, "--json", capsys=capsys)
    assert code == 3
    found = json.loads(out)
    assert set(found["videos"]) == {str(video) for video in videos[:2]}
    assert f"{folder / '2.json'}: No such file" in err
    assert found["protocol"]["variant"] == "track"  # boxes are of no use to aligned crops


@pytest.mark.parametrize(
    ("columns", "flags", "reason"),
    [
        ((), (), "boxes.json: no box in the 60 frames of .*a.mp4"),
        ((130,), ("--variant", "whole"), "--boxes: got --variant whole, want track"),
        ((130,), ("--min-track", "80"), "too short: a face is seen in 60 frames .* want 80"),
        ((130,), ("--min-face", "120"), "face is too small: 110 px wide, want 120 px"),
    ],
)
def test_why_boxes_give_nothing_to_score(
    tmp_path, judge, no_detector, columns, flags, reason, capsys
):
    video = _video(tmp_path / "a.mp4")
    boxes = _write_boxes(tmp_path / "boxes.json", columns)
    code, _, err = _score(video, "--syncnet", judge, "--boxes", boxes, *flags, capsys=capsys)
    assert code == 2 and re.search(reason, err)


def test_one_file_of_boxes_is_of_one_video(tmp_path, judge, capsys):
    (tmp_path / "other").mkdir()
    videos = [_video(path / "a.mp4") for path in (tmp_path, tmp_path / "other")]
    boxes = _write_boxes(tmp_path / "boxes.json", (130,))
    cases = {
        ("--boxes", boxes): "got one file of boxes for 2 videos, want a folder",
        ("--boxes", tmp_path): "several videos are named a, so",
        ("--boxes-by", "S3FD"): "--boxes-by: names what found the boxes of --boxes, which is not",
    }
    for flags, reason in cases.items():
        code, out, err = _score(*videos, "--syncnet", judge, *flags, capsys=capsys)
        assert (code, out) == (2, "") and re.search(reason, err), reason


def test_another_net_or_other_windows_are_no_judge(tmp_path, capsys):
    video = _video(tmp_path / "a.mp4")
    generator = _export(tmp_path / "generator", "copying")
    code, _, err = _score(video, "--syncnet", generator, capsys=capsys)
    assert code == 2 and "holds a copying, want a syncnet as --syncnet" in err
    longer = _export(tmp_path / "longer", steps=24)
    code, _, err = _score(video, "--syncnet", longer, capsys=capsys)
    assert code == 2 and "24 MFCC steps, the protocol wants 5 and 20" in err


def test_evaluation_scores_every_row_and_says_who_judged(tmp_path, judge):
    model = _export(tmp_path / "model", "copying", experts={})
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
    judge = _export(tmp_path / "judge", size=96)
    model = _export(tmp_path / "model", "copying", experts={})
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
    public = _export(tmp_path / "public", origin=ORIGIN)
    model = _export(tmp_path / "model", "copying", experts={})
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
    tuned = _export(tmp_path / "tuned")
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
    steady = _export(tmp_path / "steady", sigma_frames=9.0)
    with pytest.raises(UserError, match=r"smooth_sigma_frames = 2.5, .*steady was .* with 9.0"):
        syncnet_parts.find_judge(steady, tmp_path, experts={}, data="fake://2x9?size=64")
    public = _export(tmp_path / "public", sigma_frames=9.0, origin=ORIGIN)
    assert syncnet_parts.find_judge(public, tmp_path, experts={}, data="fake://2x9").is_public


@pytest.mark.parametrize("variant", ["aligned", "track"])
def test_a_real_face_is_found_and_scored(shared, judge, variant, capsys):
    video = shared / "data" / "public" / "grid_s1" / "bbaf3s.mpg"
    words = (video, "--syncnet", judge, "--variant", variant, "--json")
    code, out, _ = _score(*words, capsys=capsys)
    assert code == 0
    scored = json.loads(out)["videos"][str(video)]
    # 75 frames; the sound ends within the last one
    assert [(t["first_frame"], t["end_frame"]) for t in scored["tracks"]] == [(0, 74)]
    assert scored["notes"] == []
