"""Which state dicts lie in a file of weights, and everything else that lies beside them."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from talkjax.errors import UserError
from talkjax.weights.inert_pickle import Damaged, Inert, shown
from talkjax.weights.tensors import Tensor
from talkjax.weights.torch_names import ArrayOfNumpy

PREFIX = "module."
OPTIMIZER = "optim"
# Deeper and larger trees of modules than any net has, and longer names.
MAX_DEPTH = 100
MAX_MODULES, MAX_TENSORS = 10_000, 100_000
MAX_NAME_LENGTH = 1000
# Many keys may name the same few bytes, but not to fill the memory. The weights of a net that are
# all alike (tests') fit into this.
MAX_REPEATED_BYTES = 2**28
FLOAT32_BYTES = 4
NOT_SAVED = "a buffer that PyTorch does not save (non-persistent)"
LISTED = 8


@dataclasses.dataclass(frozen=True)
class Picked:
    """What a kind of weights finds in a file.

    Attributes:
      states: {part: {key: array}}, floats as float32, "module." stripped; {} for an optional
        part that is not there.
      extras: tensors (as arrays), settings and numbers that lie beside them, of those asked for.
      ignored: {entry of the file: why it is left out}.
    """

    states: dict[str, dict[str, np.ndarray]]
    extras: dict[str, Any]
    ignored: dict[str, str]


class ModuleState(dict):
    """The state dict of a tree of modules.

    Attributes:
      unsaved: keys of its non-persistent buffers, which are no part of the state.
    """

    unsaved: tuple[str, ...] = ()


def is_tensor(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic, ArrayOfNumpy))


def is_state(value: Any) -> bool:
    """Whether it is a flat dict of tensors under names."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(key, str) and is_tensor(leaf) for key, leaf in value.items())
    )


def entries(content: Any, *, where: str) -> dict[str, Any]:
    """A file's content as {entry: state dict or something else}; a bare state dict is "".

    Trees of modules, as NVIDIA's pickles hold them, become state dicts.

    Raises:
      UserError: if it is no such file.
    """
    if is_state(content):
        return {"": content}
    if isinstance(content, Inert) and _is_module(content):
        return {"": module_state(content, where=where)}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(
            f"{where}: holds {_described(content)}, want a state_dict or a dict of them; save the "
            "net's state_dict() with PyTorch"
        )
    found, tensors = {}, 0
    for name, value in content.items():
        module = isinstance(value, Inert) and _is_module(value)
        found[name] = module_state(value, where=where) if module else value
        tensors += len(found[name]) if module else 0
        if tensors > MAX_TENSORS:  # of one tree under many names
            raise UserError(f"{where}: its modules have no end; get the file again")
    return found


def module_state(module: Inert, *, where: str) -> ModuleState:
    """The state dict of a pickled tree of modules, read from what it was to be filled with.

    Raises:
      UserError: if the tree is damaged.
    """
    found, unsaved = ModuleState(), []
    waiting: list[tuple[str, Any, int]] = [("", module, 0)]
    looked_at = 0
    while waiting:
        prefix, node, depth = waiting.pop()
        looked_at += 1
        # The same module may stand twice in another, and that one twice again, and so on.
        if (
            depth > MAX_DEPTH
            or max(looked_at, len(waiting)) > MAX_MODULES
            or len(found) + len(unsaved) > MAX_TENSORS
        ):
            raise UserError(f"{where}: its modules have no end; get the file again")
        if not (isinstance(node, Inert) and _is_module(node)):
            raise UserError(f"{where}: {shown(prefix)}: holds no module; get the file again")
        passing = node.state.get("_non_persistent_buffers_set")
        for group in ("_parameters", "_buffers"):
            for name, value in _dict_of(node.state, group, where=where).items():
                if value is None:
                    continue
                key = _joined(prefix, name, where=where)
                if group == "_buffers" and isinstance(passing, set) and name in passing:
                    unsaved.append(key)
                else:
                    found[key] = value
        for name, child in _dict_of(node.state, "_modules", where=where).items():
            if child is not None:
                waiting.append((f"{_joined(prefix, name, where=where)}.", child, depth + 1))
    found.unsaved = tuple(unsaved)
    return found


