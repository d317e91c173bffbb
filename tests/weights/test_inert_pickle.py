"""Hostile pickles: refused by name, and never run. Each one is shown to work on Python's own."""

import contextlib
import io
import os
import pickle
import struct

import pytest

from talkjax.errors import UserError
from talkjax.weights import inert_pickle, torch_file
from talkjax.weights.inert_pickle import Damaged, Inert, Named
from tests.weights import torch_writer
from tests.weights.torch_writer import Call, Name, Persistent, Writer

RAN = []


class Trap:
    """Notes whatever of it is run."""

    def __new__(cls, *args, **options):
        RAN.append("__new__")
        return super().__new__(cls)

    def __setstate__(self, state):
        RAN.append("__setstate__")

    def __setitem__(self, key, value):
        RAN.append("__setitem__")

    def append(self, item):
        RAN.append("append")


def note(*args):
    RAN.append(args)
    return Trap


TRAP = Name(__name__, "Trap")
NOTE = Name(__name__, "note")
# Pickles that do something under Python's pickle, and the name that ends their reading.
HOSTILE = {
    "reduce_os_system": (Call(Name("os", "system"), "true"), "os.system"),
    "posix_system": (Call(Name("posix", "system"), "true"), "posix.system"),
    "builtins_eval": (Call(Name("builtins", "eval"), "1 + 1"), "builtins.eval"),
    "python2_eval": (Call(Name("__builtin__", "eval"), "1 + 1"), "__builtin__.eval"),
    "builtins_exec": (Call(Name("builtins", "exec"), "pass"), "builtins.exec"),
    "builtins_getattr": (Call(Name("builtins", "getattr"), "", "upper"), "builtins.getattr"),
    "stack_global": (Call(Name("os", "system", stacked=True), "true"), "os.system"),
    "stack_global_dotted": (
        Call(Name("os", "path.abspath", stacked=True), "x"),
        "os.path.abspath",
    ),
    "dotted_under_torch": (
        Call(Name("torch.nn.modules.module", "inspect.os.system", stacked=True), "true"),
        "torch.nn.modules.module.inspect.os.system",
    ),
    "dotted_class_under_torch": (
        Call(Name("torch.nn.modules.module", "Module.apply", stacked=True), "true"),
        "torch.nn.modules.module.Module.apply",
    ),
    "function_of_torch": (
        Call(Name("torch.nn.modules.module", "register_module_forward_hook"), "true"),
        "torch.nn.modules.module.register_module_forward_hook",
    ),
    "subprocess": (Call(Name("subprocess", "check_output"), ["true"]), "subprocess.check_output"),
    "import_module": (Call(Name("importlib", "import_module"), "json"), "importlib.import_module"),
    "torch_load": (Call(Name("torch", "load"), "other.pth"), "torch.load"),
    "numpy_load": (Call(Name("numpy", "load"), "x.npy"), "numpy.load"),
    "new_object": (Call(TRAP, new=True), f"{__name__}.Trap"),
    "set_state": (Call(TRAP, state={"a": 1}), f"{__name__}.Trap"),
    "set_items": (Call(TRAP, new=True, items={"a": 1}), f"{__name__}.Trap"),
    "deep_inside": ({"state_dict": {"a": [({"b": Call(NOTE, "x")},)]}}, f"{__name__}.note"),
    "behind_a_good_name": (
        Call(Name("collections", "OrderedDict"), [["a", Call(NOTE, 1)]]),
        f"{__name__}.note",
    ),
    "in_a_persistent_id": (Persistent(("storage", Call(NOTE, 1), "0", "cpu", 1)), "note"),
    "as_a_storage_class": (Persistent(("storage", Name("os", "system"), "0", "cpu", 1)), "system"),
    "in_an_optimizer": ({"model": {}, "optimizer": Call(NOTE, 1)}, f"{__name__}.note"),
}
RAW = {
    "protocol_0": (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
    "inst": (b"(S'true'\nios\nsystem\n.", "os.system"),
    "obj": (b"\x80\x02(cos\nsystem\nX\x04\x00\x00\x00trueo.", "os.system"),
    "newobj_ex": (b"\x80\x04cos\nsystem\n)}\x92.", "os.system"),
    "unicode_trick": (b"\x80\x02cos \nsystem\n.", "os. system"),
    "extension": (b"\x80\x02\x82\x01.", "extension 1"),
}


def load(data, where="weights.pth"):
    names = {"a.Plain": Named("a.Plain", lambda args: Inert("a.Plain", args))}
    return inert_pickle.load(
        io.BytesIO(data), names=names.get, persistent=lambda identity: identity, where=where
    )


@pytest.fixture(autouse=True)
def nothing_ran():
    RAN.clear()
    yield
    assert RAN == []


def test_the_traps_are_real():
    """What is refused below does run under Python's pickle; else nothing would be shown."""
    for name in ("new_object", "set_state", "set_items", "deep_inside", "behind_a_good_name"):
        with contextlib.suppress(pickle.UnpicklingError):
            pickle.loads(Writer().dumps(HOSTILE[name][0]))
        assert RAN, name
        RAN.clear()
    os.environ.pop("TALKJAX_TRAP", None)
    code = "__import__('os').environ.__setitem__('TALKJAX_TRAP', '1')"
    data = Writer().dumps(Call(Name("builtins", "eval"), code))
    pickle.loads(data)
    assert os.environ.pop("TALKJAX_TRAP") == "1"
    with pytest.raises(UserError, match=r"builtins\.eval"):
        load(data)
    assert "TALKJAX_TRAP" not in os.environ


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_by_name_in_every_kind_of_file(name, form, tmp_path):
    value, named = HOSTILE[name]
    path = tmp_path / "weights.pth"
    if form == "zip":
        torch_writer.write_zip(path, value)
    elif form == "legacy":
        torch_writer.write_legacy(path, value)
    else:
        path.write_bytes(Writer().dumps(value))
    with pytest.raises(UserError) as caught:
        torch_file.read(path)
    text = str(caught.value)
    assert named in text and "nothing of it was run" in text
    assert text.startswith(str(path)) and "\n" not in text


@pytest.mark.parametrize("name", RAW)
def test_every_way_to_name_something_is_refused(name, tmp_path):
    data, named = RAW[name]
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        load(data)
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(UserError, match=named.replace(".", r"\.")):
        torch_file.read(path)


def test_a_hostile_pickle_within_a_tensors_bytes_is_refused(tmp_path):
    """NVIDIA's pickles hold tensors as bytes that are a pickle again."""
    inner = torch_writer.legacy_bytes(Call(NOTE, 1), {})
    storage = Call(Name("torch.storage", "_load_from_bytes"), inner)
    path = tmp_path / "weights.pkl"
    path.write_bytes(Writer(protocol=4).dumps({"G_ema": storage}))
    with pytest.raises(UserError, match=r"tests\.weights\.test_inert_pickle\.note"):
        torch_file.read(path)


def test_bytes_within_bytes_within_bytes_end_at_once(tmp_path):
    data = torch_writer.legacy_bytes(1, {})
    for _ in range(3):
        data = torch_writer.legacy_bytes(Call(Name("torch.storage", "_load_from_bytes"), data), {})
    path = tmp_path / "weights.pkl"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"_load_from_bytes"):
        torch_file.read(path)


