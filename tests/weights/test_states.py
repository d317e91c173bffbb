"""Finding state dicts in a file, and accounting for everything else."""

import ml_dtypes
import numpy as np
import pytest

from talkjax.errors import UserError
from talkjax.weights import states, torch_file
from talkjax.weights.inert_pickle import Inert
from talkjax.weights.tensors import Storage, view
from tests.weights import torch_writer
from tests.weights.torch_writer import Call, Name, Parameter

ONE = np.ones((2, 3), np.float32)


def entries(tmp_path, content):
    path = torch_writer.write_pickle(tmp_path / "file.pkl", content)
    return states.entries(torch_file.read(path).content, where="file.pkl")


def pick(found, **changes):
    asked = dict(parts={"net": ("state_dict", "")}, optional=(), extras=(), left_out={})
    return states.pick(found, **asked | changes, where="file.pkl")


def test_a_bare_state_dict_and_a_wrapped_one_are_found(tmp_path):
    for content in ({"module.a": ONE}, {"state_dict": {"a": ONE}}):
        picked = pick(entries(tmp_path, content))
        np.testing.assert_array_equal(picked.states["net"]["a"], ONE)
        assert picked.ignored == {}


def test_floats_become_float32_and_counters_stay(tmp_path):
    state = {
        "half": ONE.astype(np.float16),
        "bf": ONE.astype(ml_dtypes.bfloat16),
        "double": ONE.astype(np.float64),
        "counter": np.asarray(3),
    }
    found = pick(entries(tmp_path, state)).states["net"]
    assert {str(found[name].dtype) for name in ("half", "bf", "double")} == {"float32"}
    np.testing.assert_array_equal(found["bf"], ONE)
    assert found["counter"].dtype == np.int64


def test_everything_beside_the_state_dict_is_listed_with_its_reason(tmp_path):
    namespace = Call(Name("argparse", "Namespace"), new=True, state={"lr": 0.1})
    content = {
        "state_dict": {"a": ONE},
        "optimizer": {"state": {0: {"exp_avg": ONE}}},
        "g_optim": {"state": {}},
        "epoch": 3,
        "loss": np.asarray(0.5),
        "args": namespace,
        "g": {"a": ONE},
        "nothing": None,
    }
    picked = pick(entries(tmp_path, content), left_out={"g": "not averaged"})
    assert picked.ignored == {
        "optimizer": "state of an optimizer",
        "g_optim": "state of an optimizer",
        "epoch": "progress or settings of the training script",
        "loss": "progress or settings of the training script",
        "args": "progress or settings of the training script",
        "g": "not averaged",
        "nothing": "empty",
    }


def test_unknown_tensors_are_not_passed_over(tmp_path):
    found = entries(tmp_path, {"state_dict": {"a": ONE}, "second_net": [{"b": (ONE,)}]})
    with pytest.raises(UserError, match=r"entry second_net holds tensors .* --ignore second_net"):
        pick(found)


def test_a_missing_part_is_told_with_what_is_there(tmp_path):
    found = entries(tmp_path, {"model": {"a": ONE}, "epoch": 1})
    with pytest.raises(UserError, match="has the entries model, epoch, want state_dict"):
        pick(found)
    assert (
        pick(found, parts={"net": ("model",), "disc": ("d",)}, optional=("disc",)).states["disc"]
        == {}
    )


