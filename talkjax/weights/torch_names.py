"""What the names in PyTorch's and NVIDIA's pickles stand for: a closed table of inert things.

Source of the layouts: torch/_utils.py, torch/serialization.py, torch/storage.py of PyTorch 2.13
(and their older forms); torch_utils/persistence.py of NVlabs/stylegan3@c233a91.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from talkjax.weights.inert_pickle import Damaged, Inert, Named, checked_key, shown
from talkjax.weights.tensors import DTYPES, Storage, Tensor, sizes, view

STORAGE_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
UNTYPED_STORAGES = ("torch.UntypedStorage", "torch.storage.UntypedStorage")
STORAGE_ROOMS = ("torch.", "torch.cuda.", "torch.storage.")
# NVIDIA's persistent classes: what the embedded source would make is only described.
PERSISTENT_OBJECT = "torch_utils.persistence._reconstruct_persistent_obj"
# A class of torch/nn/modules, as trees of modules name them, and nothing that such a file itself
# imports: Python's pickle would follow the dots of a name to anything.
MODULE_CLASS = re.compile(r"torch\.nn\.modules\.[a-z_0-9]+\.[A-Z][A-Za-z_0-9]*")
TENSORFLOW_NETWORK = "dnnlib.tflib.network.Network"
NUMPY_CORES = ("numpy.core.", "numpy._core.")
# Bool, integers, floats and complex numbers, as numpy's pickles name them.
NUMPY_CODE = re.compile(r"[<>|=]?[biufc]\d{1,2}")


class TypedStorage(NamedTuple):
    """A storage, the type of values that its pickle gives it (None: bytes), and the first one."""

    storage: Storage
    dtype: np.dtype | None
    first: int = 0


class DtypeOfNumpy(Inert):
    """numpy's dtype; its state holds the byte order."""

    def as_dtype(self) -> np.dtype:
        code = self.args[0] if self.args else None
        known = isinstance(code, str) and NUMPY_CODE.fullmatch(code)
        try:
            dtype = np.dtype(code) if known else None
        except TypeError:  # of a width that there is not
            dtype = None
        if dtype is None:
            raise Damaged(f"a numpy array has the dtype {shown(code)}")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        return dtype.newbyteorder(order) if order in ("<", ">") else dtype


class ArrayOfNumpy(Inert):
    """numpy's array, which is filled by its state (version, shape, dtype, Fortran order, bytes)."""

    def as_array(self) -> np.ndarray:
        if not (isinstance(self.state, tuple) and len(self.state) == 5):
            raise Damaged("a numpy array has no content")
        _, shape, dtype, fortran, data = self.state
        return _numpy_array(data, dtype, shape, order="F" if fortran is True else "C")

    def count(self) -> int:
        """How many values it says to have; 2, which is no single number, where it is damaged."""
        try:
            return math.prod(sizes(self.state[1]))
        except (Damaged, TypeError, LookupError):
            return 2

    def stored_bytes(self) -> int:
        """How many bytes it copies; 0 where it is damaged."""
        data = self.state[-1] if isinstance(self.state, tuple) and self.state else None
        return len(data) if isinstance(data, (bytes, bytearray)) else 0


def storage_dtype(name: str) -> tuple[bool, np.dtype | None]:
    """(is this the name of a storage class?, its dtype; None where it holds bytes)."""
    if name in UNTYPED_STORAGES:
        return True, None
    for room in STORAGE_ROOMS:
        short = name.removeprefix(room)
        if short != name and short in STORAGE_DTYPES:
            return True, DTYPES[STORAGE_DTYPES[short]]
    return False, None


def table(
    nested_storage: Callable[[bytes], TypedStorage] | None,
) -> Callable[[str], Named | None]:
    """The lookup of a pickle's names, for `inert_pickle.load`.

    Args:
      nested_storage: reads a storage out of bytes that are a legacy PyTorch file themselves, as
        plain pickles of tensors hold them; None where none can be.
    """
    makers = dict(MAKERS)
    if nested_storage is not None:
        makers["torch.storage._load_from_bytes"] = lambda args: nested_storage(*args)

    def lookup(name: str) -> Named | None:
        if name in makers:
            return Named(name, makers[name])
        if name in MENTIONED or storage_dtype(name)[0]:
            return Named(name)
        if name.startswith("torch.") and name.removeprefix("torch.") in DTYPES:
            return Named(name)
        if MODULE_CLASS.fullmatch(name):
            return Named(name, lambda args: Inert(name, args))
        return None

    return lookup


def _ordered_dict(args: tuple) -> dict:
    """OrderedDict(), or of a list of pairs as Python 2 wrote it."""
    if not args:
        return {}
    (pairs,) = args
    return {checked_key(key): value for key, value in pairs}


def _empty_dict(args: tuple) -> dict:
    """A defaultdict or a dict with attributes; its items follow in the pickle."""
    del args
    return {}


def _set(args: tuple) -> set:
    return set(map(checked_key, args[0] if args else ()))


def _counter(args: tuple) -> dict:
    return {checked_key(key): value for key, value in args[0].items()} if args else {}