def test_the_source_that_nvidia_embeds_is_not_run(tmp_path):
    path = torch_writer.write_pickle(tmp_path / "g.pkl", {"G_ema": torch_writer.module("Any")})
    content = torch_file.read(path).content
    assert content["G_ema"].name == "Any"
    assert content["G_ema"].state["training"] is False


def test_a_named_thing_that_is_no_function_cannot_be_called():
    def names(name):
        return Named(name)

    data = Writer().dumps(Call(Name("torch", "FloatStorage"), 1))
    with pytest.raises(UserError, match=r"a call of torch\.FloatStorage"):
        inert_pickle.load(io.BytesIO(data), names=names, persistent=str, where="x")
    for target in (b"K\x01", b"]", b"X\x01\x00\x00\x00a"):
        with pytest.raises(UserError, match="a call of"):
            load(b"\x80\x02" + target + b")R.")


def test_an_object_of_an_unknown_class_keeps_what_it_was_given():
    call = Call(Name("a", "Plain"), 1, state={"x": 2})
    found = load(Writer().dumps(call))
    assert (found.name, found.args, found.state) == ("a.Plain", (1,), {"x": 2})


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_those_that_pickle_gives(protocol):
    shared = [1, 2]
    value = {
        "numbers": [0, 1, -1, 255, 65536, -(2**31), 2**70, -(2**70), 1.5, float("inf")],
        "text": ["", "a\nb", "é\u4e00\U0001f600", "quote'\\"],
        "bytes": [b"", b"\x00\xff" * 200] if protocol >= 3 else [],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4, (5,))],
        "constants": [None, True, False],
        "shared": [shared, shared],
        "many": list(range(3000)),
        "long": "x" * 70_000,
        "empty": [{}, []],
        3: {1.5: "float key", None: 1, True: 2},
    }
    if protocol >= 4:
        value["sets"] = [{1, 2}, frozenset({"a"})]
    if protocol == 5:
        value["array"] = bytearray(b"abc")
    found = load(pickle.dumps(value, protocol=protocol))
    assert found == value
    assert found["shared"][0] is found["shared"][1]


