"""Files of public weights, read as data: no pickle is executed, PyTorch is not needed.

Read are PyTorch's zip archives (`.pth`, `.pt`, `.ckpt`) and its format before 1.6, NVIDIA's
StyleGAN pickles (`.pkl`), `.npz` and safetensors. Tensors stay in the file, which is mapped into
memory, until they are asked for.

Source of the formats: torch/serialization.py of PyTorch 2.13 (`_save`, `_legacy_save`).
Differs: PyTorch does not look at the archive's checksums; here every storage is compared with its.
"""

import dataclasses
import io
import json
import mmap
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from talkjax.errors import UserError
from talkjax.weights import inert_pickle
from talkjax.weights.inert_pickle import Damaged, Named, shown
from talkjax.weights.tensors import BYTE_ORDERS, DTYPES, Storage, Tensor, sizes, view
from talkjax.weights.torch_names import TENSORFLOW_NETWORK, TypedStorage, storage_dtype, table

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Of protocol 2 and above; of a mark, a name, or an empty list, tuple or dict.
PICKLE_STARTS = (b"\x80", b"(", b"c", b"]", b")", b"}")
LOCAL_HEADER_BYTES = 30
COUNT_BYTES = 8
# What numpy raises at a damaged .npz; MemoryError of an array that says to be larger than any.
UNREADABLE = (ValueError, OSError, EOFError, MemoryError, zlib.error, zipfile.BadZipFile)
# Of a compressed .npz, beyond its own size.
MAX_UNPACKED_BYTES = 2**28
SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}
# What is often found under a weights file's name -> what it is.
OTHER_FILES = {
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a Git LFS pointer",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
}
WANTED = "a PyTorch file, an NVIDIA pickle, .npz or .safetensors"


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """What a file holds.

    Attributes:
      form: "torch zip", "torch legacy", "pickle", "npz" or "safetensors".
      content: dicts, lists, tuples, numbers and text, with `Tensor` or numpy arrays for
        tensors, and `Inert` for objects of other classes.
    """

    form: str
    content: Any


def read(path: str | os.PathLike) -> WeightsFile:
    """Reads a file of weights.

    Raises:
      UserError: if it is none, is damaged, or names anything that has no place in one.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise UserError(f"{path}: found {found}, want {WANTED}; check the path")
    if not path.stat().st_size:
        raise UserError(f"{path}: is empty, want {WANTED}; get the file again")
    where = str(path)
    try:
        with open(path, "rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its rights") from error
    start = bytes(mapped[:64])
    for magic, what in OTHER_FILES.items():
        if start.startswith(magic):
            raise UserError(f"{where}: is {what}, want {WANTED}; get the file itself")
    if start.startswith(ZIP_STARTS):
        return _read_zip(path, memoryview(mapped))
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= len(mapped) - 8:
        return WeightsFile("safetensors", _read_safetensors(memoryview(mapped), where=where))
    if start[:1] not in PICKLE_STARTS:
        raise UserError(
            f"{where}: starts with {start[:8]!r}, want {WANTED}; get the file again, or, if it is "
            "a tar archive by a PyTorch of before 2018, save it with a newer one"
        )
    return _read_pickles(mapped, where=where)


def _read_zip(path: pathlib.Path, data: memoryview) -> WeightsFile:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UserError(
            f"{path}: is a damaged or cut off zip archive ({error}); get the file again"
        ) from error
    with archive:
        names = archive.namelist()
        if names and all(name.endswith(".npy") for name in names):
            _check_unpacked(archive, file_bytes=len(data), where=str(path))
            return WeightsFile("npz", _read_npz(path))
        pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
        if any(name.split("/")[1:] == ["constants.pkl"] for name in names):
            raise UserError(
                f"{path}: is a TorchScript program, want a file of weights; save its state_dict()"
            )
        if len(pickles) != 1:
            raise UserError(
                f"{path}: is a zip archive with {len(pickles)} data.pkl, one in PyTorch's, want "
                f"{WANTED}; if the weights lie in it, unpack it and name their file, else get the "
                "file again"
            )
        records = _Records(archive, data, pickles[0].removesuffix("data.pkl"), str(path))
        content = inert_pickle.load(
            io.BytesIO(records.whole("data.pkl")),
            names=table(None),
            persistent=records.resolve,
            where=str(path),
        )
    return WeightsFile("torch zip", content)


class _Records:
    """The entries of an archive, found in the mapped file rather than unpacked."""

    def __init__(self, archive: zipfile.ZipFile, data: memoryview, prefix: str, where: str):
        self.entries = {info.filename: info for info in archive.infolist()}
        self.data = data
        self.prefix = prefix
        self.where = where
        self.storages: dict[str, Storage] = {}
        self.byte_order = "little"
        if f"{prefix}byteorder" in self.entries:
            self.byte_order = bytes(self.whole("byteorder")).decode("latin-1")
        if self.byte_order not in BYTE_ORDERS:
            raise UserError(
                f"{where}: has the byte order {shown(self.byte_order)}, want one of "
                f"{list(BYTE_ORDERS)}; get the file again"
            )

    def whole(self, name: str) -> memoryview:
        """An entry's bytes, compared with their checksum."""
        return self.storage(name).checked

    def storage(self, name: str) -> Storage:
        """An entry as a storage.

        Raises:
          UserError: if it is missing, compressed or cut off.
        """
        where = f"{self.where}: {shown(name)}"
        entry = self.entries.get(self.prefix + name)
        if entry is None:
            raise UserError(f"{where}: is missing in the archive; get the file again")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise UserError(
                f"{where}: is compressed or encrypted, which PyTorch never does; unpack the "
                "archive and zip it again without compression"
            )
        header = self.data[entry.header_offset : entry.header_offset + LOCAL_HEADER_BYTES]
        if len(header) < LOCAL_HEADER_BYTES or bytes(header[:4]) != ZIP_STARTS[0]:
            raise UserError(f"{where}: is not where the archive says; get the file again")
        start = entry.header_offset + LOCAL_HEADER_BYTES + sum(struct.unpack("<HH", header[26:30]))
        found = self.data[start : start + entry.file_size]
        if len(found) != entry.file_size:
            raise UserError(f"{where}: is cut off; get the file again")
        return Storage(
            entry.file_size, where, data=found, byte_order=self.byte_order, crc32=entry.CRC
        )

    def resolve(self, identity: Any) -> TypedStorage:
        """What `inert_pickle.load` asks for."""
        key, dtype, count, _ = _storage_identity(identity)
        if key not in self.storages:
            self.storages[key] = self.storage(f"data/{key}")
        storage = self.storages[key]
        if count * _item_bytes(dtype) > storage.size_bytes:
            raise Damaged(f"storage {shown(key)} of {count} values has {storage.size_bytes} bytes")
        return TypedStorage(storage, dtype)


