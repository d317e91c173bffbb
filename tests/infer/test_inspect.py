import json

import numpy as np
import pytest
from PIL import Image

from talkjax import cli
from talkjax.commands import inspect
from talkjax.train import checkpoint
from tests.infer import stub


@pytest.fixture(scope="module")
def inspected(export, tmp_path_factory):
    out = tmp_path_factory.mktemp("inspected") / "memory"
    flags = ["--checkpoint", str(export), "--data", "fake://3x40?size=64", "--split", "train"]
    assert cli.main(["inspect", "memory", *flags, "--out", str(out)]) == 0
    return out


def test_every_frame_has_an_address_of_all_slots(inspected):
    facts = json.loads((inspected / "memory.json").read_text())
    assert facts["clips"] == 3 and facts["frames"] == 120
    assert facts["slots"] == 12
    assert sum(facts["top_slot_frames"]) == 120
    assert sum(facts["mean_address"]) == pytest.approx(1.0, abs=1e-4)
    assert 1.0 <= facts["perplexity"]["median"] <= 12.0


def test_a_long_look_says_how_far_it_is(export, monkeypatch, capsys):
    from talkjax import progress
    from talkjax.infer.predict import Predictor

    monkeypatch.setattr(progress, "PLAIN_LINE_EVERY_S", 0.0)
    predictor = Predictor(checkpoint.load_trained(export), batch_frames=32)
    inspect.listen(predictor, "fake://3x40?size=64", split="train", limit=2)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "listen: 1 of 2 clips"
    assert second.startswith("listen: 2 of 2 clips, ")


def test_pictures_show_slots_and_the_way_between_two(inspected):
    for name in ("slots.png", "use.png", "interpolation.png"):
        with Image.open(inspected / name) as picture:
            assert np.asarray(picture).std() > 5
    with Image.open(inspected / "interpolation.png") as picture:
        assert picture.width == 9 * (96 + 4)


def test_slots_alone_decode_to_different_lips(export):
    from talkjax.infer.memory import one_hot_addresses
    from talkjax.infer.predict import Predictor

    predictor = Predictor(checkpoint.load_trained(export), batch_frames=5)
    faces = np.full([12, 32, 32, 3], 120, np.uint8)
    windows = np.zeros([12, 80, 16], np.float32)
    slots = one_hot_addresses(np.arange(12), num_slots=12)
    made = predictor.outputs(faces, faces, windows, key_address=slots)
    np.testing.assert_array_equal(made["key_address"], slots)
    # The same frame and sound; only the slot differs, and only hidden rows may change.
    assert len({image.tobytes() for image in made["generated"]}) > 8
    assert (made["generated"][:, :11] == made["generated"][:1, :11]).all()


def test_a_recalled_address_that_is_given_back_changes_nothing(export):
    from talkjax.infer.predict import Predictor

    predictor = Predictor(checkpoint.load_trained(export), batch_frames=4)
    generator = np.random.default_rng(0)
    faces = generator.integers(0, 256, [6, 32, 32, 3], dtype=np.uint8)
    windows = generator.normal(size=[6, 80, 16]).astype(np.float32)
    first = predictor.outputs(faces, faces, windows)
    again = predictor.outputs(faces, faces, windows, key_address=first["key_address"])
    difference = first["generated"].astype(int) - again["generated"].astype(int)
    assert np.abs(difference).max() <= 1


def test_a_checkpoint_without_memory_is_refused(monkeypatch, tmp_path, capsys):
    stub.install(monkeypatch, name="no_memory", builder=stub.build_without_memory)
    trained = stub.trained(name="no_memory", model={})
    monkeypatch.setattr(checkpoint, "load_trained", lambda path, step: trained)
    flags = ["--checkpoint", "x", "--data", "fake://2x30?size=64", "--split", "train"]
    assert cli.main(["inspect", "memory", *flags, "--out", str(tmp_path / "out")]) == 2
    assert "has no memory address" in capsys.readouterr().err