def check_sizes(found: Mapping[str, Any], *, file_bytes: int, where: str) -> None:
    """Raises UserError if the arrays of a file would take far more memory than the file.

    A tensor may repeat one value (stride 0), many tensors may share their bytes, and the same
    one may stand under many keys; so all keys are counted before the first array is made.

    Args:
      found: the file's entries, of `entries`.
      file_bytes: size of the file.
      where: the file, for error messages.
    """
    leaves = (
        leaf
        for value in found.values()
        for leaf in (value.values() if isinstance(value, dict) else [value])
    )
    wanted = sum(_memory_bytes(leaf) for leaf in leaves)
    # Values of one byte become float32.
    most = FLOAT32_BYTES * file_bytes + MAX_REPEATED_BYTES
    if wanted > most:
        raise UserError(
            f"{where}: its tensors take {wanted:,} bytes of memory, made of {file_bytes:,} in the "
            f"file, want at most {most:,}; no net is, get the file again"
        )


def pick(
    found: Mapping[str, Any],
    *,
    parts: Mapping[str, tuple[str, ...]],
    optional: tuple[str, ...],
    extras: tuple[str, ...],
    left_out: Mapping[str, str],
    where: str,
) -> Picked:
    """The state dicts that a kind wants, and an account of everything else.

    Args:
      found: of `entries`.
      parts: {part: the entries that may hold it, the first one there is taken}.
      optional: parts that may be missing.
      extras: entries to hand over beside them.
      left_out: {entry: why it is not wanted}.
      where: the file, for error messages.

    Raises:
      UserError: if a part is missing or no state dict, or an entry with tensors is unknown.
    """
    states, used, ignored = {}, {name for name in extras if found.get(name) is not None}, {}
    for part, names in parts.items():
        here = [name for name in names if found.get(name) is not None]
        states[part] = {}
        if not here and part not in optional:
            raise UserError(
                f"{where}: has the entries {listed(found)}, want {' or '.join(names) or 'a dict'} "
                f"for the {part}; check KIND"
            )
        if here:
            used.add(here[0])
            label = f"{where}: {here[0]}" if here[0] else where
            states[part] = arrays(found[here[0]], where=label)
            ignored |= dict.fromkeys(getattr(found[here[0]], "unsaved", ()), NOT_SAVED)
    for name, value in found.items():
        if name not in used:
            ignored[name] = _reason(name, value, left_out, where=where)
    beside = {
        name: _extra(found[name], where=f"{where}: {name}")
        for name in extras
        if found.get(name) is not None
    }
    return Picked(states, beside, ignored)


def arrays(state: Any, *, where: str) -> dict[str, np.ndarray]:
    """A state dict as arrays; floats of all widths as float32.

    Raises:
      UserError: if it is none, names a key twice, or holds values that are not finite.
    """
    if not is_state(state):
        raise UserError(f"{where}: is no state_dict of tensors; check KIND and the file")
    found: dict[str, np.ndarray] = {}
    for key, value in state.items():
        bare = key.removeprefix(PREFIX)
        if bare in found:
            raise UserError(
                f"{where}: has the key {shown(bare)} with and without {PREFIX}, want it once; save "
                "the state_dict() of one net"
            )
        found[bare] = as_array(value, where=f"{where}: {shown(bare)}")
        if found[bare].dtype.kind == "f" and not np.isfinite(found[bare]).all():
            raise UserError(
                f"{where}: {shown(bare)} holds values that are not finite as float32; the training "
                "had failed, or the file is damaged: take an earlier checkpoint, or get it again"
            )
    return found


