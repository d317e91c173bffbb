"""The command on toy data, with methods that are a few lines and landmarks read off drawings."""

import argparse
import json

import jax.numpy as jnp
import numpy as np
import pytest

from talkjax import cli, progress
from talkjax.commands import evaluate, evaluation_parts
from talkjax.errors import UserError
from talkjax.methods.api import Method
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import write_json
from talkjax.train.trained import fingerprint
from tests.infer import stub

SIZE = 64
DATA = f"fake://6x36?size={SIZE}"


def _copying(*, gain, hide_from):
    def predict_fn(params, model_vars, batch, key):
        frames = batch["frames_u8"].astype(jnp.float32) / 127.5 - 1.0
        return {"generated": gain * frames + params["gen"]["offset"]}

    return Method(init_fn=lambda key, batch: ({}, {}), phases=(), predict_fn=predict_fn)


def _hearing(*, width):
    """Embeds a window by the mean of its pictures and by its loudness: any unit vectors do."""

    def predict_fn(params, model_vars, batch, key):
        faces = (
            jnp.mean(batch["frames_u8"].astype(jnp.float32), axis=(3, 4, 5)) + params["sync"]["b"]
        )
        sounds = batch["mel_chunk"][..., :5].mean(axis=2) + params["sync"]["b"]
        return {
            "face_embedding": faces / jnp.linalg.norm(faces, axis=-1, keepdims=True),
            "audio_embedding": sounds / jnp.linalg.norm(sounds, axis=-1, keepdims=True),
        }

    return Method(init_fn=lambda key, batch: ({}, {}), phases=(), predict_fn=predict_fn)


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    for name, build in (("copying", _copying), ("sync_critic", _hearing)):
        stub.install(monkeypatch, name=name, builder=build)


def _export(folder, method, *, weight=0.0, seed=0, experts=None, smooth_sigma_frames=2.5):
    """An exported checkpoint by hand."""
    net, leaf, model = {
        "copying": ("gen", "offset", {"gain": 1.0, "hide_from": 0.5}),
        "sync_critic": ("sync", "b", {"width": 5}),
    }[method]
    data = {"image_size": SIZE, "mel_frames": 16, "audio_shift_frames": -2, "clip_frames": 5}
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{f"params/{net}/{leaf}": np.float32(weight)})
    config = {"method": method, "model": model, "data": data, "run": {"seed": seed}}
    write_json(folder / "config.json", config)
    crops = {"size_px": SIZE, "smooth_sigma_frames": smooth_sigma_frames}
    about = {"format": 1, "step": 7, "scores": {}, "data_settings": crops}
    about |= {"empty": [f"vars/{net}"], "experts": experts}
    write_json(folder / "about.json", about)
    return folder


def _dark_mouth(frames_u8):
    """Landmarks of the cartoon: the height and width of the dark cavity around the mouth line."""
    points = np.zeros((len(frames_u8), 68, 2))
    points[:, 36:42], points[:, 42:48] = (43.0, 36.0), (85.0, 36.0)
    points[:, 48:68] = (64.0, 87.0)
    dark = frames_u8.astype(int).sum(axis=3) < 150
    half_height = dark[:, 64:112, 62:66].sum(axis=(1, 2)) / 8
    half_width = dark[:, 85:89, 32:96].sum(axis=(1, 2)) / 8
    points[:, 62, 1] -= half_height
    points[:, 66, 1] += half_height
    points[:, 48, 0] -= half_width
    points[:, 54, 0] += half_width
    return points


def _run(tmp_path, *flags, track=_dark_mouth):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    arguments = ["--data", DATA, "--out", str(tmp_path / "report"), "--workers", "0"]
    code = evaluate.evaluate(parser.parse_args([*arguments, *map(str, flags)]), track=track)
    return code, json.loads((tmp_path / "report" / "metrics.json").read_text())