def _storage_identity(identity: Any) -> tuple[str, np.dtype | None, int, Any]:
    """("storage", class, key, device, number of values, maybe a view) -> (key, dtype, number,
    view); dtype None for bytes."""
    if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
        raise Damaged("something that is no storage lies outside of it")
    _, kind, key, _, count, *rest = identity
    known, dtype = storage_dtype(kind.name) if isinstance(kind, Named) else (False, None)
    if not (known and isinstance(key, str) and type(count) is int and 0 <= count < 2**48):
        raise Damaged(f"a storage is a {shown(kind)} of {shown(count)} values")
    return key, dtype, count, rest[0] if rest else None


def _item_bytes(dtype: np.dtype | None) -> int:
    return dtype.itemsize if dtype else 1


def _read_pickles(stream: mmap.mmap, *, where: str) -> WeightsFile:
    """PyTorch's format before 1.6 (several pickles, then the storages), or one plain pickle."""
    legacy = _Legacy(where, names=table(_nested_storage(where)))
    try:
        first = legacy.load(stream)
    except UserError as error:
        if TENSORFLOW_NETWORK in str(error):
            raise UserError(
                f"{where}: is a TensorFlow StyleGAN pickle, want one by PyTorch; convert it with "
                "legacy.py of stylegan2-ada-pytorch"
            ) from None
        raise
    if isinstance(first, int) and first == LEGACY_MAGIC:
        return WeightsFile("torch legacy", legacy.rest(stream, memoryview(stream)))
    if legacy.storages:
        raise UserError(f"{where}: is a pickle whose tensors are not in it; get the whole file")
    _check_end(memoryview(stream), stream.tell(), where=where)
    return WeightsFile("pickle", first)


def _check_end(data: memoryview, end: int, *, where: str) -> None:
    """Raises UserError if anything lies behind what was read: it would be left out unsaid."""
    if end < len(data):
        raise UserError(
            f"{where}: holds {len(data) - end:,} bytes behind its end, want none; if several "
            "objects were saved into it, save this one by itself, else get the file again"
        )


def _nested_storage(where: str) -> Callable[[bytes], TypedStorage]:
    """A reader of a legacy file that is one storage, within a pickle."""

    def read_bytes(data: bytes) -> TypedStorage:
        legacy, stream = _Legacy(where, names=table(None)), io.BytesIO(data)
        magic = legacy.load(stream)
        if not (isinstance(magic, int) and magic == LEGACY_MAGIC):
            raise Damaged("a storage within it is in no known format")
        found = legacy.rest(stream, memoryview(data))
        if not isinstance(found, TypedStorage):
            raise Damaged("a storage within it is something else")
        return found

    return read_bytes


