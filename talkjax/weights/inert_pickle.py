"""Reads a pickle as data. Nothing that it names is imported, and nothing in it is called.

A small stack machine over `pickletools.genops`. A name in the file becomes the `Named` that the
caller's table holds for it, and a name that is not in the table ends the reading. What a file
"calls" is one of the table's own functions of plain data, or nothing.

Python's `pickle` with a `find_class` of its own would do less: objects' `__setstate__`, methods
of what was built and `copyreg` extensions still run there.
"""

import io
import mmap
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from talkjax.errors import UserError

# Everything else as a key would be hashed, and deep tuples hash by recursion.
KEY_TYPES = (str, bytes, int, float, bool, type(None))
SHOWN_NAME_LENGTH = 80
SHOWN_BITS = 128
# What a call may copy. One text, named again for each of many calls, would fill the memory; so all
# calls together are given no more than what was read a few times over (text is made bytes, and
# those a storage), and a bit.
COPIED_TYPES = (str, bytes, bytearray, list, tuple, dict, set, frozenset)
MAX_READINGS, MAX_COPIES = 4, 2**22


class Named:
    """What a name in a pickle stands for here.

    Attributes:
      name: as it stands in the file.
      make: our function of the arguments that the file gives (a tuple of anything, so it may
        raise `Damaged`, ValueError, TypeError, ...); None for a name that is only mentioned.
    """

    def __init__(self, name: str, make: Callable[[tuple], Any] | None = None):
        self.name = name
        self.make = make

    def __repr__(self) -> str:
        return self.name


class Inert:
    """An object of a class that is not known here: its name and what was to be put into it."""

    def __init__(self, name: str, args: tuple = (), state: Any = None):
        self.name = name
        self.args = args
        self.state = state

    def set_state(self, state: Any) -> None:
        """Keeps the state that the file gives."""
        self.state = state

    def __repr__(self) -> str:
        return f"<{shown(self.name)}>"


class Damaged(Exception):
    """The pickle is not well formed, or asks for what is not read here; its text says how."""


class Refused(Exception):
    """The pickle names something that is no part of a file of weights."""

    def __init__(self, name: str):
        super().__init__(shown(name))


def shown(value: object) -> str:
    """What a file holds, fit for a message: printable and short.

    Only text, numbers and `Named` are told, everything else by its type: a tuple that holds
    itself twice, twenty times over, is a megabyte of text, and a deep one has no end.
    """
    if isinstance(value, Named):
        value = value.name
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS:
        return f"number of {value.bit_length()} bits"
    if not isinstance(value, (str, int, float)):
        return f"<{type(value).__name__}>"
    text = str(value)
    cut = "..." if len(text) > SHOWN_NAME_LENGTH else ""
    return "".join(c if c.isprintable() else "?" for c in text[:SHOWN_NAME_LENGTH]) + cut


def load(
    stream: io.BytesIO | mmap.mmap,
    *,
    names: Callable[[str], Named | None],
    persistent: Callable[[Any], Any],
    where: str,
) -> Any:
    """The object that a pickle describes; the stream is left behind its end.

    Args:
      names: "module.name" -> what it stands for, None to refuse it.
      persistent: resolves what the pickle keeps outside of it (tensors' storages); may raise
        `Damaged`.
      where: the file, for error messages.

    Raises:
      UserError: if the pickle is damaged, or names anything that is refused.
    """
    machine = _Machine(names, persistent)
    position = 0
    try:
        for opcode, argument, at in pickletools.genops(stream):
            position = machine.position = at or 0
            machine.step(opcode.name, argument)
    except Refused as refused:
        raise UserError(
            f"{where}: its pickle names {refused}, which has no place in a file of weights; "
            "nothing of it was run. Use a file from its authors, or one with plain state_dicts"
        ) from None
    except UserError:  # of a storage within it, and a ValueError itself
        raise
    except (Damaged, ValueError) as error:  # ValueError: by genops, at what is cut off or unknown
        reason = shown(" ".join(str(error).split()))
        raise UserError(
            f"{where}: its pickle is damaged near byte {position} ({reason}); get the file again"
        ) from None
    except RecursionError:
        raise UserError(
            f"{where}: its pickle is nested too deeply near byte {position}; no file of weights "
            "is, get the file again"
        ) from None
    return machine.result


