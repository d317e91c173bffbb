"""Writes what PyTorch writes, without PyTorch: pickles opcode by opcode, and what lies around them.

Values: None, bool, int, float, str, bytes, list, tuple, dict, numpy arrays (as tensors), and the
classes below for names, calls and objects.
"""

import struct
import zipfile

import ml_dtypes
import numpy as np

STORAGES = {
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
    np.dtype(np.int32): "IntStorage",
    np.dtype(np.int16): "ShortStorage",
    np.dtype(np.int8): "CharStorage",
    np.dtype(np.uint8): "ByteStorage",
    np.dtype(np.bool_): "BoolStorage",
}
MAGIC = 0x1950A86A20F9469CFC6C


class Name:
    """A name: "module", "attribute"."""

    def __init__(self, module, attribute, *, stacked=False):
        self.module, self.attribute, self.stacked = module, attribute, stacked


class Call:
    """name(*args), then its state if there is one; `new` uses NEWOBJ."""

    def __init__(self, name, *args, state=None, new=False, items=None):
        self.name, self.args, self.state, self.new = name, args, state, new
        self.items = items


class Persistent:
    """Something that lies outside of the pickle, under an identity."""

    def __init__(self, identity):
        self.identity = identity


class View:
    """A tensor that is a strided view of an array's memory, which several may share."""

    def __init__(self, base, offset, shape, strides):
        self.base, self.offset, self.shape, self.strides = base, offset, shape, strides


class Raw:
    """Opcodes as they are."""

    def __init__(self, opcodes):
        self.opcodes = opcodes


class Parameter:
    """A tensor wrapped as torch.nn.Parameter."""

    def __init__(self, array):
        self.array = array


class Writer:
    """Pickles values; arrays end in `storages` {key: array}."""

    def __init__(self, *, protocol=2, nested=False):
        self.protocol = protocol
        self.nested = nested  # storages inside the pickle, as plain pickle.dump does it
        self.storages = {}
        self.keys = {}

    def dumps(self, value):
        return b"\x80" + bytes([self.protocol]) + self.one(value) + b"."

    def one(self, value):
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            if -(2**31) <= value < 2**31:
                return b"J" + struct.pack("<i", value)
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str):
            data = value.encode()
            return b"X" + struct.pack("<I", len(data)) + data
        if isinstance(value, bytes):
            return b"B" + struct.pack("<I", len(value)) + value
        if isinstance(value, list):
            return b"](" + b"".join(map(self.one, value)) + b"e"
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self.one, value)) + b"t"
        if isinstance(value, set):
            return self.one(Call(Name("builtins", "set"), sorted(value)))
        if isinstance(value, dict):
            return b"}(" + self._pairs(value) + b"u"
        return self._special(value)

    def _pairs(self, value):
        return b"".join(self.one(key) + self.one(item) for key, item in value.items())

    def _special(self, value):
        if isinstance(value, Raw):
            return value.opcodes
        if isinstance(value, Name):
            if value.stacked:
                return self.one(value.module) + self.one(value.attribute) + b"\x93"
            return f"c{value.module}\n{value.attribute}\n".encode()
        if isinstance(value, Call):
            done = self.one(value.name) + self.one(value.args) + (b"\x81" if value.new else b"R")
            if value.items is not None:
                done += b"(" + self._pairs(value.items) + b"u"
            return done if value.state is None else done + self.one(value.state) + b"b"
        if isinstance(value, Persistent):
            return self.one(value.identity) + b"Q"
        if isinstance(value, Parameter):
            name = Name("torch._utils", "_rebuild_parameter")
            hooks = Call(Name("collections", "OrderedDict"))
            return self.one(Call(name, value.array, True, hooks))
        if not isinstance(value, View):
            value = np.asarray(value)
            steps = [stride // value.itemsize for stride in np.ones(value.shape).strides]
            steps = [step * value.itemsize // 8 for step in steps]
            value = View(value, 0, value.shape, tuple(steps))
        return self._tensor(value)

    def _tensor(self, value):
        hooks = Call(Name("collections", "OrderedDict"))
        base = value.base
        name = Name("torch._utils", "_rebuild_tensor_v2")
        rest = (value.offset, tuple(value.shape), tuple(value.strides), False, hooks)
        if self.nested:
            data = legacy_bytes(Persistent(self._identity(base, "0", legacy=True)), {"0": base})
            storage = Call(Name("torch.storage", "_load_from_bytes"), data)
            return self.one(Call(name, storage, *rest))
        key = self.keys.setdefault(id(base), str(len(self.keys)))
        self.storages[key] = base
        return self.one(Call(name, Persistent(self._identity(base, key)), *rest))

    def _identity(self, base, key, *, legacy=False):
        kind = Name("torch", STORAGES[base.dtype])
        return ("storage", kind, key, "cpu", base.size) + ((None,) if legacy else ())


class LegacyWriter(Writer):
    """With the sixth field that the old format's storages have."""

    def _identity(self, base, key, *, legacy=True):
        return super()._identity(base, key, legacy=True)


def legacy_bytes(value, storages=None):
    """A file of PyTorch before 1.6."""
    writer = LegacyWriter()
    body = writer.dumps(value)
    storages = writer.storages if storages is None else storages
    plain = Writer()
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [plain.dumps(MAGIC), plain.dumps(1001), plain.dumps(info), body]
    parts.append(plain.dumps(sorted(storages)))
    for key in sorted(storages):
        data = np.ascontiguousarray(storages[key])
        parts.append(struct.pack("<q", data.size) + data.tobytes())
    return b"".join(parts)


def write_zip(path, value, *, byte_order="little", pickle=None, prefix="archive", drop=()):
    """A file of PyTorch 1.6 and above; `pickle` replaces data.pkl, `drop` leaves entries out."""
    writer = Writer()
    body = writer.dumps(value) if pickle is None else pickle
    entries = {"data.pkl": body, "byteorder": byte_order.encode(), "version": b"3\n"}
    for key, array in writer.storages.items():
        data = np.ascontiguousarray(array)
        swapped = byte_order == "big" and data.itemsize > 1
        entries[f"data/{key}"] = (data.byteswap() if swapped else data).tobytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            if name not in drop:
                archive.writestr(f"{prefix}/{name}", data)
    return path


def write_legacy(path, value):
    path.write_bytes(legacy_bytes(value))
    return path


def write_pickle(path, value, *, protocol=4):
    """A plain pickle of tensors, as NVIDIA's are."""
    path.write_bytes(Writer(protocol=protocol, nested=True).dumps(value))
    return path


def ordered(state):
    """A state_dict as PyTorch has it: an OrderedDict with an attribute."""
    return Call(
        Name("collections", "OrderedDict"), items=state, state={"_metadata": {"": {"version": 1}}}
    )


def module(name, *, parameters=None, buffers=None, children=None, unsaved=()):
    """An object of one of NVIDIA's persistent classes, with its source embedded."""
    state = {
        "training": False,
        "_parameters": Call(Name("collections", "OrderedDict"), items=parameters or {}),
        "_buffers": Call(Name("collections", "OrderedDict"), items=buffers or {}),
        "_non_persistent_buffers_set": set(unsaved),
        "_modules": Call(Name("collections", "OrderedDict"), items=children or {}),
        "_init_kwargs": Call(Name("dnnlib.util", "EasyDict"), new=True, items={"z_dim": 512}),
    }
    meta = {
        "type": "class",
        "version": 6,
        "module_src": "raise SystemExit('the embedded source was run')",
        "class_name": name,
        "state": state,
    }
    return Call(Name("torch_utils.persistence", "_reconstruct_persistent_obj"), meta)