def as_array(value: Any, *, where: str) -> np.ndarray:
    """A tensor of the file; floats of all widths, PyTorch's own included, as float32.

    Raises:
      UserError: if it is damaged.
    """
    if isinstance(value, Tensor):
        array = value.numpy()
    elif isinstance(value, ArrayOfNumpy):
        try:
            array = value.as_array()
        except Damaged as error:
            raise UserError(f"{where}: is damaged ({error}); get the file again") from None
    else:
        array = np.asarray(value)
    # bfloat16 and the 8-bit floats are not of kind "f". What float32 cannot hold becomes infinite.
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if array.dtype.kind in "fV" else array


def listed(names: Iterable[str]) -> str:
    """Names for a message: the first few."""
    names = [shown(name) or "(one state_dict)" for name in names]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more if names else "nothing"


def holds_tensors(value: Any) -> bool:
    """Whether there is a tensor of more than one value anywhere in it."""
    return any(_size(leaf) > 1 for leaf in _leaves(value))


def _size(leaf: Any) -> int:
    if isinstance(leaf, Tensor):
        return math.prod(leaf.shape)
    if isinstance(leaf, ArrayOfNumpy):
        return leaf.count()
    return leaf.size if isinstance(leaf, np.ndarray) else 0


def _memory_bytes(leaf: Any) -> int:
    """What `as_array` needs for a tensor; 0 for what is none."""
    item = leaf.dtype.itemsize if isinstance(leaf, (Tensor, np.ndarray)) else 1
    stored = leaf.stored_bytes() if isinstance(leaf, ArrayOfNumpy) else 0
    return max(stored, _size(leaf) * max(item, FLOAT32_BYTES))


def _leaves(value: Any) -> Iterator[Any]:
    waiting, seen = [value], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, (dict, list, tuple, Inert)):
            if id(node) in seen:  # the same object may stand in many places, or in itself
                continue
            seen.add(id(node))
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, (list, tuple)):
            waiting.extend(node)
        elif isinstance(node, Inert) and not isinstance(node, ArrayOfNumpy):
            waiting.extend([node.args, node.state])
        else:
            yield node


def _reason(name: str, value: Any, left_out: Mapping[str, str], *, where: str) -> str:
    if value is None:
        return "empty"
    if name in left_out:
        return left_out[name]
    if OPTIMIZER in name.lower():
        return "state of an optimizer"
    if holds_tensors(value):
        raise UserError(
            f"{where}: its entry {shown(name)} holds tensors that nothing here uses; check KIND, "
            f"or leave it out with --ignore {shown(name)}"
        )
    return "progress or settings of the training script"


def _extra(value: Any, *, where: str) -> Any:
    if is_tensor(value):
        return as_array(value, where=where)
    if isinstance(value, Inert):
        return value.state if isinstance(value.state, dict) else {}
    return value


def _described(content: Any) -> str:
    if isinstance(content, dict):
        return "a dict whose keys are not all text"
    return f"a {shown(content.name) if isinstance(content, Inert) else type(content).__name__}"


def _is_module(value: Inert) -> bool:
    return isinstance(value.state, dict) and {"_parameters", "_modules"} <= set(value.state)


def _joined(prefix: str, name: Any, *, where: str) -> str:
    """A key. A name of a megabyte costs a file that only once, and us for each key with it."""
    if not isinstance(name, str) or len(prefix) + len(name) > MAX_NAME_LENGTH:
        raise UserError(
            f"{where}: {shown(prefix)}: holds something under the name {shown(name)}, want text "
            f"and at most {MAX_NAME_LENGTH} letters; get the file again"
        )
    return f"{prefix}{name}"


def _dict_of(state: Mapping[str, Any], name: str, *, where: str) -> dict[Any, Any]:
    found = state.get(name, {})
    if not isinstance(found, dict):
        raise UserError(f"{where}: {name} of a module is no dict; get the file again")
    return found
