import dataclasses

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.infer.predict import Predictor
from tests.infer import stub

SIZE = stub.SIZE_PX


@pytest.fixture
def frames():
    return np.random.default_rng(1).integers(0, 256, [10, SIZE, SIZE, 3], dtype=np.uint8)


@pytest.fixture
def mel():
    return np.random.default_rng(2).normal(size=[100, 80]).astype(np.float32)


@pytest.mark.parametrize("count", [1, 4, 10])
def test_every_frame_is_generated_from_its_own_crop(predictor, frames, mel, count):
    generated = predictor.clip(frames[:count], frames[0], mel)
    np.testing.assert_array_equal(generated, 255 - frames[:count])


def test_larger_crops_are_reduced_to_the_models_size(predictor, frames, mel):
    doubled = frames.repeat(2, axis=1).repeat(2, axis=2)
    generated = predictor.clip(doubled, doubled, mel)
    np.testing.assert_array_equal(generated, 255 - frames)


def test_smaller_crops_are_refused(predictor, frames, mel):
    with pytest.raises(ValueError, match="model of 32 px: got 16 x 16 px"):
        predictor.clip(frames[:, :16, :16], frames[:, :16, :16], mel)


def test_one_program_serves_all_lengths(predictor, frames, mel):
    for count in (1, 3, 10):
        predictor.clip(frames[:count], frames[0], mel)
    assert predictor._generate._cache_size() == 1


@pytest.mark.parametrize("shift", [0, -2])
def test_windows_start_where_training_has_them(monkeypatch, mel, shift):
    stub.install(monkeypatch)
    predictor = Predictor(stub.trained(shift=shift), batch_frames=4)
    windows = predictor.mel_windows(mel, np.array([7]))
    start = {0: 22, -2: 16}[shift]  # floor(80 * 7 / 25), floor(80 * 5 / 25)
    np.testing.assert_array_equal(windows[0], mel[start : start + 16].T)


def test_first_frame_moves_the_sound(predictor, mel, frames):
    late = predictor.mel_windows(mel, 5 + np.arange(3))
    np.testing.assert_array_equal(late, predictor.mel_windows(mel, np.arange(8))[5:])


def test_stream_returns_each_item_with_its_own_frame(predictor, frames):
    class Item:
        def __init__(self, number):
            self.number = number
            self.frame_u8 = frames[number]
            self.reference_u8 = frames[0]
            self.mel_window = np.zeros([80, 16], np.float32)

    pairs = list(predictor.stream(Item(number) for number in range(10)))
    assert [item.number for item, _ in pairs] == list(range(10))
    for item, generated in pairs:
        np.testing.assert_array_equal(generated, 255 - frames[item.number])


def test_stream_holds_two_batches_at_most(predictor, frames):
    taken = []

    class Item:
        def __init__(self, number):
            taken.append(number)
            self.frame_u8 = self.reference_u8 = frames[0]
            self.mel_window = np.zeros([80, 16], np.float32)

    stream = predictor.stream(Item(number) for number in range(40))
    for done in range(40):
        next(stream)
        assert len(taken) - done <= 8


def test_an_address_can_be_given(predictor, frames):
    windows = np.zeros([10, 80, 16], np.float32)
    recalled = predictor.outputs(frames, frames, windows)["key_address"]
    np.testing.assert_allclose(recalled, np.full([10, stub.SLOTS], 1 / stub.SLOTS), rtol=1e-6)
    np.testing.assert_allclose(predictor.addresses(windows), recalled, rtol=1e-6)
    given = np.eye(stub.SLOTS, dtype=np.float32)[np.arange(10) % stub.SLOTS]
    out = predictor.outputs(frames, frames, windows, key_address=given)
    np.testing.assert_array_equal(out["key_address"], given)


def test_a_method_without_frames_is_refused_by_what_it_wants(monkeypatch):
    stub.install(monkeypatch, name="only_scores", builder=stub.build_without_frames)
    trained = stub.trained(name="only_scores", model={})
    del trained.config.model.hide_from, trained.config.data.audio_shift_frames
    with pytest.raises(UserError, match=r"method wants 'mel_chunk'.*is it a critic"):
        Predictor(trained, batch_frames=2)


def test_crops_are_cut_and_smoothed_as_those_of_its_data(monkeypatch):
    stub.install(monkeypatch)
    settings = {"smooth_sigma_frames": 1, "size_px": 96}
    told = Predictor(dataclasses.replace(stub.trained(), data_settings=settings), batch_frames=2)
    assert (told.smooth_sigma_frames, told.crop_px, told.size_px) == (1.0, 96, 32)
