"""Files of weights: every form and dtype read back, and one clear line for what is none."""

import json
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.weights import torch_file
from talkjax.weights.tensors import Tensor
from tests.weights import torch_writer
from tests.weights.torch_writer import Call, Name, Parameter, Persistent, View, Writer

ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "float64": np.array([1e300, -2.0]),
    "float16": np.array([1.5, 65504], np.float16),
    "bfloat16": np.array([1.5, 3e38, -0.0078125], ml_dtypes.bfloat16),
    "int64": np.array([2**62, -1]),
    "int32": np.array([[2**31 - 1]], np.int32),
    "int16": np.array([-32768], np.int16),
    "int8": np.array([-128, 127], np.int8),
    "uint8": np.array([0, 255], np.uint8),
    "bool": np.array([True, False]),
    "scalar": np.asarray(7),
    "empty": np.zeros((0, 3), np.float32),
}
FORMS = {
    "torch zip": torch_writer.write_zip,
    "torch legacy": torch_writer.write_legacy,
    "pickle": torch_writer.write_pickle,
}


def check_equal(found, wanted):
    assert isinstance(found, Tensor)
    array = found.numpy()
    assert array.dtype == wanted.dtype
    np.testing.assert_array_equal(array, wanted)
    assert array.shape == wanted.shape


@pytest.mark.parametrize("form", FORMS)
def test_every_dtype_and_shape_is_read_from_every_form(form, tmp_path):
    content = {
        "state_dict": torch_writer.ordered(ARRAYS),
        "nested": [{"a": (1, Parameter(ARRAYS["float32"]))}],
        "epoch": 3,
    }
    read = torch_file.read(FORMS[form](tmp_path / "weights.pth", content))
    assert read.form == form
    assert list(read.content["state_dict"]) == list(ARRAYS)
    for name, array in ARRAYS.items():
        check_equal(read.content["state_dict"][name], array)
    check_equal(read.content["nested"][0]["a"][1], ARRAYS["float32"])
    assert read.content["epoch"] == 3


@pytest.mark.parametrize("form", ["torch zip", "torch legacy"])
def test_strided_and_shared_tensors_are_views_of_one_storage(form, tmp_path):
    base = np.arange(24, dtype=np.float32)
    content = {
        "transposed": View(base, 0, (6, 4), (1, 6)),
        "every_second": View(base, 1, (3,), (2,)),
        "repeated": View(base, 5, (2, 4), (0, 0)),
        "last": View(base, 23, (1,), (1,)),
    }
    found = torch_file.read(FORMS[form](tmp_path / "weights.pth", content)).content
    check_equal(found["transposed"], base.reshape(4, 6).T)
    check_equal(found["every_second"], base[1:7:2])
    check_equal(found["repeated"], np.full((2, 4), 5, np.float32))
    check_equal(found["last"], base[-1:])
    assert found["last"].storage is found["transposed"].storage


def test_big_endian_archives_are_read(tmp_path):
    path = tmp_path / "weights.pth"
    torch_writer.write_zip(path, dict(ARRAYS), byte_order="big")
    found = torch_file.read(path).content
    for name, array in ARRAYS.items():
        check_equal(found[name], array)


def test_archives_from_before_the_byte_order_was_noted_are_read(tmp_path):
    path = tmp_path / "weights.pth"
    torch_writer.write_zip(path, {"a": ARRAYS["float32"]}, drop=("byteorder",))
    check_equal(torch_file.read(path).content["a"], ARRAYS["float32"])


def test_a_tensor_of_an_untyped_storage_has_the_type_it_is_rebuilt_with(tmp_path):
    """PyTorch's form for dtypes that have no storage class."""
    data = np.arange(8, dtype=np.uint8)
    storage = Persistent(("storage", Name("torch", "UntypedStorage"), "0", "cpu", 8))
    name = Name("torch._utils", "_rebuild_tensor_v3")
    hooks = Call(Name("collections", "OrderedDict"))
    call = Call(name, storage, 0, (4,), (1,), False, hooks, Name("torch", "uint16"))
    # The writer's own tensor puts the storage into the archive.
    path = torch_writer.write_zip(tmp_path / "weights.pth", {"bytes": data, "a": call})
    check_equal(torch_file.read(path).content["a"], data.view(np.uint16))


