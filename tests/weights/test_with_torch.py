"""Files that PyTorch itself has written; skipped where PyTorch is not installed (extra `torch`)."""

import pickle
import sys
import types
from argparse import Namespace
from collections import OrderedDict

import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.weights import states, torch_file
from tests.weights.toy_files import CASES, LARGE, StateDict, Tree, check_import

torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for this test alone")
PARAMETERS = ("weight", "bias", "const", "noise_strength")


def content():
    """What training scripts save: nets, optimizers, settings, and every dtype."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    base = torch.arange(24.0).reshape(4, 6)
    odd = OrderedDict(
        transposed=base.t(),
        every_second=base[1:3, ::2],
        expanded=torch.ones(1).expand(5),
        empty=torch.zeros(0, 3),
        scalar=torch.tensor(7),
        parameter=torch.nn.Parameter(torch.ones(3)),
        half=torch.tensor([1.5, 65504.0], dtype=torch.half),
        bfloat16=torch.tensor([1.5, -2, 3e38], dtype=torch.bfloat16),
        double=torch.tensor([1e300], dtype=torch.double),
        uint8=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
    )
    return {
        "state_dict": net.state_dict(),
        "odd": odd,
        "optimizer": optimizer.state_dict(),
        "args": Namespace(lr=0.1),
        "loss": np.float64(3.0),
        "size": torch.Size([1, 2]),
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "epoch": 3,
    }


def check(found, saved):
    for entry in ("state_dict", "odd"):
        assert list(found[entry]) == list(saved[entry])
        for key, tensor in saved[entry].items():
            tensor = tensor.detach()
            wanted = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
            array = found[entry][key].numpy()
            array = array.astype(np.float32) if tensor.dtype == torch.bfloat16 else array
            assert array.shape == tuple(tensor.shape) and array.dtype == wanted.numpy().dtype
            np.testing.assert_array_equal(array, wanted.numpy(), err_msg=key)
    assert found["epoch"] == 3 and found["loss"] == 3.0 and found["size"] == (1, 2)
    assert found["args"].state == {"lr": 0.1}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_zip_archives(tmp_path, protocol):
    saved = content()
    torch.save(saved, tmp_path / "a.pth", pickle_protocol=protocol)
    read = torch_file.read(tmp_path / "a.pth")
    assert read.form == "torch zip"
    check(read.content, saved)


def test_the_format_before_1_6(tmp_path):
    saved = content()
    torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    read = torch_file.read(tmp_path / "a.pth")
    assert read.form == "torch legacy"
    check(read.content, saved)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_pickles_of_tensors(tmp_path, protocol):
    saved = content()
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(saved, protocol=protocol))
    read = torch_file.read(tmp_path / "a.pkl")
    assert read.form == "pickle"
    check(read.content, saved)


def test_dtypes_without_a_storage_class(tmp_path):
    saved = {
        "uint16": torch.tensor([5, 65535], dtype=torch.uint16),
        "float8": torch.tensor([1.5, -0.25], dtype=torch.float8_e4m3fn),
    }
    torch.save(saved, tmp_path / "a.pth")
    found = torch_file.read(tmp_path / "a.pth").content
    np.testing.assert_array_equal(found["uint16"].numpy(), [5, 65535])
    np.testing.assert_array_equal(states.as_array(found["float8"], where="float8"), [1.5, -0.25])


def test_a_whole_module_of_torch_is_its_state_dict(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(net, tmp_path / "a.pth")
    found = states.entries(torch_file.read(tmp_path / "a.pth").content, where="a.pth")
    state = states.arrays(found[""], where="a.pth")
    assert set(state) == set(net.state_dict())
    np.testing.assert_array_equal(state["0.weight"], net.state_dict()["0.weight"].numpy())


class Own(torch.nn.Module):
    """Of a module that the reader does not know."""


def test_a_whole_module_of_somebody_elses_is_refused(tmp_path):
    torch.save(Own(), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"names .*Own.*state_dicts"):
        torch_file.read(tmp_path / "a.pth")


@pytest.mark.filterwarnings("ignore:.*torch.jit")  # deprecated, by one class or another
def test_torchscript_is_named(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "a.pt")
    with pytest.raises(UserError, match="is a TorchScript program"):
        torch_file.read(tmp_path / "a.pt")


def tensor(array):
    """An array as a tensor; what is alike along an axis is stored once."""
    alike = array.ndim and 0 in array.strides
    first = tuple(slice(None) if step else slice(0, 1) for step in array.strides)
    return torch.tensor(array[first]).expand(array.shape) if alike else torch.tensor(array)


class Persistent(torch.nn.Module):
    """Pickled as NVIDIA's classes are: its state, and the source of the class, by one function."""

    def __reduce__(self):
        meta = sys.modules["dnnlib.util"].EasyDict(
            type="class",
            version=6,
            module_src="raise SystemExit('the embedded source was run')",
            class_name="Module",
            state=self.__dict__,
        )
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


@pytest.fixture
def nvidia_names(monkeypatch):
    """The two names that NVIDIA's pickles hold, as modules."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("a pickle was executed")

    class EasyDict(dict):
        __module__ = "dnnlib.util"

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    EasyDict.__qualname__ = "EasyDict"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    util.EasyDict = EasyDict
    for module in (persistence, util):
        package = types.ModuleType(module.__name__.partition(".")[0])
        monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, module.__name__, module)


def tree(state):
    """PyTorch's modules, nested as the keys are."""
    module, children = Persistent(), {}
    for key, array in state.items():
        name, dot, rest = key.partition(".")
        if dot:
            children.setdefault(name, {})[rest] = array
        elif name in PARAMETERS:
            module.register_parameter(name, torch.nn.Parameter(tensor(array)))
        else:
            module.register_buffer(name, tensor(array))
    for name, child in children.items():
        module.add_module(name, tree(child))
    return module


def as_saved(content):
    if isinstance(content, np.ndarray):
        return tensor(content)
    if isinstance(content, Tree):
        return tree(content)
    if isinstance(content, dict):
        kind = OrderedDict if isinstance(content, StateDict) else dict
        return kind((key, as_saved(value)) for key, value in content.items())
    return content


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in CASES]
)
def test_every_kind_is_imported_by_the_command(name, tmp_path, capsys, nvidia_names):
    case = CASES[name]()
    saved, path = as_saved(case.content), tmp_path / "weights.pth"
    if case.pickled:
        path.write_bytes(pickle.dumps(saved))
    else:
        torch.save(saved, path)
    form = "pickle" if case.pickled else "torch zip"
    check_import(case, path, tmp_path / "out", capsys, form=form)


@pytest.mark.parametrize("name", ["wav2lip-expert", "syncnet", "stylegan2-rosinality"])
def test_files_of_pytorch_before_1_6_are_imported_by_the_command(name, tmp_path, capsys):
    case = CASES[name]()
    path = tmp_path / "weights.pth"
    torch.save(as_saved(case.content), path, _use_new_zipfile_serialization=False)
    check_import(case, path, tmp_path / "out", capsys, form="torch legacy")
