"""Sizes of the published nets, by `eval_shape`: nothing is computed."""

import jax
import jax.numpy as jnp
import pytest

from talkjax.nets.audio_lip_memory import AudioLipMemory
from talkjax.nets.discriminators import QualityDiscriminator
from talkjax.nets.encoders import AudioEncoder, FaceEncoder, LipEncoder
from talkjax.nets.face_decoder import FaceDecoder
from talkjax.nets.sync_critic import WAV2LIP_FACE, FaceBranch, SyncCritic

MEL = (2, 80, 16)
SKIPS = tuple(
    (2, side, side, channels)
    for side, channels in zip(
        (128, 64, 32, 16, 8, 4, 1), (16, 32, 64, 128, 256, 512, 512), strict=True
    )
)


def shapes(net, *inputs):
    def spec(shape):
        if isinstance(shape[0], tuple):
            return tuple(spec(s) for s in shape)
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    init = lambda *args: net.init_with_output(jax.random.key(0), *args, train=False)  # noqa: E731
    return jax.eval_shape(init, *[spec(shape) for shape in inputs])


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


# Counts as published in the authors' code (trainable parameters, statistics excluded).
@pytest.mark.parametrize(
    ("net", "inputs", "expected"),
    [
        (AudioEncoder(), [MEL], 2_812_672),
        (LipEncoder(), [(2, 5, 128, 128, 3)], 10_043_520),
        (FaceEncoder(), [(2, 128, 128, 6)], 10_006_064),
        (AudioLipMemory(), [(2, 512)], 1_148_416),
        (FaceDecoder(), [(2, 512), SKIPS], 28_984_323),
        (QualityDiscriminator(), [(2, 64, 128, 3)], 15_948_801),
        (AudioEncoder(repeats=(2, 2, 2, 2)), [MEL], 3_403_264),
        (FaceBranch(), [(2, 5, 64, 128, 3)], 19_588_480),
        (SyncCritic(), [(2, 5, 64, 128, 3), MEL], 19_588_480 + 3_403_264),
        (SyncCritic(**WAV2LIP_FACE), [(2, 5, 48, 96, 3), MEL], 16_435_072),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "init") else None,
)
def test_parameter_count_is_the_published_one(net, inputs, expected):
    _, variables = shapes(net, *inputs)
    assert count(variables["params"]) == expected


def test_face_pyramid_has_the_published_sizes():
    pyramid, _ = shapes(FaceEncoder(), (2, 128, 128, 6))
    assert tuple(level.shape for level in pyramid) == SKIPS


def test_decoder_makes_pictures_of_the_crop_size():
    picture, _ = shapes(FaceDecoder(), (2, 512), SKIPS)
    assert picture.shape == (2, 128, 128, 3)


def test_a_64_px_set_of_nets_fits_together_with_one_stage_fewer():
    pyramid, _ = shapes(FaceEncoder((8, 16, 32, 64, 64, 64), (0, 1, 1, 1, 1)), (2, 64, 64, 6))
    levels = tuple(level.shape for level in pyramid)
    assert levels[0] == (2, 64, 64, 8)
    assert levels[-2:] == ((2, 4, 4, 64), (2, 1, 1, 64))
    decoder = FaceDecoder((64, 64, 64, 32, 16, 8), (0, 1, 1, 1, 1, 1), head_channels=8)
    assert shapes(decoder, (2, 64), levels)[0].shape == (2, 64, 64, 3)
    lip = LipEncoder(16, (16, 32, 64, 64), (1, 1, 1))
    assert shapes(lip, (2, 5, 64, 64, 3))[0].shape == (2, 64)
    disc = QualityDiscriminator((8, 16, 32, 64, 64, 64), (7, 5, 5, 3, 3))
    assert shapes(disc, (2, 32, 64, 3))[0].shape == (2,)
    critic = SyncCritic(
        (16, 32, 64, 128, 128, 128),
        (0, 1, 1, 1, 1),
        audio_channels=(16, 32, 64, 128, 128),
        audio_repeats=(1, 1, 1, 1),
    )
    face, audio = shapes(critic, (2, 5, 32, 64, 3), MEL)[0]
    assert face.unit.shape == audio.unit.shape == (2, 128)


@pytest.mark.parametrize(
    ("net", "inputs"),
    [
        (LipEncoder(), [(2, 5, 64, 64, 3)]),
        (FaceEncoder(), [(2, 256, 256, 6)]),
        (AudioEncoder(), [(2, 80, 32)]),
        (FaceBranch(), [(2, 5, 48, 96, 3)]),
    ],
)
def test_a_picture_of_another_size_is_an_error_that_names_the_net(net, inputs):
    with pytest.raises(ValueError, match=type(net).__name__):
        shapes(net, *inputs)


def test_a_lip_clip_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="got clips of 4 frames, want 5"):
        shapes(LipEncoder(), (2, 4, 128, 128, 3))


def test_a_misspelled_choice_is_an_error():
    with pytest.raises(ValueError, match="tr_source: got 'recall'"):
        shapes(AudioLipMemory(tr_source="recall"), (2, 512))
