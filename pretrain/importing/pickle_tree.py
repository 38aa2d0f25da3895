"""Read a pickle as data: nothing it names is imported, nothing it asks to call is called.

A pickle is a program for a small stack machine. `read_pickle` runs that machine symbolically: where the program wants a
class or function, the result is an inert `Name`; where it wants a call, the result is an inert `Call` that records
the function and its arguments. What a file means by its tree is decided afterwards by code that knows the handful of
shapes a checkpoint may have (`torch_file.py`, `numpy_nodes.py`), so a hostile file is merely a tree of unknown shape.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from pretrain.importing.damage import damaged


@dataclass(frozen=True)
class Name:
    """A module-level name in the file, e.g. ``torch._utils._rebuild_tensor_v2``. Never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Call:
    """``target(*args)`` as the file wants it, with what was stored into the result afterwards. Never made."""

    target: Any
    args: Any
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)

    def calls(self, *names: str) -> bool:
        """Tell whether the target is one of these dotted names."""
        return isinstance(self.target, Name) and str(self.target) in names


@dataclass(eq=False)
class Persistent:
    """A reference to data stored outside the pickle (a torch storage)."""

    pid: Any


_MARK = object()
_PUSH_ARGUMENT = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_PUSH_CONSTANT: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})


class _Machine:
    """The stack machine; one method per kind of opcode."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _PUSH_ARGUMENT:
            self.stack.append(argument)
        elif opcode in _PUSH_CONSTANT:
            self.stack.append(_PUSH_CONSTANT[opcode]())
        elif opcode == "MARK":
            self.stack.append(_MARK)
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif opcode == "DUP":
            self.stack.append(self.stack[-1])
        elif opcode == "POP":
            self.stack.pop()
        elif opcode == "POP_MARK":
            self._to_mark()
        elif opcode not in _IGNORED:
            self._build(opcode, argument)

    def _build(self, opcode: str, argument: Any) -> None:
        pop, push = self.stack.pop, self.stack.append
        match opcode:
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode[-1])
                if len(self.stack) < count:
                    raise IndexError("stack underflow")
                parts = tuple(self.stack[-count:])
                del self.stack[-count:]
                push(parts)
            case "TUPLE":
                push(tuple(self._to_mark()))
            case "LIST":
                push(self._to_mark())
            case "DICT":
                push(_pairs(self._to_mark()))
            case "FROZENSET":
                push(frozenset(map(_key, self._to_mark())))
            case "APPEND":
                value = pop()
                _extend(self.stack[-1], [value])
            case "APPENDS" | "ADDITEMS":
                values = self._to_mark()
                _extend(self.stack[-1], values)
            case "SETITEM":
                value, key = pop(), pop()
                _update(self.stack[-1], {_key(key): value})
            case "SETITEMS":
                values = self._to_mark()
                _update(self.stack[-1], _pairs(values))
            case "GLOBAL":
                module, _, name = argument.partition(" ")
                push(Name(module, name))
            case "STACK_GLOBAL":
                name, module = pop(), pop()
                if not (isinstance(module, str) and isinstance(name, str)):
                    raise TypeError("a name that is no text")
                push(Name(module, name))
            case "REDUCE" | "NEWOBJ":
                args, target = pop(), pop()
                push(Call(target, args))
            case "NEWOBJ_EX":
                keywords, args, target = pop(), pop(), pop()
                push(Call(target, args, items=dict(keywords)))
            case "OBJ":
                target, *args = self._to_mark()
                push(Call(target, tuple(args)))
            case "INST":
                module, _, name = argument.partition(" ")
                push(Call(Name(module, name), tuple(self._to_mark())))
            case "BUILD":
                state = pop()
                if not isinstance(self.stack[-1], Call):
                    raise TypeError("state for something that is no object")
                self.stack[-1].state = state
            case "PERSID" | "BINPERSID":
                push(Persistent(argument if opcode == "PERSID" else pop()))
            case _:  # EXT1.., NEXT_BUFFER, READONLY_BUFFER: no checkpoint has them
                raise ValueError(f"opcode {opcode}")

    def _to_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]


def _pairs(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise ValueError("a key without a value")
    return dict(zip(map(_key, values[::2]), values[1::2], strict=True))


def _key(value: Any) -> Any:
    """A value that may be hashed. Nested tuples may not: a few bytes of them can take for ever to hash."""
    if isinstance(value, (tuple, frozenset)) and any(isinstance(part, (tuple, frozenset)) for part in value):
        raise TypeError("nested tuples as a key")
    return value


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, Call):
        target.elements.extend(values)
    elif isinstance(target, list):
        target.extend(values)
    elif isinstance(target, set):
        target.update(map(_key, values))
    else:
        raise TypeError("elements for something that is no list or set")


def _update(target: Any, items: dict[Any, Any]) -> None:
    if isinstance(target, Call):
        target.items.update(items)
    elif isinstance(target, dict):
        target.update(items)
    else:
        raise TypeError("items for something that is no dict")


def read_pickle(file: IO[bytes], source: str) -> Any:
    """Read the one pickle that starts at the file's position as a tree; leaves the position behind its STOP.

    Args:
        file: open binary file.
        source: name of the file in errors.

    Raises:
        PolymeraseError: the bytes are not a whole pickle.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.step(opcode.name, argument)
        (result,) = machine.stack
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        UnicodeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as why:
        raise damaged(source, why) from None
    return result


def describe(node: Any) -> str:
    """Describe a node in a few words for an error message, of bounded size whatever the tree holds."""
    if isinstance(node, (Name, bool, int, float, str, bytes, type(None))):
        return (str(node) if isinstance(node, Name) else repr(node))[:60]
    return type(node).__name__