def test_extras_are_handed_over(tmp_path):
    content = {"state_dict": {"a": ONE}, "latent_avg": ONE, "opts": {"x": 1}}
    picked = pick(entries(tmp_path, content), extras=("latent_avg", "opts", "absent"))
    np.testing.assert_array_equal(picked.extras["latent_avg"], ONE)
    assert picked.extras["opts"] == {"x": 1} and set(picked.extras) == {"latent_avg", "opts"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    with pytest.raises(UserError, match="a holds values that are not finite"):
        pick(entries(tmp_path, {"a": np.array([1, value], np.float32)}))


def test_what_float32_does_not_hold_is_refused_without_a_warning(tmp_path):
    with pytest.raises(UserError, match=r"a holds values that are not finite as float32; .* again"):
        pick(entries(tmp_path, {"a": np.array([1.0, 1e300])}))


def test_a_key_with_and_without_its_prefix_is_refused(tmp_path):
    with pytest.raises(UserError, match="has the key a with and without module"):
        pick(entries(tmp_path, {"a": ONE, "module.a": ONE}))


@pytest.mark.parametrize("content", [[1, 2], 3, {1: ONE}])
def test_what_is_no_dict_of_names_is_refused(tmp_path, content):
    with pytest.raises(UserError, match="want a state_dict"):
        entries(tmp_path, content)


def tree():
    leaf = torch_writer.module(
        "Linear",
        parameters={"weight": Parameter(ONE), "bias": None},
        buffers={"w_avg": ONE * 2, "scratch": ONE},
        unsaved=("scratch",),
    )
    return torch_writer.module("Net", buffers={"k": ONE * 3}, children={"fc": leaf, "no": None})


def test_a_tree_of_pickled_modules_is_its_state_dict(tmp_path):
    found = entries(tmp_path, {"G_ema": tree(), "G": None})
    state = states.arrays(found["G_ema"], where="file.pkl")
    assert set(state) == {"fc.weight", "fc.w_avg", "k"}
    np.testing.assert_array_equal(state["fc.w_avg"], ONE * 2)
    assert set(entries(tmp_path, tree())[""]) == set(state)


def test_buffers_that_pytorch_does_not_save_are_listed(tmp_path):
    picked = pick(entries(tmp_path, {"G_ema": tree()}), parts={"net": ("G_ema",)})
    assert picked.ignored == {"fc.scratch": "a buffer that PyTorch does not save (non-persistent)"}
    assert pick(entries(tmp_path, tree())).ignored.keys() == {"fc.scratch"}


def test_an_extra_that_is_empty_is_listed(tmp_path):
    found = entries(tmp_path, {"state_dict": {"a": ONE}, "latent_avg": None})
    picked = pick(found, extras=("latent_avg", "absent"))
    assert picked.extras == {} and picked.ignored == {"latent_avg": "empty"}


def node(**buffers):
    return Inert("Net", state={"_parameters": {}, "_buffers": buffers, "_modules": {}})


def test_one_tree_of_modules_under_many_names_ends():
    """Few bytes of pickle, and 30 million keys."""
    whole = node(**{str(i): ONE for i in range(1000)})
    many = node()
    many.state["_modules"] = {str(i): whole for i in range(30_000)}
    with pytest.raises(UserError, match="its modules have no end"):
        states.module_state(many, where="file.pkl")
    assert len(states.entries({"G": whole, "D": whole}, where="file.pkl")["D"]) == 1000
    with pytest.raises(UserError, match="its modules have no end"):
        states.entries({f"G{i}": whole for i in range(101)}, where="file.pkl")


@pytest.mark.parametrize("name", ["n" * 2000, 5, 10**5000], ids=["long", "number", "huge"])
def test_names_in_a_tree_of_modules_are_short_text(name):
    for group, value in (("_modules", node()), ("_buffers", ONE)):
        module = node()
        module.state[group] = {name: value}
        with pytest.raises(UserError, match="holds something under the name"):
            states.module_state(module, where="file.pkl")


def test_tensors_may_repeat_values_but_not_to_fill_the_memory():
    storage = Storage(4, "file.pkl: storage 0", data=memoryview(bytes(4)))
    most = states.MAX_REPEATED_BYTES // 4
    quarter = view(storage, np.dtype(np.float32), 0, shape=(most // 4,), strides=(0,))
    fits = {"state_dict": {str(i): quarter for i in range(4)}}
    states.check_sizes(fits, file_bytes=0, where="file.pkl")
    for more in ({"latent_avg": ONE}, {"other": {"a": ONE}}, {"": {"b": np.zeros(1, bool)}}):
        with pytest.raises(UserError, match=r"its tensors take [\d,]+ bytes"):
            states.check_sizes(fits | more, file_bytes=0, where="file.pkl")
    # A file of half or quarter floats becomes one of float32.
    states.check_sizes({"a": {"b": ONE.astype(np.int8)}} | fits, file_bytes=6, where="file.pkl")


def test_modules_that_hold_themselves_end():
    node = Inert("Net", state={"_parameters": {}, "_buffers": {}})
    node.state["_modules"] = {"again": node}
    with pytest.raises(UserError, match="its modules have no end"):
        states.module_state(node, where="file.pkl")


def test_lists_that_hold_themselves_end():
    endless = []
    endless.append(endless)
    assert not states.holds_tensors(endless)
    assert states.holds_tensors([endless, {"a": ONE}])