def test_what_python_2_wrote_is_read(tmp_path):
    pairs = [["a", 1], ["b", ARRAYS["float32"]]]
    content = {"state_dict": Call(Name("collections", "OrderedDict"), pairs)}
    path = torch_writer.write_legacy(tmp_path / "weights.pth", content)
    found = torch_file.read(path).content["state_dict"]
    assert list(found) == ["a", "b"]
    check_equal(found["b"], ARRAYS["float32"])


def test_numpy_arrays_in_a_pickle_are_read(tmp_path):
    dtype = Call(
        Name("numpy", "dtype"), "f8", False, True, state=(3, "<", None, None, None, -1, -1, 0)
    )
    scalar = Call(Name("numpy.core.multiarray", "scalar"), dtype, struct.pack("<d", 2.5))
    array = Call(
        Name("numpy._core.multiarray", "_reconstruct"),
        Name("numpy", "ndarray"),
        (0,),
        b"b",
        state=(1, (2, 1), dtype, False, struct.pack("<dd", 1.0, 2.0)),
    )
    path = torch_writer.write_pickle(tmp_path / "x.pkl", {"scalar": scalar, "array": array})
    found = torch_file.read(path).content
    assert found["scalar"] == 2.5
    np.testing.assert_array_equal(found["array"].as_array(), [[1.0], [2.0]])


def test_npz_and_safetensors_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", **{"x.weight": ARRAYS["float32"]})
    read = torch_file.read(tmp_path / "a.npz")
    assert read.form == "npz"
    np.testing.assert_array_equal(read.content["x.weight"], ARRAYS["float32"])
    values = ARRAYS["float32"].tobytes() + ARRAYS["bfloat16"].tobytes()
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [3], "data_offsets": [24, 30]},
    }
    written = json.dumps(header).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(written)) + written + values)
    read = torch_file.read(path)
    assert read.form == "safetensors" and list(read.content) == ["a", "b"]
    check_equal(read.content["a"], ARRAYS["float32"])
    check_equal(read.content["b"], ARRAYS["bfloat16"])
    header["b"]["data_offsets"] = [24, 99]
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + values)
    with pytest.raises(UserError, match="its header is damaged"):
        torch_file.read(path)


def legacy_cut(path):
    path.write_bytes(torch_writer.legacy_bytes(dict(a=np.ones(50, np.float32)))[:-20])


def zip_cut(path):
    torch_writer.write_zip(path, dict(a=np.ones(50, np.float32)))
    path.write_bytes(path.read_bytes()[:-150])


def zip_hole(path):
    """One storage is missing."""
    torch_writer.write_zip(path, dict(a=np.ones(5, np.float32)), drop=("data/0",))


def zip_short(path):
    """A storage with fewer bytes than it says."""
    identity = ("storage", Name("torch", "FloatStorage"), "0", "cpu", 999)
    tensor = Call(Name("torch._utils", "_rebuild_tensor_v2"), Persistent(identity), 0, (1,), (1,))
    torch_writer.write_zip(path, {"a": np.ones(5, np.float32), "b": tensor})