class _Machine:
    """The pickle machine's stack, marks and memo."""

    def __init__(self, names, persistent):
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.names = names
        self.persistent = persistent
        self.result: Any = None
        self.position = 0
        self.given = 0

    def step(self, name: str, argument: Any) -> None:
        if name in PUSH_ARGUMENT:
            self.stack.append(argument)
        elif name in PUSH_NEW:
            self.stack.append(PUSH_NEW[name]())
        elif name in STEPS:
            STEPS[name](self, argument)
        elif name.startswith("EXT"):
            raise Refused(f"extension {argument}")
        else:
            raise Damaged(f"{name} is not read here")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise Damaged("takes from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack:
            raise Damaged("looks at an empty stack")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise Damaged("has no mark")
        found, self.stack = self.stack, self.marks.pop()
        return found

    def mark(self, _) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def tuple_of(self, count: int) -> None:
        self.stack.append(tuple(reversed([self.pop() for _ in range(count)])))

    def put(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Damaged(f"has nothing in memo {index}")
        self.stack.append(self.memo[index])

    def pop_one(self, _) -> None:
        # A mark on top of an empty stack is what is popped then.
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise Damaged(f"appends to a {type(target).__name__}")
        target.extend(items)

    def append_one(self, _) -> None:
        self.extend([self.pop()])

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, dict):
            raise Damaged(f"sets items of a {type(target).__name__}")
        target.update(_pairs(items))

    def set_one_item(self, _) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def add_items(self, items: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, set):
            raise Damaged(f"adds items to a {type(target).__name__}")
        target.update(map(checked_key, items))

    def named(self, name: str) -> Named:
        found = self.names(name)
        if found is None:
            raise Refused(name)
        return found

    def global_(self, argument: str) -> None:
        # genops joins module and name by a space.
        self.stack.append(self.named(".".join(argument.split(" ", 1))))

    def stack_global(self, _) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise Damaged("names something by what is no text")
        self.stack.append(self.named(f"{module}.{name}"))

    def make(self, target: Any, args: Any) -> None:
        if not isinstance(target, Named) or target.make is None:
            what = target.name if isinstance(target, Named) else type(target).__name__
            raise Refused(f"a call of {shown(what)}")
        if not isinstance(args, tuple):
            raise Damaged(f"calls {shown(target)} without a tuple")
        self.given += sum(len(one) for one in args if isinstance(one, COPIED_TYPES))
        if self.given > MAX_READINGS * self.position + MAX_COPIES:
            raise Damaged(f"gives its calls the same {self.given} values again and again")
        try:
            self.stack.append(target.make(args))
        except UserError:
            raise
        except (TypeError, ValueError, LookupError, OverflowError, AttributeError) as error:
            raise Damaged(f"{shown(target)} is given what it cannot take: {error}") from None

    def reduce(self, _) -> None:
        args, target = self.pop(), self.pop()
        self.make(target, args)

    def new_object_ex(self, _) -> None:
        options, args, target = self.pop(), self.pop(), self.pop()
        if options:
            raise Refused(f"a call of {shown(target)} with named arguments")
        self.make(target, args)

    def instance(self, argument: str) -> None:
        args = tuple(self.since_mark())
        self.make(self.named(".".join(argument.split(" ", 1))), args)

    def object_(self, _) -> None:
        target, *args = self.since_mark() or [None]
        self.make(target, tuple(args))

    def build(self, _) -> None:
        state = self.pop()
        target = self.top()
        if isinstance(target, dict):
            return  # attributes of an OrderedDict, such as a state_dict's _metadata
        if not isinstance(target, Inert):
            raise Damaged(f"sets the state of a {type(target).__name__}")
        target.set_state(state)

    def resolve(self, identity: Any) -> None:
        self.stack.append(self.persistent(identity))

    def stop(self, _) -> None:
        self.result = self.pop()


def checked_key(key: Any) -> Any:
    """A key of a dict or a member of a set.

    Raises:
      Damaged: if it is neither text nor number.
    """
    if not isinstance(key, KEY_TYPES):
        raise Damaged(f"has a {type(key).__name__} as a key")
    return key


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise Damaged("has a key without a value")
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


PUSH_ARGUMENT = frozenset(
    [
        *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    ]
)
PUSH_NEW: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "MARK": _Machine.mark,
    "STOP": _Machine.stop,
    "POP": _Machine.pop_one,
    "POP_MARK": lambda m, _: m.since_mark() and None,
    "DUP": lambda m, _: m.stack.append(m.top()),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "DICT": lambda m, _: m.push(_pairs(m.since_mark())),
    "FROZENSET": lambda m, _: m.push(frozenset(map(checked_key, m.since_mark()))),
    "APPEND": _Machine.append_one,
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": _Machine.set_one_item,
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "ADDITEMS": lambda m, _: m.add_items(m.since_mark()),
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_object_ex,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_,
    "BUILD": _Machine.build,
    "PERSID": _Machine.resolve,
    "BINPERSID": lambda m, _: m.resolve(m.pop()),
}
