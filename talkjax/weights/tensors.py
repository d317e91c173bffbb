"""Tensors as a file of weights holds them: views of bytes, made into numpy arrays on demand."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from talkjax.errors import UserError
from talkjax.weights.inert_pickle import Damaged, shown

# Name of a dtype in PyTorch -> in numpy.
DTYPES: Mapping[str, np.dtype] = {
    name: np.dtype(kind)
    for name, kind in {
        "float32": "f4",
        "float": "f4",
        "float64": "f8",
        "double": "f8",
        "float16": "f2",
        "half": "f2",
        "bfloat16": ml_dtypes.bfloat16,
        "int64": "i8",
        "long": "i8",
        "int32": "i4",
        "int": "i4",
        "int16": "i2",
        "short": "i2",
        "int8": "i1",
        "uint8": "u1",
        "uint16": "u2",
        "uint32": "u4",
        "uint64": "u8",
        "bool": "?",
        "complex64": "c8",
        "complex128": "c16",
        "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
        "float8_e5m2": ml_dtypes.float8_e5m2,
        "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
        "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    }.items()
}
BYTE_ORDERS = {"little": "<", "big": ">"}
# A tensor may repeat its storage (stride 0), but not to fill the memory.
MAX_REPEATED_VALUES = 2**24
MAX_DIMENSIONS = 32


class Storage:
    """The bytes that tensors share.

    Attributes:
      size_bytes: how many.
      where: file and name, for error messages.
      data: the bytes; a part of a file that is mapped into memory. None until they are found.
      byte_order: "little" or "big".
      crc32: the checksum that the file gives, None if it gives none.
    """

    def __init__(
        self,
        size_bytes: int,
        where: str,
        *,
        data: memoryview | None = None,
        byte_order: str = "little",
        crc32: int | None = None,
    ):
        self.size_bytes = size_bytes
        self.where = where
        self.data = data
        self.byte_order = byte_order
        self.crc32 = crc32

    @functools.cached_property
    def checked(self) -> memoryview:
        """The bytes, compared with their checksum once.

        Raises:
          UserError: if they are not those that were saved.
        """
        if self.data is None:
            raise ValueError(f"{self.where}: the bytes of this storage were not found yet")
        if self.crc32 is not None and zlib.crc32(self.data) != self.crc32:
            raise UserError(f"{self.where}: is damaged (wrong checksum); get the file again")
        return self.data


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A strided view of a storage; made by `view`, which checks that it lies inside.

    Attributes:
      offset, strides: in values, not bytes.
      dtype: in the machine's byte order.
    """

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def numpy(self) -> np.ndarray:
        """A copy as a contiguous array of the same dtype.

        Raises:
          UserError: if the file's bytes are damaged.
        """
        part_bytes = self.dtype.itemsize // (2 if self.dtype.kind == "c" else 1)
        raw = np.frombuffer(self.storage.checked, dtype=np.uint8)
        raw = raw[: len(raw) // self.dtype.itemsize * self.dtype.itemsize]
        order = BYTE_ORDERS[self.storage.byte_order]
        whole = raw.view(f"{order}u{part_bytes}")
        flat = whole.astype(f"=u{part_bytes}", copy=False).view(self.dtype)
        steps = tuple(stride * self.dtype.itemsize for stride in self.strides)
        found = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, steps, writeable=False
        )
        return np.array(found, order="C")


def view(
    storage: Storage, dtype: np.dtype, offset: Any, *, shape: Any, strides: Any = None
) -> Tensor:
    """A tensor over a storage.

    Args:
      offset, shape, strides: as the file has them; strides None means contiguous.

    Raises:
      Damaged: if that is no view of the storage.
    """
    shape = sizes(shape)
    strides = _contiguous(shape) if strides is None else sizes(strides)
    (offset,) = sizes((offset,))
    if len(shape) != len(strides):
        raise Damaged(f"a tensor has shape {shape} and strides {strides}")
    there = storage.size_bytes // dtype.itemsize
    count = math.prod(shape)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if count and last >= there:
        raise Damaged(f"a tensor of shape {shape} reaches beyond its {there} values")
    if count > max(there, MAX_REPEATED_VALUES):
        raise Damaged(f"a tensor of shape {shape} is made of {there} values")
    # An empty one may start anywhere.
    return Tensor(storage, dtype, offset if count else 0, shape, strides)


def sizes(values: Any) -> tuple[int, ...]:
    """Sizes, strides or offsets, as the file has them.

    Raises:
      Damaged: unless they are a few whole numbers from 0 on.
    """
    if not isinstance(values, (tuple, list)):
        raise Damaged(f"the shape of a tensor is a {type(values).__name__}")
    values = tuple(values)
    if len(values) > MAX_DIMENSIONS:
        raise Damaged(f"a tensor has {len(values)} dimensions")
    for value in values:
        if type(value) is not int or not 0 <= value < 2**62:
            raise Damaged(f"a size of a tensor is {shown(value)}")
    return values


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
