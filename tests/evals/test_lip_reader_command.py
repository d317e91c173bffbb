"""`talkjax evaluate --lip-reader`, and of a lip reader itself, on toys and a stub of a reader."""

import argparse
import json

import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.commands import evaluate
from talkjax.errors import UserError
from talkjax.methods.api import Method
from talkjax.train.files import write_json
from tests.evals.test_evaluate_command import _dark_mouth
from tests.infer import stub

SIZE = 64
DATA = f"fake://6x36?size={SIZE}"
VOCABULARY = {"open": ["ah", "ee"], "shut": ["mm", "oo"]}
FRAMES_SEEN = []


def _copying(*, gain, hide_from):
    def predict_fn(params, model_vars, batch, key):
        frames = batch["frames_u8"].astype(jnp.float32) / 127.5 - 1.0
        return {"generated": gain * frames + params["gen"]["offset"]}

    return Method(init_fn=lambda key, batch: ({}, {}), phases=(), predict_fn=predict_fn)


def _looking(*, area, width):
    """Says what the toy's mouth does: is more than `area` of it dark, and more than `width` px of
    its widest row?"""

    def predict_fn(params, model_vars, batch, key):
        FRAMES_SEEN.append(batch["mouth_u8"].shape)
        dark = jnp.sum(batch["mouth_u8"].astype(jnp.int32), axis=-1) < 150  # 2 t h w
        rows = jnp.sum(dark, axis=-1).astype(jnp.float32) + params["reader"]["b"]
        at = (jnp.arange(dark.shape[1]) + 0.5)[None, None, :]
        spans = batch["word_spans"]
        within = (at >= spans[..., :1]) & (at < spans[..., 1:])  # 2 l t

        def of_words(values):
            return jnp.sum(jnp.where(within, values[:, None], 0.0), -1) / jnp.sum(within, -1)

        is_open = (of_words(jnp.sum(rows, axis=-1)) - area) / area
        is_wide = (of_words(jnp.max(rows, axis=-1)) - width) / width
        ah, ee = is_open - is_wide, is_open + is_wide
        return {"word_logits": jnp.stack([ah, ee, -ah, -ee], axis=-1)}  # ah, ee, mm, oo

    return Method(init_fn=lambda key, batch: ({}, {}), phases=(), predict_fn=predict_fn)


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    for name, build in (("copying", _copying), ("lip_reader", _looking)):
        stub.install(monkeypatch, name=name, builder=build)
    FRAMES_SEEN.clear()


def _export(folder, method, *, vocabulary=VOCABULARY, smooth_sigma_frames=2.5):
    net, leaf, model = {
        "copying": ("gen", "offset", {"gain": 1.0, "hide_from": 0.5}),
        "lip_reader": ("reader", "b", {"area": 80.0, "width": 16.5}),
    }[method]
    data = {"path": "data/toys", "image_size": SIZE, "mel_frames": 16, "audio_shift_frames": -2}
    data |= {"clip_frames": 5, "split": "train", "vocabulary": vocabulary}
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **{f"params/{net}/{leaf}": np.float32(0.0)})
    config = {"method": method, "model": model, "data": data, "run": {"seed": 0}}
    write_json(folder / "config.json", config)
    crops = {"size_px": SIZE, "smooth_sigma_frames": smooth_sigma_frames}
    about = {"format": 1, "step": 7, "scores": {}, "data_settings": crops}
    write_json(folder / "about.json", about | {"empty": [f"vars/{net}"], "experts": None})
    return folder


def _run(tmp_path, *flags):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    arguments = ["--data", DATA, "--out", str(tmp_path / "report"), "--workers", "0"]
    arguments += ["--linear-clips", "0", "--pictures", "0", *map(str, flags)]
    code = evaluate.evaluate(parser.parse_args(arguments), track=_dark_mouth)
    report = tmp_path / "report"
    return (
        code,
        json.loads((report / "metrics.json").read_text()),
        (report / "report.md").read_text(),
    )


def test_a_reader_by_itself_is_told_apart_from_still_pictures_and_says_where_it_was_trained(
    tmp_path,
):
    code, found, table = _run(tmp_path, "--checkpoint", _export(tmp_path / "r", "lip_reader"))
    assert code == 0
    read = found["lip_reading"]
    assert set(read["accuracy"]) == {"recorded", "still_hidden"}
    assert set(read["accuracy"]["recorded"]) == {"all words", "open", "shut"}
    assert read["words"]["recorded"]["all words"] == 6 * 4  # 8 frames each, of 36
    recorded, still = (read["accuracy"][row]["all words"]["mean"] for row in read["accuracy"])
    assert recorded > still
    who = found["protocol"]["lip_reader"]
    assert (who["words_spoken"], who["words_known"], who["unknown"]) == (24, 24, [])
    assert who["chance"] == 0.25 and who["vocabulary"] == VOCABULARY
    assert "trained on data/toys: 4 words, chance 0.250" in table
    assert "| recorded | " in table
    assert set(FRAMES_SEEN) == {(2, 48, 32, 36, 3)}  # both ways, 36 frames made 48; compiled once
    assert len(FRAMES_SEEN) == 1


def test_a_generator_is_read_in_every_row(tmp_path):
    model, reader = _export(tmp_path / "m", "copying"), _export(tmp_path / "r", "lip_reader")
    code, found, table = _run(tmp_path, "--checkpoint", model, "--lip-reader", reader)
    assert code == 0
    read = found["lip_reading"]
    assert list(read["accuracy"]) == [
        "recorded",
        "ground_truth",
        "generated",
        "swapped_voice_vs_voice",
        "shuffled_audio",
        "still_mouth",
        "still_hidden",
    ]
    # A copy says what the face says, and so the words of the voice by chance only.
    assert read["relative"]["generated"]["all words"]["mean"] == pytest.approx(1.0, abs=0.1)
    assert read["accuracy"]["shuffled_audio"] == read["accuracy"]["generated"]
    voice = read["accuracy"]["swapped_voice_vs_voice"]["all words"]["mean"]
    assert voice < read["accuracy"]["generated"]["all words"]["mean"]
    assert "relative to recorded" in table
    assert found["protocol"]["lip_reader"]["checkpoint"] == str(reader)


def test_what_cannot_read_these_clips_is_refused(tmp_path):
    model = _export(tmp_path / "m", "copying")
    with pytest.raises(UserError, match="holds a copying, want a lip_reader as --lip-reader"):
        _run(tmp_path, "--checkpoint", model, "--lip-reader", model)
    foreign = _export(tmp_path / "foreign", "lip_reader", vocabulary={"word": ["hallo", "welt"]})
    with pytest.raises(UserError, match="knows none of the 24 words"):
        _run(tmp_path, "--checkpoint", model, "--lip-reader", foreign)
    jumpy = _export(tmp_path / "jumpy", "lip_reader", smooth_sigma_frames=0.0)
    with pytest.raises(UserError, match="crops were prepared with smooth_sigma_frames"):
        _run(tmp_path, "--checkpoint", model, "--lip-reader", jumpy)


def test_words_that_the_reader_does_not_know_are_skipped_and_said(tmp_path):
    some = _export(
        tmp_path / "some", "lip_reader", vocabulary={"open": ["ah", "ee"], "x": ["y", "z"]}
    )
    _, found, _ = _run(tmp_path, "--checkpoint", some)
    who = found["protocol"]["lip_reader"]
    assert who["unknown"] == ["mm", "oo"]
    assert found["lip_reading"]["words"]["recorded"]["all words"] == who["words_known"] < 24