def _typed(storage: Any, offset: Any) -> tuple[Storage, np.dtype, int]:
    """(bytes, their type, the first value of a tensor that starts at `offset`)."""
    if not isinstance(storage, TypedStorage):
        raise Damaged("a tensor has no storage")
    (offset,) = sizes((offset,))
    return storage.storage, storage.dtype or DTYPES["uint8"], storage.first + offset


def _rebuild_tensor(args: tuple) -> Tensor:
    """(storage, offset, size, stride), and in v2 requires_grad, hooks and maybe metadata."""
    storage, offset, size, stride, *rest = args
    if len(rest) > 2 and rest[2]:
        raise Damaged(f"a tensor has the metadata {shown(rest[2])}, which is not read here")
    data, dtype, first = _typed(storage, offset)
    return view(data, dtype, first, shape=size, strides=stride)


def _rebuild_tensor_v3(args: tuple) -> Tensor:
    """As v2, with the dtype after the hooks, over a storage of bytes."""
    storage, offset, size, stride, _, _, dtype, *_ = args
    name = dtype.name.removeprefix("torch.") if isinstance(dtype, Named) else ""
    if name not in DTYPES:
        raise Damaged(f"a tensor has the dtype {shown(dtype)}")
    data, _, first = _typed(storage, offset)
    return view(data, DTYPES[name], first, shape=size, strides=stride)


def _rebuild_parameter(args: tuple) -> Tensor:
    if not isinstance(args[0], Tensor):
        raise Damaged("a parameter holds no tensor")
    return args[0]


def _rebuild_from_type(args: tuple) -> Any:
    """(function, class, its arguments, state): a tensor of a subclass, or with attributes."""
    function, _, inner, _ = args
    if not (isinstance(function, Named) and function.name in TENSOR_MAKERS):
        raise Damaged(f"a tensor is made by {shown(function)}")
    return TENSOR_MAKERS[function.name](inner)


def _persistent_object(args: tuple) -> Inert:
    """NVIDIA's {"type", "version", "module_src", "class_name", "state"}; the source is dropped."""
    (meta,) = args
    if not isinstance(meta["class_name"], str):
        raise Damaged(f"a class is called {shown(meta['class_name'])}")
    return Inert(meta["class_name"], state=meta["state"])


def _numpy_array(data: Any, dtype: Any, shape: Any, *, order: str) -> np.ndarray:
    if not (isinstance(dtype, DtypeOfNumpy) and isinstance(data, (bytes, bytearray))):
        raise Damaged("a numpy array is not one of plain numbers")
    shape, kind = sizes(shape), dtype.as_dtype()
    if len(data) != math.prod(shape) * kind.itemsize:
        raise Damaged(f"a numpy array of shape {shape} has {len(data)} bytes")
    found = np.frombuffer(bytes(data), kind).reshape(shape, order=order)
    return found.astype(found.dtype.newbyteorder("="))


def _numpy_scalar(args: tuple) -> Any:
    dtype, data = args
    return _numpy_array(data, dtype, (), order="C")[()]


def _frombuffer(args: tuple) -> np.ndarray:
    data, dtype, shape, order = args
    return _numpy_array(data, dtype, shape, order="F" if order == "F" else "C")


def _encode(args: tuple) -> bytes:
    """Bytes in a pickle of protocol 2: text, to be encoded as latin-1."""
    text, *_ = args
    return text.encode("latin-1")


TENSOR_MAKERS: Mapping[str, Callable[[tuple], Any]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
}
MAKERS: Mapping[str, Callable[[tuple], Any]] = {
    **TENSOR_MAKERS,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": lambda args: tuple(args[0]),
    "torch.device": lambda args: Inert("torch.device", args),
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _empty_dict,
    "collections.Counter": _counter,
    "dnnlib.util.EasyDict": _empty_dict,
    "dnnlib.EasyDict": _empty_dict,
    "argparse.Namespace": lambda args: Inert("argparse.Namespace", args),
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "__builtin__.set": _set,
    "__builtin__.frozenset": _set,
    "_codecs.encode": _encode,
    "numpy.dtype": lambda args: DtypeOfNumpy("numpy.dtype", args),
    **{f"{core}multiarray.scalar": _numpy_scalar for core in NUMPY_CORES},
    **{
        f"{core}multiarray._reconstruct": lambda args: ArrayOfNumpy("numpy.ndarray", args)
        for core in NUMPY_CORES
    },
    **{f"{core}numeric._frombuffer": _frombuffer for core in NUMPY_CORES},
    PERSISTENT_OBJECT: _persistent_object,
}
# Named as an argument of something above, never called.
MENTIONED = frozenset(
    [
        *("builtins.dict", "builtins.list", "builtins.int", "builtins.float"),
        *("__builtin__.dict", "__builtin__.list", "__builtin__.int", "__builtin__.float"),
        *("numpy.ndarray", "torch.Tensor", "torch.nn.parameter.Parameter"),
        *("torch.strided", "torch.contiguous_format"),
    ]
)
