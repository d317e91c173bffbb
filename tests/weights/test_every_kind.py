"""Every kind of public weights through `talkjax import-weights`, from files without PyTorch."""

import numpy as np
import pytest

from tests.weights import torch_writer
from tests.weights.torch_writer import View, module
from tests.weights.toy_files import CASES, LARGE, StateDict, Tree, check_import


def as_view(array):
    """An array as a tensor of the file; what is alike along an axis stays small there."""
    if array.ndim == 0 or 0 not in array.strides:
        return np.ascontiguousarray(array).reshape(array.shape)
    alike = [not step for step in array.strides]
    base = np.ascontiguousarray(array[tuple(slice(0, 1) if one else slice(None) for one in alike)])
    steps = [
        0 if one else step // base.itemsize for one, step in zip(alike, base.strides, strict=True)
    ]
    return View(base.reshape(-1), 0, array.shape, tuple(steps))


def tree(state):
    """NVIDIA's modules, nested as the keys are."""
    own = {key: as_view(array) for key, array in state.items() if "." not in key}
    children = {}
    for key, array in state.items():
        name, dot, rest = key.partition(".")
        if dot:
            children.setdefault(name, {})[rest] = array
    nested = {name: tree(child) for name, child in children.items()}
    return module("Module", buffers=own, children=nested)


def writable(content):
    if isinstance(content, np.ndarray):
        return as_view(content)
    if isinstance(content, Tree):
        return tree(content)
    if isinstance(content, StateDict):
        return torch_writer.ordered({key: as_view(array) for key, array in content.items()})
    if isinstance(content, dict):
        return {key: writable(value) for key, value in content.items()}
    return content


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in CASES]
)
def test_values_and_manifest_are_those_of_the_file(name, tmp_path, capsys):
    case = CASES[name]()
    path = tmp_path / "weights.pth"
    write = torch_writer.write_pickle if case.pickled else torch_writer.write_zip
    write(path, writable(case.content))
    form = "pickle" if case.pickled else "torch zip"
    check_import(case, path, tmp_path / "out", capsys, form=form)
