"""Two views, near misses, every so many windows: what each setting of the critic leaves in.

Expected values are computed here, in numpy, from the embeddings.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import sync_critic_grid
from talkjax import assemble
from talkjax.methods import sync_critic
from talkjax.train.files import hashable
from tests.methods.conftest import make_batch

CLIPS, WINDOWS, EVERY, GAP, BCE_GAP = 3, 7, 2, 3, 4
MOUTHS = np.arange(0, WINDOWS, EVERY)
NO_JITTER = sync_critic_grid.no_jitter()


def lit_frames(shape):
    """Frames whose light differs from moment to moment, clip to clip and left to right."""
    light = np.random.default_rng(1).integers(0, 256, (*shape[:2], 1, 2, 3))
    across = np.linspace(0.0, 1.0, shape[3])[:, None]
    mixed = light[..., :1, :] * (1.0 - across) + light[..., 1:, :] * across
    return jnp.asarray(np.broadcast_to(mixed, shape).astype(np.uint8))


def embedder(training, params, model_vars, *, train=False):
    """(batch, key or None) -> embeddings."""
    return jax.jit(
        lambda batch, key: training.embed(params, model_vars, batch, key, train=train)[0]
    )


def make(jitter, **model):
    """(the method's `CriticTraining`, params, model_vars, batch) of tiny nets, two views."""
    config = sync_critic_grid.get_config("smoke")
    config.data.update(batch_size=CLIPS, windows_per_clip=WINDOWS, consecutive=True)
    config.model.update(views=2, every_frames=EVERY, min_gap_frames=GAP, bce_gap_frames=BCE_GAP)
    config.model.sync.update(ends="linear")
    config.model.jitter.update(jitter)
    config.model.sound_jitter.update(sync_critic_grid.no_sound_jitter())
    config.model.update(model)
    config.loss_weights.fit.visual = 1.0
    method = sync_critic.build(**hashable(config.model))
    batch = make_batch(assemble.element_spec(config))
    firsts = np.array([[4], [0], [20]], np.int32)
    batch["frames_u8"] = lit_frames(batch["frames_u8"].shape)
    batch["start_frames"] = jnp.asarray(firsts + np.arange(WINDOWS, dtype=np.int32))
    params, model_vars = jax.jit(method.init_fn)(jax.random.key(0), batch)
    return method.phases[0].loss_fn.__self__, params, model_vars, batch


@pytest.fixture(scope="module")
def jittered():
    """`make` with views that differ, its embeddings, its (terms, scalars) by one key."""
    training, params, model_vars, batch = make(sync_critic_grid.strong_jitter())
    key = jax.random.key(3)
    found = embedder(training, params, model_vars, train=True)(batch, key)

    @jax.jit
    def loss(key):
        out = training.loss(params, model_vars, batch, key)
        return out.terms, out.scalars

    return training, found, loss(key)


def other_clips_changed(found):
    """The embeddings, the first clip's as they were and noise for the others'."""
    rng = np.random.default_rng(5)

    def change(units):
        noise = rng.normal(size=units.shape).astype(np.float32)
        noise[0] = units[0]
        return jnp.asarray(noise / np.linalg.norm(noise, axis=-1, keepdims=True))

    return found._replace(
        faces=tuple(change(one) for one in found.faces), sounds=change(found.sounds)
    )


def info_nce(left, right, starts, *, gap, temperature):
    """Both directions, mean over one clip's moments; negatives of this clip, `gap` frames away."""
    terms = []
    for a, b in ((left, right), (right, left)):
        for i, start in enumerate(starts):
            logits = {j: float(a[i] @ b[j]) / temperature for j in range(len(starts))}
            kept = [j for j in logits if j == i or abs(starts[j] - start) >= gap]
            terms.append(np.log(sum(np.exp(logits[j]) for j in kept)) - logits[i])
    return np.mean(terms)


def test_views_are_of_the_same_moments_in_the_same_order():
    """Without jitter both are the picture itself, mouth by mouth."""
    training, params, model_vars, batch = make(NO_JITTER)
    run = embedder(training, params, model_vars, train=True)
    two, (one,) = run(batch, jax.random.key(0)).faces, run(batch, None).faces
    assert len(two) == 2 and one.shape[:2] == (CLIPS, len(MOUTHS))
    for view in two:
        np.testing.assert_allclose(view, one, atol=1e-5)
    # moments and clips differ by far more, so another order would have been seen
    flat = np.asarray(one).reshape(-1, one.shape[-1])
    apart = np.abs(flat[:, None] - flat[None]).max(axis=-1) + np.eye(len(flat))
    assert apart.min() > 1e-3


def test_under_jitter_the_two_views_differ(jittered):
    _, found, _ = jittered
    first, second = found.faces
    assert np.abs(first - second).max(axis=-1).min() > 1e-3  # every mouth's


def test_a_mirrored_view_is_a_view():
    """A flip alone makes a view: of 2 views of 3 clips some are mirrored, some are not."""
    training, params, model_vars, batch = make(NO_JITTER | dict(flip=0.5))
    assert training.jitter.changes
    run = embedder(training, params, model_vars)
    turned = dict(batch, frames_u8=batch["frames_u8"][..., ::-1, :])
    (plain,), (turned,) = (run(one, None).faces for one in (batch, turned))
    as_plain = []
    for view in run(batch, jax.random.key(1)).faces:
        for clip in range(CLIPS):
            near = [np.abs(view[clip] - one[clip]).max() < 1e-5 for one in (plain, turned)]
            assert sum(near) == 1
            as_plain.append(near[0])
    assert 0 < sum(as_plain) < len(as_plain)


def test_visual_is_the_contrast_of_two_views_within_a_clip_by_hand(jittered):
    _, found, (terms, scalars) = jittered
    first, second = (np.asarray(view, np.float64) for view in found.faces)
    temperature = float(scalars["temperature"])
    for clip in range(CLIPS):
        expected = info_nce(first[clip], second[clip], MOUTHS, gap=GAP, temperature=temperature)
        assert float(terms["visual"][clip]) == pytest.approx(expected, rel=1e-3, abs=1e-6)
    # moments nearer than the gap would have counted otherwise
    near = info_nce(first[0], second[0], MOUTHS, gap=1, temperature=temperature)
    assert near > 1.1 * float(terms["visual"][0])


def test_visual_asks_nothing_of_other_clips_and_contrast_does(jittered):
    training, found, _ = jittered
    temperature = jnp.float32(0.07)
    changed = other_clips_changed(found)
    before, after = (training.visual(one, temperature) for one in (found, changed))
    assert float(before[0]) == pytest.approx(float(after[0]), rel=1e-5)
    assert np.abs(before - after)[1:].min() > 1e-3


def test_both_views_are_held_against_the_sound(jittered):
    """`bce` is the mean of the two views', each by hand."""
    _, found, (terms, _) = jittered
    for clip in range(CLIPS):
        of_views = []
        for faces in found.faces:
            cosines = np.asarray(faces[clip] @ found.sounds[clip].T, np.float64)
            probable = 0.5 * (1.0 + cosines)
            gap = np.abs(MOUTHS[:, None] - np.arange(WINDOWS))
            of_true = -np.log(probable[gap == 0]).mean()
            of_views.append(0.5 * (of_true - np.log(1.0 - probable[gap >= BCE_GAP]).mean()))
        assert float(terms["bce"][clip]) == pytest.approx(np.mean(of_views), rel=1e-3)


@pytest.mark.parametrize(("away", "counts"), [(0, True), (1, False), (3, False), (4, True)])
def test_bce_ignores_what_is_nearer_than_its_gap(jittered, away, counts):
    training, found, _ = jittered
    cosines = jnp.zeros((CLIPS, len(MOUTHS), WINDOWS))
    gap = np.abs(MOUTHS[:, None] - np.arange(WINDOWS))
    changed = jnp.where(jnp.asarray(gap == away)[None], 0.9, cosines)
    before, after = (training.cross_entropy(one, found) for one in (cosines, changed))
    np.testing.assert_array_equal(np.abs(before - after) > 1e-3, counts)


def test_the_gap_of_bce_is_no_smaller_than_that_of_all_losses():
    training, *_ = make(NO_JITTER, bce_gap_frames=1)
    assert training.bce_gap_frames == GAP


def test_every_so_many_windows_keeps_their_embeddings_and_frames():
    training, params, model_vars, batch = make(NO_JITTER, views=1)
    all_of_them = dataclasses.replace(training, every_frames=1)
    some, every = (
        embedder(one, params, model_vars)(batch, None) for one in (training, all_of_them)
    )
    assert some.faces[0].shape[1] == len(MOUTHS) and every.faces[0].shape[1] == WINDOWS
    np.testing.assert_allclose(some.faces[0], every.faces[0][:, MOUTHS], atol=1e-5)
    np.testing.assert_array_equal(some.face_starts, batch["start_frames"][:, MOUTHS])
    np.testing.assert_array_equal(some.sound_starts, batch["start_frames"])
    np.testing.assert_allclose(some.sounds, every.sounds, atol=1e-5)
    steps = np.abs(np.diff(every.faces[0], axis=1)).max(axis=-1)
    assert steps.min() > 1e-4  # so the next window would have been seen


def test_a_varied_sound_is_heard_with_a_key_only_and_the_mouths_are_as_they_were():
    voices = sync_critic_grid.other_voices()
    training, params, model_vars, batch = make(NO_JITTER, views=1, sound_jitter=voices)
    embed = embedder(training, params, model_vars)
    recorded, one, other = (
        embed(batch, key) for key in (None, jax.random.key(3), jax.random.key(4))
    )
    for varied in (one, other):
        np.testing.assert_allclose(varied.faces[0], recorded.faces[0], atol=1e-5)
        assert float(jnp.abs(varied.sounds - recorded.sounds).max()) > 1e-3
    assert float(jnp.abs(one.sounds - other.sounds).max()) > 1e-3

    contrast = jax.jit(lambda key: training.loss(params, model_vars, batch, key).terms["contrast"])
    assert not np.allclose(*(contrast(jax.random.key(seed)) for seed in (3, 4)), atol=1e-5)
