"""Small files whose objects never end when they are told, compared or copied: one line, at once.

A tuple that holds itself twice, and that one again, is a few bytes of pickle, and 2^n values to
whoever prints it. Deep ones exhaust the stack of whoever walks through them by recursion.
"""

import tracemalloc
import zipfile

import numpy as np
import pytest

from talkjax import cli
from talkjax.errors import UserError
from talkjax.weights import torch_file
from tests.weights import torch_writer
from tests.weights.torch_writer import Call, Name, Persistent, Raw, View, Writer
from tests.weights.toy_expert import expert_state
from tests.weights.toy_stylegan import rosinality_state

SECONDS = 30
DOUBLED = Raw(b")" + b"2\x86" * 200)
DEEP = Raw(b")" + b"\x85" * 30_000)
DEEP_LISTS = Raw(b"](" * 10_000 + b"e" * 10_000)
DEEP_OBJECTS = Raw(b"cargparse\nNamespace\n" * 5_000 + b")\x81" + b"\x85\x81" * 4_999)
OBJECTS = {"doubled": DOUBLED, "deep": DEEP, "deep lists": DEEP_LISTS, "deep objects": DEEP_OBJECTS}
FLOATS = Persistent(("storage", Name("torch", "FloatStorage"), "0", "cpu", 1))
REBUILD = "torch._utils"


def tensor_call(version, *rest):
    return Call(Name(REBUILD, f"_rebuild_tensor_{version}"), FLOATS, *rest)


def numpy_array(dtype_args=("f4", False, True), state=None):
    dtype = Call(Name("numpy", "dtype"), *dtype_args, state=(3, "<", None, None, None, -1, -1, 0))
    new = Name("numpy.core.multiarray", "_reconstruct")
    return Call(new, Name("numpy", "ndarray"), (0,), b"b", state=state and state(dtype))


# Where an object of the file meets code that may want to tell it.
PLACES = {
    "storage class": lambda o: Persistent(("storage", o, "0", "cpu", 1)),
    "storage key": lambda o: Persistent(("storage", Name("torch", "FloatStorage"), o, "cpu", 1)),
    "storage size": lambda o: Persistent(("storage", Name("torch", "FloatStorage"), "0", "cpu", o)),
    "persistent identity": lambda o: Persistent(o),
    "dtype": lambda o: tensor_call("v3", 0, (1,), (1,), False, {}, o),
    "offset": lambda o: tensor_call("v2", o, (1,), (1,), False, {}),
    "shape": lambda o: tensor_call("v2", 0, o, (1,), False, {}),
    "side": lambda o: tensor_call("v2", 0, (o,), (1,), False, {}),
    "metadata": lambda o: tensor_call("v2", 0, (1,), (1,), False, {}, o),
    "maker": lambda o: Call(Name("torch._tensor", "_rebuild_from_type_v2"), o, 1, (), {}),
    "class name": lambda o: Call(
        Name("torch_utils.persistence", "_reconstruct_persistent_obj"),
        {"type": "class", "class_name": o, "state": {}},
    ),
    "function": lambda o: Call(o, 1),
    "function with names": lambda o: Raw(Writer().one(o) + b")}X\x01\x00\x00\x00aK\x01s\x92"),
    "module": lambda o: Raw(Writer().one(o) + b"X\x01\x00\x00\x00a\x93"),
    "key": lambda o: Raw(b"}" + Writer().one(o) + b"K\x01s"),
    "member": lambda o: Call(Name("builtins", "set"), [o]),
    "counter": lambda o: Call(Name("collections", "Counter"), [(o, 1)]),
    "ordered pairs": lambda o: Call(Name("collections", "OrderedDict"), [(o, 1)]),
    "numpy scalar": lambda o: Call(Name("numpy.core.multiarray", "scalar"), o, b""),
    "text": lambda o: Call(Name("_codecs", "encode"), o, "latin1"),
}