def test_an_export_generates_as_its_workdir_would(export, sound, tmp_path, monkeypatch):
    # The whole command with the real method: a picture that dlib need not see.
    from talkjax.media import detector
    from tests.infer.conftest import KnowingDetector, frame

    monkeypatch.setattr(detector, "DlibDetector", KnowingDetector)
    Image.fromarray(frame(5)).save(tmp_path / "face.png")
    out = tmp_path / "out.mp4"
    flags = ["--face", str(tmp_path / "face.png"), "--audio", str(sound(0.6)), "--out", str(out)]
    assert cli.main(["generate", "--checkpoint", str(export), *flags]) == 0
    assert out.stat().st_size > 0


def test_words_are_drawn_against_the_slots_they_use(tmp_path):
    from talkjax.infer import memory, memory_pictures

    slots = np.arange(400) % 4
    table = memory.use_table(slots, [f"word{slot}" for slot in slots], num_slots=96, seed=0)
    memory_pictures.users(tmp_path / "words.png", table, unit="word")
    with Image.open(tmp_path / "words.png") as picture:
        assert np.asarray(picture).std() > 5


def test_spoken_words_reach_the_report(export, tmp_path, monkeypatch, capsys):
    import dataclasses

    from talkjax.data import pipeline

    iterate_clips = pipeline.iterate_clips

    def with_words(path, split, *, limit=None):
        for record in iterate_clips(path, split, limit=limit):
            yield dataclasses.replace(record, words=((0.2, 0.6, "bin"), (0.6, 1.0, "blue")))

    monkeypatch.setattr(pipeline, "iterate_clips", with_words)
    flags = ["--checkpoint", str(export), "--data", "fake://2x40?size=64", "--split", "train"]
    assert cli.main(["inspect", "memory", *flags, "--out", str(tmp_path), "--json"]) == 0
    words = json.loads(capsys.readouterr().out)["words"]
    assert words["names"] == ["bin", "blue", "sil"]
    # 0.2-0.6 s are the frames with middles 0.22 .. 0.58.
    assert np.sum(words["counts"], axis=1).tolist() == [2 * 10, 2 * 10, 2 * 20]
    assert (tmp_path / "words.png").is_file()


def _with_phones(monkeypatch, phones, times_s):
    import dataclasses

    from talkjax.data import pipeline

    iterate_clips = pipeline.iterate_clips

    def labelled(path, split, *, limit=None):
        for record in iterate_clips(path, split, limit=limit):
            labels = {"phone_times_s": np.array(times_s)}
            yield dataclasses.replace(record, words=(), labels=labels, texts={"phones": phones})

    monkeypatch.setattr(pipeline, "iterate_clips", labelled)


def test_phones_reach_the_report_with_the_slots_they_use(export, tmp_path, monkeypatch, capsys):
    _with_phones(monkeypatch, "_ m a", [(0.0, 0.2), (0.2, 0.6), (0.6, 1.6)])
    flags = ["--checkpoint", str(export), "--data", "fake://2x40?size=64", "--split", "train"]
    assert cli.main(["inspect", "memory", *flags, "--out", str(tmp_path)]) == 0
    facts = json.loads((tmp_path / "memory.json").read_text())
    phones = facts["phones"]
    assert "words" not in facts and phones["names"] == ["_", "a", "m"]
    assert np.sum(phones["counts"], axis=1).tolist() == [2 * 5, 2 * 25, 2 * 10]
    assert np.sum(phones["counts"], axis=0).tolist() == facts["top_slot_frames"]
    assert (tmp_path / "phones.png").is_file() and not (tmp_path / "words.png").exists()
    printed = capsys.readouterr().out
    bits, chance = phones["mutual_information_bits"], phones["chance_bits"]
    assert f"phone and top slot share {bits:.3f} bits ({chance:.3f} by chance)" in printed
    slot = int(np.argmax(facts["top_slot_frames"]))
    assert f"\nslot {slot}: " in printed


def test_phones_without_their_times_are_refused(export, tmp_path, monkeypatch, capsys):
    _with_phones(monkeypatch, "m a", [(0.0, 0.2)])
    flags = ["--checkpoint", str(export), "--data", "fake://1x30?size=64", "--split", "train"]
    assert cli.main(["inspect", "memory", *flags, "--out", str(tmp_path / "out")]) == 2
    assert "phone_times_s has shape (1, 2), want (2, 2)" in capsys.readouterr().err
