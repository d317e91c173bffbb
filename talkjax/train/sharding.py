"""Where arrays live: the mesh, and one placement for every leaf of the state.

Placements come from an ordered list of (regex, spec) in the config. The first regex that is
found in a leaf's path ("params/gen/conv1/kernel", "opt_state/gen/0/mu/conv1/kernel") decides; a
leaf without a rule is an error. Batches are split over the axes named in BATCH_AXES. The
compiler (GSPMD) does the rest: no loss or net names an axis.
"""

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from talkjax.arrays import Batch, Tree
from talkjax.errors import UserError

BATCH_AXES = ("data", "fsdp")
# Ordered pairs of a regex and a spec, one entry per dimension: an axis, several, or None.
Rules = Sequence[Sequence[Any]]


def initialize_distributed(*, multihost: bool) -> None:
    """Joins the other processes when asked to; must run before anything touches a device.

    On TPU pods, Slurm and Open MPI JAX finds the coordinator itself. Elsewhere (GKE with GPUs,
    by hand) TALKJAX_COORDINATOR ("host:port"), TALKJAX_NUM_PROCESSES and TALKJAX_PROCESS_ID say.
    """
    if not multihost:
        return
    if "TALKJAX_COORDINATOR" in os.environ:
        jax.distributed.initialize(
            os.environ["TALKJAX_COORDINATOR"],
            int(os.environ["TALKJAX_NUM_PROCESSES"]),
            int(os.environ["TALKJAX_PROCESS_ID"]),
        )
    else:
        jax.distributed.initialize()


def make_mesh(
    axes: Sequence[str], shape: Sequence[int], *, devices: Sequence[Any] | None = None
) -> Mesh:
    """The named mesh of config.mesh; one -1 in `shape` takes what is left of the devices.

    A shape that multiplies to fewer devices than there are takes the first ones (one process
    only).

    Raises:
      UserError: if axes and shape do not fit each other or the devices.
    """
    devices = list(jax.devices() if devices is None else devices)
    shape = [int(side) for side in shape]
    fixed = math.prod(side for side in shape if side != -1)
    if len(axes) != len(shape) or shape.count(-1) > 1 or fixed < 1:
        raise UserError(
            f"config.mesh: axes {list(axes)} and shape {shape} do not fit; "
            "give one size per axis, at most one of them -1"
        )
    if -1 in shape:
        shape[shape.index(-1)] = len(devices) // fixed
    count = math.prod(shape)
    spare = len(devices) - count
    if count < 1 or spare < 0 or (spare and jax.process_count() > 1):
        raise UserError(
            f"config.mesh.shape {shape} wants {count} devices, there are {len(devices)}; "
            "change config.mesh.shape (-1 takes what is left)"
        )
    array = np.asarray(devices[:count]).reshape(shape)
    return Mesh(array, tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def replicated(mesh: Mesh) -> NamedSharding:
    """The placement of a value that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The placement of a batch: its first dimension over the data axes of the mesh."""
    axes = tuple(axis for axis in mesh.axis_names if axis in BATCH_AXES)
    if not axes:
        raise UserError(
            f"config.mesh.axes {list(mesh.axis_names)} has none of {list(BATCH_AXES)}, "
            "over which batches are split"
        )
    return NamedSharding(mesh, PartitionSpec(axes))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the sharding table."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    spec: PartitionSpec
    rule: str


def leaf_path(path: Sequence[Any]) -> str:
    """A key path as "params/gen/conv1/kernel"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def sharding_table(tree: Tree, rules: Rules, mesh: Mesh) -> list[Row]:
    """The placement of each leaf of an abstract or concrete tree, in the tree's order.

    Raises:
      UserError: listing every leaf that no rule matches, or that its spec does not fit.
    """
    rows, wrong = [], []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = leaf_path(path)
        rule = next((rule for rule in rules if re.search(rule[0], name)), None)
        if rule is None:
            wrong.append(f"{name}{list(leaf.shape)}: no rule")
            continue
        spec = PartitionSpec(*(tuple(a) if isinstance(a, list) else a for a in rule[1]))
        problem = _misfit(spec, leaf.shape, mesh)
        if problem:
            wrong.append(f"{name}{list(leaf.shape)}: {rule[0]!r} {problem}")
        rows.append(Row(name, tuple(leaf.shape), str(leaf.dtype), spec, rule[0]))
    if wrong:
        raise UserError("config.sharding_rules: " + "; ".join(wrong))
    return rows


def _misfit(spec: PartitionSpec, shape: tuple[int, ...], mesh: Mesh) -> str:
    if len(spec) > len(shape):
        return f"has {len(spec)} entries for {len(shape)} dimensions"
    for side, axes in zip(shape, spec, strict=False):
        names = () if axes is None else (axes,) if isinstance(axes, str) else axes
        unknown = sorted(set(names) - set(mesh.axis_names))
        if unknown:
            return f"names axes {unknown}, the mesh has {list(mesh.axis_names)}"
        parts = math.prod(mesh.shape[axis] for axis in names)
        if side % parts:
            return f"splits {side} into {parts} parts"
    return ""


def state_shardings(tree: Tree, rules: Rules, mesh: Mesh) -> Tree:
    """`sharding_table` as a tree of NamedSharding."""
    rows = sharding_table(tree, rules, mesh)
    return jax.tree.unflatten(
        jax.tree.structure(tree), [NamedSharding(mesh, row.spec) for row in rows]
    )


def put_whole(tree: Tree, places: Tree) -> Tree:
    """Host arrays that every process has whole, placed; `places` may be one for all leaves."""

    def put(leaf: Any, place: NamedSharding) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, place, lambda index: array[index])

    if isinstance(places, NamedSharding):
        return jax.tree.map(lambda leaf: put(leaf, places), tree)
    return jax.tree.map(put, tree, places)


def put_batch(batch: Mapping[str, np.ndarray], sharding: NamedSharding) -> Batch:
    """This process's part of a batch as global device arrays.

    Raises:
      UserError: if the batch does not divide over the devices.
    """
    axes = [axis for axis in sharding.mesh.axis_names if axis in BATCH_AXES]
    parts = math.prod(sharding.mesh.shape[axis] for axis in axes)
    for name, array in batch.items():
        global_size = array.shape[0] * jax.process_count()
        if global_size % parts:
            raise UserError(
                f"batch {name}: {global_size} examples do not divide over {parts} devices; "
                "change config.data.batch_size or config.mesh"
            )
    # With several processes JAX counts this transfer, the one we mean, as an implicit one.
    with jax.transfer_guard_host_to_device("allow"):
        return {
            name: jax.make_array_from_process_local_data(sharding, np.asarray(array))
            for name, array in batch.items()
        }