class _Legacy:
    """Pickles of the old format; storages are named in them first and found behind them."""

    def __init__(self, where: str, *, names: Callable[[str], Named | None]):
        self.where = where
        self.names = names
        self.storages: dict[str, TypedStorage] = {}

    def load(self, stream: mmap.mmap | io.BytesIO) -> Any:
        """The next pickle."""
        return inert_pickle.load(
            stream, names=self.names, persistent=self.resolve, where=self.where
        )

    def resolve(self, identity: Any) -> TypedStorage:
        """What `inert_pickle.load` asks for: a storage without its bytes."""
        key, dtype, count, part = _storage_identity(identity)
        if key not in self.storages:
            storage = Storage(count * _item_bytes(dtype), f"{self.where}: storage {shown(key)}")
            self.storages[key] = TypedStorage(storage, dtype)
        found = self.storages[key]
        if found.dtype != dtype:
            raise Damaged(f"storage {shown(key)} is named with two types")
        if part is None:
            return found
        if not (isinstance(part, tuple) and len(part) == 3):
            raise Damaged(f"a view of storage {shown(key)} is a {shown(part)}")
        return found._replace(first=sizes(part[1:2])[0])

    def rest(self, stream: mmap.mmap | io.BytesIO, data: memoryview) -> Any:
        """All that follows the first pickle; fills the storages.

        Raises:
          UserError: if it is of another version, or cut off.
        """
        version = self.load(stream)
        if not (isinstance(version, int) and version == LEGACY_VERSION):
            raise UserError(
                f"{self.where}: is of PyTorch's file version {shown(version)}, want "
                f"{LEGACY_VERSION}; save it with another version of PyTorch"
            )
        self.load(stream)  # byte order and sizes of the writing machine; storages do not follow it
        content, keys = self.load(stream), self.load(stream)
        known = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not known or set(keys) != set(self.storages):
            raise UserError(f"{self.where}: does not hold the storages it names; get it again")
        start = stream.tell()
        for key in keys:
            storage, dtype, _ = self.storages[key]
            start += COUNT_BYTES
            count = int.from_bytes(data[start - COUNT_BYTES : start], "little")
            found = data[start : start + storage.size_bytes]
            if count * _item_bytes(dtype) != storage.size_bytes or len(found) != storage.size_bytes:
                raise UserError(f"{storage.where}: is cut off or damaged; get the file again")
            storage.data = found
            start += storage.size_bytes
        _check_end(data, start, where=self.where)
        return content


def _read_safetensors(data: memoryview, *, where: str) -> dict[str, Tensor]:
    """{name: tensor}: the length of a JSON header, the header, the values."""
    length = int.from_bytes(data[:8], "little")
    values = data[8 + length :]
    storage = Storage(len(values), where, data=values)
    try:
        header = json.loads(bytes(data[8 : 8 + length]))
        header.pop("__metadata__", None)
        return {
            str(name): _safe_tensor(storage, DTYPES[SAFETENSORS_DTYPES[entry["dtype"]]], entry)
            for name, entry in header.items()
        }
    except (Damaged, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{where}: its header is damaged ({shown(str(error))}); get the file again"
        ) from None


def _safe_tensor(storage: Storage, dtype: np.dtype, entry: dict[str, Any]) -> Tensor:
    first, end = entry["data_offsets"]
    return view(_part(storage, first, end), dtype, 0, shape=entry["shape"])


def _part(storage: Storage, first: int, end: int) -> Storage:
    """Bytes first to end of a storage."""
    if not (type(first) is int and type(end) is int and 0 <= first <= end <= storage.size_bytes):
        raise Damaged(f"bytes {shown(first)} to {shown(end)} are not in the file")
    return Storage(end - first, storage.where, data=storage.checked[first:end])


def _check_unpacked(archive: zipfile.ZipFile, *, file_bytes: int, where: str) -> None:
    """Raises UserError if a compressed archive unpacks to far more than it is."""
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > file_bytes + MAX_UNPACKED_BYTES:
        raise UserError(
            f"{where}: unpacks to {unpacked:,} bytes from {file_bytes:,}, want at most "
            f"{MAX_UNPACKED_BYTES:,} more; no net is, get the file again"
        )


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE as error:
        raise UserError(
            f"{path}: cannot be read as arrays ({shown(str(error))}); get the file again"
        ) from None