def test_report_folder_of_a_generator(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_LINE_EVERY_S", 0.0)
    model = _export(tmp_path / "model", "copying")
    code, found = _run(tmp_path, "--checkpoint", model, "--linear-clips", 5, "--pictures", 2)
    assert code == 0
    assert set(found) == {"rows", "differences", "clips", "failed", "protocol", "warnings"}
    assert found["warnings"] == []  # there is no judge
    assert {"generated", "ground_truth", "shuffled_audio", "still_mouth"} <= set(found["rows"])
    assert len(found["clips"]) == 6 and found["failed"] == {}
    # a copy of what the model is given is the ground truth at the model's size
    generated, truth = found["rows"]["generated"], found["rows"]["ground_truth"]
    assert generated["psnr"]["mean"] == pytest.approx(truth["psnr"]["mean"], abs=0.01)
    assert generated["lmd"]["mean"] < found["rows"]["still_mouth"]["lmd"]["mean"]
    # the toy's sound says its lips, and a linear map hears some of it
    assert found["rows"]["linear"]["opening_correlation"]["mean"] > 0.3
    # the toy says how far its mouth is open, in eye distances; what is read off its drawing is that
    # but for the pixels, at 64 px of which the crop's third is an eye distance
    assert truth["label_opening_correlation"]["mean"] > 0.99
    assert truth["label_opening_error"]["mean"] < 1 / (64 / 3)
    assert truth["label_lag_ms"]["mean"] == 0.0
    protocol = found["protocol"]
    assert protocol["trained_on"] == {"size_px": SIZE, "smooth_sigma_frames": 2.5}
    assert protocol["data_settings"] == {"layout": "fake", **protocol["trained_on"]}
    assert {len(voices) for voices in protocol["voices_of"].values()} == {3}
    assert (protocol["step"], protocol["seed"], protocol["judge"]) == (7, 0, "none")
    assert protocol["linear"]["clips"] == 5
    assert "research" in protocol["landmarks"]["licence"]
    assert protocol["versions"]["jax"] and protocol["crop"]["evaluation_size_px"] == 128
    assert not any(key.startswith("sync") for row in found["rows"].values() for key in row)
    pictures = sorted(p.name for p in (tmp_path / "report" / "pictures").iterdir())
    assert pictures == ["lip_opening.png", "toy_test-00000.png", "toy_test-00005.png"]
    assert "| generated |" in (tmp_path / "report" / "report.md").read_text()
    printed = capsys.readouterr()
    assert "| generated |" in printed.out
    for line in ("linear row: 5 of 5", "evaluate: 6 of 6", "pictures: 2 of 2"):
        assert line in printed.err


def test_two_runs_write_the_same_numbers_and_the_linear_row_is_not_fitted_again(tmp_path):
    model = _export(tmp_path / "model", "copying")
    flags = ("--checkpoint", model, "--linear-clips", 5, "--clips", 3, "--pictures", 0)
    tracked = []

    def track(frames_u8):
        tracked.append(len(frames_u8))
        return _dark_mouth(frames_u8)

    _, first = _run(tmp_path, *flags, track=track)
    calls = len(tracked)
    _, second = _run(tmp_path, *flags, track=track)
    assert first["rows"] == second["rows"] and first["clips"] == second["clips"]
    calls_of_clips = calls - 5
    assert len(tracked) == calls + calls_of_clips
    # another report of the same data may share the fit
    shared = ("--linear-cache", tmp_path / "report" / evaluate.LINEAR_CACHE)
    calls = len(tracked)
    _run(tmp_path / "other", *flags, *shared, track=track)
    assert len(tracked) == calls + calls_of_clips
    assert not (tmp_path / "other" / "report" / evaluate.LINEAR_CACHE).exists()
    assert list(first["clips"]) == ["toy/test-00000", "toy/test-00002", "toy/test-00005"]


def _judged(model, judge):
    """(suffix, independence) of the one critic that judges an export or a workdir."""
    found = evaluation_parts.find_judges(judge, model, load_trained(model), data=DATA)
    return [(one.suffix, one.identity["independence"]) for one in found]


def test_a_critic_of_the_training_is_no_judge_whatever_lies_beside_the_model(tmp_path):
    critic = _export(tmp_path / "critic", "sync_critic", weight=0.5, seed=3)
    source = str(tmp_path / "run")
    expert = {"fingerprint": fingerprint(load_trained(critic).params), "seed": 3, "step": 7}
    experts = {"sync": expert | {"source": source}}
    model = _export(tmp_path / "model", "copying", experts=experts)
    cases = {
        "copied": ({"weight": 0.5, "seed": 9}, "it is expert sync"),
        "run": ({"weight": 0.25, "seed": 9}, "it is expert sync of the training at step 7"),
        "later": ({"weight": 0.25, "seed": 3}, "it has the seed of expert sync, 3"),
    }
    for name, (changes, reason) in cases.items():
        judge = _export(tmp_path / name, "sync_critic", **changes)
        ((suffix, independence),) = _judged(model, judge)
        assert suffix == "_training_critic", name
        assert independence.startswith(f"none, since {reason}")
    apart = _export(tmp_path / "apart", "sync_critic", weight=0.25, seed=4)
    assert _judged(model, apart) == [("", "other weights and seed than the training's critics")]
    # a random expert's seed is that of the model's own run
    drawn = {"random": expert | {"seed": 4, "source": "random"}}
    toy = _export(tmp_path / "toy", "copying", experts=drawn)
    assert _judged(toy, apart)[0][0] == ""
    silent = _export(tmp_path / "silent", "copying", experts=None)
    ((suffix, independence),) = _judged(silent, apart)
    assert suffix == "" and independence.startswith("unknown, ")


def test_without_a_judge_the_critics_of_a_workdir_judge_under_their_name(tmp_path):
    workdir = _export(tmp_path / "model", "copying")
    assert _judged(workdir, None) == []
    _export(workdir / "experts" / "sync", "sync_critic", weight=0.5)
    ((suffix, independence),) = _judged(workdir, None)
    assert suffix == "_training_critic" and independence.startswith("none, ")
    with pytest.raises(UserError, match="holds a copying, want a sync_critic"):
        _judged(workdir, workdir)


def test_sync_keys_say_who_judged(tmp_path):
    workdir = _export(tmp_path / "model", "copying")
    _export(workdir / "experts" / "sync", "sync_critic", weight=0.5)
    flags = ("--workdir", workdir, "--clips", 2, "--linear-clips", 0, "--pictures", 0)
    _, found = _run(tmp_path, *flags)
    row = found["rows"]["generated"]
    assert "sync_distance_training_critic" in row and "sync_distance" not in row
    assert found["protocol"]["judge"] == "none"
    assert found["protocol"]["training_critic"]["step"] == 7
    table = (tmp_path / "report" / "report.md").read_text()
    kept = workdir / "experts" / "sync"
    for heading in ("Sync", "Paired differences"):
        # the differences shown are those of a judge only
        assert (f"## {heading}: training critic {kept}, step 7, weights " in table) == (
            heading == "Sync"
        )
    judge = _export(tmp_path / "judge", "sync_critic", weight=0.25)
    _, found = _run(tmp_path, *flags, "--judge", judge)
    row = found["rows"]["generated"]
    assert "sync_distance" in row and "sync_distance_training_critic" not in row
    assert found["protocol"]["judge"]["checkpoint"] == str(judge)
    table = (tmp_path / "report" / "report.md").read_text()
    assert "Independence of the judge: unknown" in table
    who = f"judge {judge}, step 7, weights {fingerprint(load_trained(judge).params)}\n"
    assert f"## Sync: {who}" in table and f"## Paired differences: {who}" in table


def test_a_sync_critic_gets_a_report_of_its_own(tmp_path):
    critic = _export(tmp_path / "critic", "sync_critic")
    code, found = _run(tmp_path, "--checkpoint", critic)
    assert code == 0
    assert set(found["rows"]) == {"ground_truth", "ground_truth_shuffled"}
    wanted = {"retrieval_window", "retrieval_clip", "accuracy_at_half", "above_shuffled"}
    assert wanted <= found["rows"]["ground_truth"].keys()
    table = (tmp_path / "report" / "report.md").read_text()
    assert "retrieval_window" in table and f"## Sync: critic {critic}, step 7, weights " in table
    offsets = [clip["ground_truth"]["sync_offset"] for clip in found["clips"].values()]
    shares = {k: share["mean"] for k, share in found["offset_histogram"].items()}
    assert shares == {f"{int(k)}": offsets.count(k) / 6 for k in sorted(set(offsets))}


def test_a_critics_report_has_every_injected_shift_and_prints_the_least_and_the_shuffled(tmp_path):
    critic = _export(tmp_path / "critic", "sync_critic")
    data = f"fake://3x46?size={SIZE}"  # 42 windows: more than 31 are left of a shift of 10
    code, found = _run(tmp_path, "--checkpoint", critic, "--data", data)
    assert code == 0
    shifts = found["injected_shifts"]
    assert list(shifts) == [str(k) for k in range(-10, 11)]
    for share in shifts.values():
        assert set(share) == {"mean", "low", "high", "clips"} and share["clips"] == 3
        assert share["low"] <= share["mean"] <= share["high"]
    truth, shuffled = (found["rows"][row] for row in ("ground_truth", "ground_truth_shuffled"))
    every = np.mean([share["mean"] for share in shifts.values()])
    assert every == pytest.approx(truth["shift_found"]["mean"])
    table = (tmp_path / "report" / "report.md").read_text()
    least = min(shifts, key=lambda k: shifts[k]["mean"])
    as_few = sum(share["mean"] == shifts[least]["mean"] for share in shifts.values())
    shown = "{mean:.3f} [{low:.3f}, {high:.3f}]"
    assert f"| {least} | {shown.format(**shifts[least])} | 3 | {as_few} | 21 |" in table
    # the Critic's table has the interval of retrieval from another clip's sound
    part = table.split("## Critic\n")[1].split("\n## ")[0]
    (row,) = [line for line in part.splitlines() if line.startswith("| ground_truth_shuffled |")]
    assert row.split(" | ")[1] == shown.format(**shuffled["retrieval_window"])


@pytest.mark.parametrize("flag", ["--syncnet", "--judge", "--lip-reader"])
def test_a_critic_is_not_judged(tmp_path, flag):
    critic = _export(tmp_path / "critic", "sync_critic")
    with pytest.raises(UserError, match=f"holds a sync_critic, which makes no frames that {flag}"):
        _run(tmp_path, "--checkpoint", critic, flag, tmp_path / "absent")
    assert not (tmp_path / "report").exists()


def test_a_failed_clip_makes_exit_code_3_unless_allowed(tmp_path, capsys):
    model = _export(tmp_path / "model", "copying")

    def track(frames_u8):
        points = _dark_mouth(frames_u8)
        return np.full_like(points, np.nan) if frames_u8[0, 0, 0, 0] == first_pixel else points

    source = evaluation_parts.open_source(DATA, "test")
    clips = evaluation_parts.Clips(source, image_size=SIZE, limit=None)
    first_pixel = clips("toy/test-00000").truth_u8[0, 0, 0, 0]
    flags = ("--checkpoint", model, "--linear-clips", 0, "--pictures", 0)
    code, found = _run(tmp_path, *flags, track=track)
    assert code == 3
    assert 0 < len(found["failed"]) < 6
    assert "failed: landmarks of" in capsys.readouterr().err
    code, _ = _run(tmp_path, *flags, "--allow-failures", track=track)
    assert code == 0
    code, found = _run(
        tmp_path, *flags, "--allow-failures", track=lambda f: np.full((len(f), 68, 2), np.nan)
    )
    assert code == 3 and found["rows"] == {}


def test_json_prints_the_rows(tmp_path, capsys):
    model = _export(tmp_path / "model", "copying")
    _run(tmp_path, "--checkpoint", model, "--linear-clips", 0, "--clips", 1, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert "generated" in printed["rows"] and "clips" not in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--clips", "0"], "--clips: got 0, want at least 1"),
        (["--data", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path, capsys, flags, message):
    model = _export(tmp_path / "model", "copying")
    arguments = ["evaluate", "--checkpoint", str(model), "--data", DATA, *flags]
    assert cli.main([*arguments, "--out", str(tmp_path / "report")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_data_whose_crops_are_not_those_of_the_training_are_refused(tmp_path):
    shaky = _export(tmp_path / "shaky", "copying", smooth_sigma_frames=0.5)
    with pytest.raises(UserError, match=r"smooth_sigma_frames = 2.5, .*shaky was .* with 0.5"):
        _run(tmp_path, "--checkpoint", shaky)
    judge = _export(tmp_path / "judge", "sync_critic", smooth_sigma_frames=0.5)
    model = _export(tmp_path / "model", "copying")
    with pytest.raises(UserError, match=r"smooth_sigma_frames = 2.5, .*judge was .* with 0.5"):
        _run(tmp_path, "--checkpoint", model, "--judge", judge)


def test_crops_smaller_than_the_model_are_refused(tmp_path):
    source = evaluation_parts.open_source("fake://2x20?size=32", "test")
    with pytest.raises(UserError, match="crops are 32 px, the model wants 64"):
        evaluation_parts.Clips(source, image_size=64, limit=None)
