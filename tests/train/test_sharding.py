import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from talkjax.errors import UserError
from talkjax.train import sharding

TREE = {
    "gen": {"kernel": jax.ShapeDtypeStruct((8, 4), jnp.float32)},
    "step": jax.ShapeDtypeStruct((), jnp.int32),
}


def test_minus_one_takes_what_is_left():
    mesh = sharding.make_mesh(["data", "fsdp"], [-1, 2])
    assert dict(mesh.shape) == {"data": 4, "fsdp": 2}
    assert mesh.axis_types == (AxisType.Auto, AxisType.Auto)


@pytest.mark.parametrize("shape", [[-1, -1], [16, 1], [4], [0, 1], [-1, 16]])
def test_shapes_that_do_not_fit_raise(shape):
    with pytest.raises(UserError, match=r"config\.mesh"):
        sharding.make_mesh(["data", "fsdp"], shape)


def test_first_matching_rule_decides():
    mesh = sharding.make_mesh(["data", "fsdp"], [4, 2])
    rules = [["kernel$", ["fsdp"]], [".*", []]]
    rows = {row.path: row for row in sharding.sharding_table(TREE, rules, mesh)}
    assert rows["gen/kernel"].spec == PartitionSpec("fsdp")
    assert rows["gen/kernel"].rule == "kernel$"
    assert rows["step"].spec == PartitionSpec()


def test_a_leaf_without_a_rule_raises_by_name():
    mesh = sharding.make_mesh(["data"], [-1])
    with pytest.raises(UserError, match=r"step\[\]: no rule"):
        sharding.sharding_table(TREE, [["kernel", []]], mesh)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ([None, "data"], "splits 4 into 8"),
        (["model"], "names axes"),
        ([None, None, None], "3 entries for 2"),
    ],
)
def test_specs_that_do_not_fit_raise(spec, problem):
    mesh = sharding.make_mesh(["data"], [-1])
    with pytest.raises(UserError, match=problem):
        sharding.sharding_table(TREE, [["kernel", spec], [".*", []]], mesh)


def test_batches_are_split_over_the_devices():
    mesh = sharding.make_mesh(["data"], [-1])
    array = np.arange(16, dtype=np.float32)
    put = sharding.put_batch({"x": array}, sharding.batch_sharding(mesh))["x"]
    assert np.array_equal(np.asarray(put), array)
    assert [shard.data.shape for shard in put.addressable_shards] == [(2,)] * 8


def test_a_batch_that_does_not_divide_raises_by_name():
    mesh = sharding.make_mesh(["data"], [-1])
    with pytest.raises(UserError, match="batch x: 12 examples do not divide over 8"):
        sharding.put_batch({"x": np.zeros(12)}, sharding.batch_sharding(mesh))
