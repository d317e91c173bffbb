"""IR-SE-50 and ArcFace: sizes, counts, what ArcFace is shown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from talkjax.nets.ir_se50 import ArcFace, IrSe50, PReLU, adaptive_average, face_crop
from talkjax.ops.vectors import cosine

NARROW = ((16, 1), (16, 1), (16, 2), (32, 1))


def shapes(net, *shape, **options):
    spec = jax.ShapeDtypeStruct(shape, jnp.float32)
    init = lambda x: net.init_with_output(jax.random.key(0), x, **options)  # noqa: E731
    return jax.eval_shape(init, spec)


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_arcface_has_the_published_number_of_parameters():
    # "Total params: 43,797,696" by the authors' code: model_ir_se50.pth
    embedding, variables = shapes(ArcFace(), 2, 112, 112, 3)
    assert embedding.shape == (2, 512)
    assert count(variables["params"]) == 43_797_696
    assert variables["params"]["linear"]["kernel"].shape == (512 * 7 * 7, 512)


def test_the_backbone_gives_three_maps_and_only_stages_that_widen_have_a_shortcut_layer():
    maps, variables = shapes(IrSe50(), 1, 256, 256, 3, train=False)
    assert [m.shape[1:] for m in maps] == [(64, 64, 128), (32, 32, 256), (16, 16, 512)]
    units = {k: v for k, v in variables["params"].items() if k.startswith("unit_")}
    assert len(units) == 24
    assert {k for k, v in units.items() if "shortcut_conv" in v} == {"unit_3", "unit_7", "unit_21"}


def test_an_embedding_has_unit_length_and_equal_faces_agree():
    faces = jax.random.uniform(jax.random.key(0), (1, 112, 112, 3), minval=-1)
    net = ArcFace(width=24, stages=NARROW)
    variables = net.init(jax.random.key(1), faces)
    unit = net.apply(variables, jnp.concatenate([faces, faces, -faces]))
    np.testing.assert_allclose(jnp.linalg.norm(unit, axis=1), 1.0, rtol=1e-5)
    assert cosine(unit[:1], unit[1:2]) == pytest.approx(1.0, abs=1e-5)
    assert cosine(unit[:1], unit[2:]) < 0.999


def test_a_face_of_another_size_is_an_error_that_names_the_remedy():
    with pytest.raises(ValueError, match=r"256x256, want 112x112; see face_crop"):
        shapes(ArcFace(), 1, 256, 256, 3)


def test_prelu_has_a_slope_for_each_channel():
    x = jnp.array([-2.0, -2.0, 3.0, 3.0]).reshape(1, 1, 2, 2)
    got = PReLU().apply({"params": {"slope": jnp.array([0.5, -1.0])}}, x)
    np.testing.assert_array_equal(got.ravel(), [-1.0, 2.0, 3.0, 3.0])


def test_cells_overlap_where_the_sizes_do_not_divide():
    # torch.nn.AdaptiveAvgPool2d on 5 -> 3: cells [0, 2), [1, 4), [3, 5)
    picture = jnp.arange(5.0).reshape(1, 1, 5, 1) * jnp.ones((1, 5, 1, 1))
    got = adaptive_average(picture, 3)
    np.testing.assert_allclose(got[0, 0, :, 0], [0.5, 2.0, 3.5], rtol=1e-6)
    assert got.shape == (1, 3, 3, 1)


def test_the_face_crop_is_rows_35_to_222_and_columns_32_to_219():
    picture = np.zeros((1, 256, 256, 3), np.float32)
    picture[:, 35:223, 32:220] = 1.0
    np.testing.assert_allclose(face_crop(picture), 1.0, rtol=1e-5)
    for rows, columns in ((slice(35, 36), slice(None)), (slice(None), slice(219, 220))):
        edge = np.zeros_like(picture)
        edge[:, rows, columns] = 1.0
        assert np.asarray(face_crop(edge)).max() > 0.4
    for rows, columns in ((slice(0, 35), slice(None)), (slice(None), slice(220, 256))):
        outside = np.zeros_like(picture)
        outside[:, rows, columns] = 1.0
        assert not np.asarray(face_crop(outside)).any()


def test_a_larger_picture_is_first_averaged_to_256_px():
    small = np.random.default_rng(0).standard_normal((1, 256, 256, 3)).astype(np.float32)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(face_crop(large), face_crop(small), rtol=0, atol=1e-5)


def test_gradients_reach_the_picture_and_every_parameter():
    faces = jax.random.uniform(jax.random.key(0), (2, 112, 112, 3), minval=-1)
    net = ArcFace(width=24, stages=NARROW)
    variables = net.init(jax.random.key(1), faces)

    def loss(params, faces):
        unit = net.apply({**variables, "params": params}, faces)
        return 1.0 - cosine(unit[:1], jax.lax.stop_gradient(unit[1:])).sum()

    of_params, of_faces = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables["params"], faces)
    still = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(of_params)
        if not jnp.any(leaf != 0)
    ]
    # The ReLU inside the gates of so narrow a net may be shut.
    assert [name for name in still if "squeeze" not in name and "excite" not in name] == []
    assert jnp.any(of_faces[0] != 0) and not jnp.any(of_faces[1] != 0)