DAMAGED = {
    "cut off": Writer().dumps({"a": 1})[:-3],
    "unknown opcode": b"\x80\x02\xf7.",
    "empty stack": b"\x80\x02.",
    "no mark": b"\x80\x02t.",
    "no memo": b"\x80\x02h\x07.",
    "append to a dict": b"\x80\x02}K\x01a.",
    "item of a list": b"\x80\x02]K\x01K\x02s.",
    "odd items": b"\x80\x02}(K\x01u.",
    "list as a key": b"\x80\x02}(]K\x01u.",
    "tuple as a key": b"\x80\x02}()K\x01u.",
    "state of a number": b"\x80\x02K\x01}b.",
    "name of numbers": b"\x80\x04K\x01K\x02\x93.",
    "call without a tuple": Writer().dumps(Name("a", "Plain"))[:-1] + b"]R.",
    "text of no length": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "negative length": b"\x80\x04\x8d" + struct.pack("<q", -1) + b".",
    "number of letters": b"Iabc\n.",
    "no UTF-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "buffer": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_pickle_is_one_line(name):
    with pytest.raises(UserError, match=r"^weights.pth: its pickle is damaged near byte \d+ \("):
        load(DAMAGED[name])


def test_what_a_maker_cannot_take_is_damage_not_a_traceback():
    names = {"a.First": Named("a.First", lambda args: args[0][0])}
    for args in ((), (1,), ({},), ([],)):
        data = Writer().dumps(Call(Name("a", "First"), *args))
        with pytest.raises(UserError, match=r"a\.First is given what it cannot take"):
            inert_pickle.load(io.BytesIO(data), names=names.get, persistent=str, where="x")


def test_many_nested_tuples_do_not_exhaust_the_stack():
    depth = 50_000
    assert isinstance(load(b"\x80\x02)" + b"\x85" * depth + b"."), tuple)
    with pytest.raises(UserError, match="tuple as a key"):
        load(b"\x80\x02})" + b"\x85" * depth + b"K\x01s.")


def test_names_of_the_file_are_made_printable():
    with pytest.raises(UserError) as caught:
        load(b"\x80\x02c\x1b[31mos\nsystem" + b"x" * 500 + b"\n.")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_damage_that_a_maker_reports_is_told():
    def refuse(args):
        raise Damaged("says the maker")

    data = Writer().dumps(Call(Name("a", "Odd")))
    with pytest.raises(UserError, match="says the maker"):
        inert_pickle.load(
            io.BytesIO(data),
            names={"a.Odd": Named("a.Odd", refuse)}.get,
            persistent=str,
            where="x",
        )