def zip_deflated(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", Writer().dumps({"a": 1}))


def zip_other(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")


def script(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", Writer().dumps({}))
        archive.writestr("net/constants.pkl", Writer().dumps(()))


def zip_two(path):
    with zipfile.ZipFile(path, "w") as archive:
        for folder in ("a", "b"):
            archive.writestr(f"{folder}/data.pkl", Writer().dumps({}))


def two_saved(form):
    """A second object behind the first, as torch.save into one open file writes it."""

    def write(path):
        form(path, {"a": np.ones(5, np.float32)})
        path.write_bytes(2 * path.read_bytes())

    return write


def odd_order(path):
    torch_writer.write_zip(path, {}, byte_order="middle")


def view_of(offset, shape, strides):
    def write(path):
        torch_writer.write_zip(path, {"a": View(np.ones(6, np.float32), offset, shape, strides)})

    return write


def raw(data):
    return lambda path: path.write_bytes(data)


def pickle_of(value):
    return lambda path: path.write_bytes(Writer().dumps(value))


WRONG = {
    "empty": (raw(b""), "is empty"),
    "text": (raw(b"weights come here\n"), "starts with b'weights '"),
    "page": (raw(b"<!DOCTYPE html><html>Sign in"), "is a web page"),
    "pointer": (raw(b"version https://git-lfs.github.com/spec/v1\n"), "is a Git LFS pointer"),
    "hdf5": (raw(b"\x89HDF\r\n\x1a\n" + bytes(99)), "is an HDF5 file"),
    "half a zip": (zip_cut, "is a damaged or cut off zip archive"),
    "zip start": (raw(b"PK\x03\x04" + bytes(40)), "is a damaged or cut off zip archive"),
    "hole": (zip_hole, "data/0: is missing in the archive"),
    "short": (zip_short, "storage 0 of 999 values has 20 bytes"),
    "deflated": (zip_deflated, "data.pkl: is compressed or encrypted"),
    "document": (zip_other, "is a zip archive with 0 data.pkl, one in"),
    "two documents": (zip_two, "is a zip archive with 2 data.pkl, one in"),
    "two legacy": (two_saved(torch_writer.write_legacy), "holds [0-9,]+ bytes behind its end"),
    "two pickles": (two_saved(torch_writer.write_pickle), "holds [0-9,]+ bytes behind its end"),
    "script": (script, "is a TorchScript program"),
    "order": (odd_order, "has the byte order middle"),
    "half a legacy": (legacy_cut, "storage 0: is cut off or damaged"),
    "beyond": (view_of(1, (2, 3), (3, 1)), r"shape \(2, 3\) reaches beyond its 6 values"),
    "negative": (view_of(0, (2,), (-1,)), "a size of a tensor is -1"),
    "ranks": (view_of(0, (2,), (1, 1)), r"has shape \(2,\) and strides \(1, 1\)"),
    "bomb": (view_of(0, (2**20, 2**20), (0, 0)), "is made of 6 values"),
    "dimensions": (view_of(0, (1,) * 99, (0,) * 99), "has 99 dimensions"),
    "tensorflow": (
        pickle_of(Call(Name("dnnlib.tflib.network", "Network"), new=True)),
        "is a TensorFlow StyleGAN pickle",
    ),
    "module": (pickle_of(Call(Name("models", "Net"), new=True)), r"names models\.Net"),
    "outside": (
        pickle_of(Persistent(("storage", Name("torch", "FloatStorage"), "0", "cpu", 1))),
        "whose tensors are not in it",
    ),
    "no storage": (pickle_of(Persistent(("module", 1))), "no storage lies outside"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_one_line_that_says_why(name, tmp_path):
    write, text = WRONG[name]
    path = tmp_path / "weights.pth"
    write(path)
    with pytest.raises(UserError, match=text) as caught:
        torch_file.read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(UserError, match="found nothing"):
        torch_file.read(tmp_path / "none.pth")
    with pytest.raises(UserError, match="found a folder"):
        torch_file.read(tmp_path)


def test_a_changed_byte_is_found_when_its_tensor_is_read(tmp_path):
    path = tmp_path / "weights.pth"
    torch_writer.write_zip(path, {"a": np.full(99, 7, np.float32), "b": np.ones(9, np.float32)})
    data = path.read_bytes()
    at = data.index(np.full(99, 7, np.float32).tobytes())
    path.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    found = torch_file.read(path).content
    check_equal(found["b"], np.ones(9, np.float32))
    with pytest.raises(UserError, match="data/0: is damaged"):
        found["a"].numpy()