def refused(capsys, path, *, kind="wav2lip-expert"):
    """The one line that the command says."""
    assert cli.main(["import-weights", kind, str(path), str(path.with_name("out"))]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and len(told.err) < 1000
    assert str(path) in told.err and not path.with_name("out").exists()
    return told.err


def write(path, value, form):
    if form == "zip":
        torch_writer.write_zip(path, value)
    elif form == "legacy":
        torch_writer.write_legacy(path, value)
    else:
        path.write_bytes(Writer(nested=True).dumps(value))


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", ["doubled", "deep"])
@pytest.mark.parametrize("place", PLACES)
def test_no_object_of_a_file_is_ever_printed(place, name, tmp_path):
    path = tmp_path / "weights.pth"
    write(path, {"a": np.ones(1, np.float32), "more": PLACES[place](OBJECTS[name])}, "zip")
    with pytest.raises(UserError) as caught:
        torch_file.read(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and len(text) < 1000 and "\n" not in text


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("name", OBJECTS)
def test_every_form_of_file_is_refused_by_the_command(name, form, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    write(path, {"more": PLACES["storage class"](OBJECTS[name])}, form)
    assert "a storage is a <" in refused(capsys, path)


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", OBJECTS)
def test_what_lies_beside_the_weights_is_passed_over_however_it_is_nested(name, tmp_path, capsys):
    bare = torch_writer.write_zip(tmp_path / "bare.pth", OBJECTS[name])
    assert "want a state_dict" in refused(capsys, bare)
    content = {"state_dict": expert_state(), "args": OBJECTS[name]}
    path = torch_writer.write_zip(tmp_path / "weights.pth", content)
    assert cli.main(["import-weights", "wav2lip-expert", str(path), str(tmp_path / "out")]) == 0
    assert "ignored  args: progress or settings" in capsys.readouterr().out


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", OBJECTS)
def test_the_keys_of_an_old_file_are_text(name, tmp_path, capsys):
    data = torch_writer.legacy_bytes({"a": np.ones(2, np.float32)})
    keys = Writer().dumps(["0"])
    assert data.count(keys) == 1
    path = tmp_path / "weights.pth"
    path.write_bytes(data.replace(keys, Writer().dumps([OBJECTS[name]])))
    assert "does not hold the storages it names" in refused(capsys, path)


@pytest.mark.timeout(SECONDS)
def test_modules_that_stand_twice_in_each_other_end(tmp_path, capsys):
    groups = b"(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_buffers}X\x08\x00\x00\x00_modules"
    meta = b"(X\x0a\x00\x00\x00class_nameX\x01\x00\x00\x00aX\x05\x00\x00\x00state}"
    name = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    node = name + b"}" + meta + groups + b"}uu\x85R"
    for _ in range(60):
        pair = b"q\x00X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00"
        children = b"}(" + pair.removeprefix(b"q\x00") + b"u"
        node += b"q\x000" + name + b"}" + meta + groups + children + b"uu\x85R"
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"\x80\x02}X\x05\x00\x00\x00G_ema" + node + b"s.")
    assert "its modules have no end" in refused(capsys, path, kind="stylegan3")


DAMAGED_ARRAYS = {
    "no state": (None, "a numpy array has no content"),
    "short": (lambda d: (1, (9, 9), d, False, b"abcd"), r"has 4 bytes"),
    "shape": (lambda d: (1, (-1,), d, False, b"abcd"), "a size of a tensor is -1"),
    "deep shape": (lambda d: (1, (DEEP,), d, False, b"abcd"), "a size of a tensor is <tuple>"),
    "no shape": (lambda d: (1, 5, d, False, b"abcd"), "the shape of a tensor is a int"),
    "no dtype": (lambda d: (1, (1,), 5, False, b"abcd"), "is not one of plain numbers"),
    "objects": (lambda d: (1, (1,), d, False, [1]), "is not one of plain numbers"),
}


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", DAMAGED_ARRAYS)
def test_a_damaged_array_of_numpy_is_one_line_with_its_key(name, tmp_path, capsys):
    state, text = DAMAGED_ARRAYS[name]
    key = "face_encoder.0.conv_block.0.bias"
    content = {"state_dict": expert_state() | {key: numpy_array(state=state)}}
    path = torch_writer.write_pickle(tmp_path / "weights.pkl", content)
    told = refused(capsys, path)
    assert text in told and f"state_dict: {key}: is damaged" in told


@pytest.mark.parametrize("code", ["O", "f7", "V8", "f4,f4", DOUBLED, DEEP, 5])
def test_an_array_of_numpy_holds_plain_numbers(code, tmp_path, capsys):
    array = numpy_array((code, False, True), lambda dtype: (1, (1,), dtype, False, b"abcdefgh"))
    path = torch_writer.write_pickle(tmp_path / "a.pkl", expert_state() | {"x": array})
    assert "x: is damaged (a numpy array has the dtype" in refused(capsys, path)


def test_an_unknown_array_of_numpy_is_refused_as_a_tensor_is(tmp_path, capsys):
    values = np.ones((3, 4), np.float32)
    array = numpy_array(state=lambda dtype: (1, (3, 4), dtype, False, values.tobytes()))
    for index, extra in enumerate((array, values)):
        content = {"state_dict": expert_state(), "extra": {"w": extra}}
        path = torch_writer.write_pickle(tmp_path / f"{index}.pkl", content)
        assert "entry extra holds tensors that nothing here uses" in refused(capsys, path)


def psp_file(path, **changes):
    state = {f"decoder.{key}": array for key, array in rosinality_state(width=8).items()}
    state["encoder.styles.0.linear.weight"] = np.ones((8, 8), np.float32)
    return torch_writer.write_zip(path, {"state_dict": state} | changes)


PSP = {
    "opts number": ({"opts": 5}, "opts: found 5, want the settings of its training"),
    "opts deep": ({"opts": DEEP}, "opts: found <tuple>"),
    "encoder doubled": ({"opts": {"encoder_type": DOUBLED}}, "its encoder is a <tuple>"),
    "start doubled": ({"opts": {"start_from_latent_avg": DOUBLED}}, "found <tuple>, want true"),
    "start tensor": ({"opts": {"start_from_latent_avg": np.ones(2)}}, "want true or false"),
    "average list": ({"latent_avg": [1, [2]]}, "latent_avg: found <list>, want a tensor"),
    "average deep": ({"latent_avg": DEEP}, "latent_avg: found <tuple>, want a tensor"),
    "average whole": ({"latent_avg": np.arange(8)}, "latent_avg: found int64 (8,), want a tensor"),
    "average nan": ({"latent_avg": np.full(8, np.nan, np.float32)}, "want a tensor of finite"),
}


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", PSP)
def test_what_lies_beside_psps_nets_is_checked(name, tmp_path, capsys):
    changes, text = PSP[name]
    assert text in refused(capsys, psp_file(tmp_path / "psp.pt", **changes), kind="psp")


def test_the_average_of_a_generator_is_a_tensor(tmp_path, capsys):
    for index, average in enumerate(([1, [2]], DOUBLED, np.arange(8))):
        content = {"g_ema": rosinality_state(width=8), "latent_avg": average}
        path = torch_writer.write_zip(tmp_path / f"{index}.pt", content)
        assert "latent_avg: found" in refused(capsys, path, kind="stylegan2")


MEGABYTE = 2**20


@pytest.fixture
def peak_bytes():
    """A function that tells the most memory that Python and numpy held since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def repeated(count):
    """One value `count` times over, of four bytes in the file."""
    return View(np.ones(1, np.float32), 0, (count,), (0,))


def test_many_tensors_of_one_value_are_refused_before_they_fill_the_memory(
    tmp_path, capsys, peak_bytes
):
    """Of the 40, each is within the bound of a tensor; together they are 2.7 GB."""
    state = expert_state() | {f"x{i}": repeated(2**24) for i in range(40)}
    path = torch_writer.write_zip(tmp_path / "weights.pth", {"state_dict": state})
    assert path.stat().st_size < MEGABYTE
    told = refused(capsys, path)
    assert "its tensors take" in told and "get the file again" in told
    assert peak_bytes() < 32 * MEGABYTE


def test_one_tensor_under_many_keys_is_counted_as_often(tmp_path, capsys, peak_bytes):
    first = Writer().one(tensor_call("v2", 0, (2**24,), (0,), False, {})) + b"q\x00"
    others = {f"x{i}": Raw(b"h\x00") for i in range(40)}
    content = {"x": Raw(first), **others, "value": np.ones(1, np.float32)}
    path = torch_writer.write_zip(tmp_path / "weights.pth", content)
    assert "its tensors take" in refused(capsys, path)
    assert peak_bytes() < 32 * MEGABYTE


@pytest.mark.timeout(120)
def test_what_is_within_the_bound_is_refused_for_its_keys_within_it_too(
    tmp_path, capsys, peak_bytes
):
    state = expert_state() | {f"x{i}": repeated(2**24) for i in range(3)}
    path = torch_writer.write_zip(tmp_path / "weights.pth", {"state_dict": state})
    assert "x0 is not used by the net" in refused(capsys, path)
    assert peak_bytes() < 512 * MEGABYTE


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", ["text", "list"])
def test_calls_that_copy_the_same_again_and_again_are_refused(name, tmp_path, capsys, peak_bytes):
    """What 2000 calls are given; each would make a copy of it."""
    value, call = {
        "text": ("t" * MEGABYTE, b"c_codecs\nencode\nh\x00\x85R"),
        "list": ([0] * 20_000, b"ctorch\nSize\nh\x00\x85R"),
    }[name]
    pickle = b"\x80\x02](" + Writer().one(value) + b"q\x00" + call * 2000 + b"e."
    path = tmp_path / "weights.pth"
    torch_writer.write_zip(path, {}, pickle=pickle)
    assert path.stat().st_size < 2 * MEGABYTE
    assert "gives its calls the same" in refused(capsys, path)
    assert peak_bytes() < 64 * MEGABYTE


def test_an_npz_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, capsys, peak_bytes):
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(5):
            archive.writestr(f"x{i}.npy", bytes(64 * MEGABYTE))
    assert path.stat().st_size < MEGABYTE
    tracemalloc.reset_peak()
    assert "unpacks to 335,544,320 bytes" in refused(capsys, path)
    assert peak_bytes() < 32 * MEGABYTE


def test_an_npz_that_is_damaged_is_one_line(tmp_path, capsys):
    huge = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % 2**50
    header = b"\x93NUMPY\x01\x00" + len(huge).to_bytes(2, "little") + huge
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header)
    assert "cannot be read as arrays" in refused(capsys, path)
    np.savez_compressed(path, a=np.arange(9999))
    data = path.read_bytes()
    path.write_bytes(data[:300] + bytes(300) + data[600:])
    assert "cannot be read as arrays" in refused(capsys, path)
