"""Arrays in a pickled NPY file, read without unpickling: what would be called is looked at, and nothing is called.

A packet file of events, as Bullying10K has them, is a pickled list of structured arrays. Source: the opcodes as
documented in Python's `pickletools`, and what `numpy.ndarray.__reduce__` and `numpy.dtype.__reduce__` write.
"""

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

_MARK = object()

_VALUES = frozenset(
    {
        *("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_DTYPE = ("numpy dtype",)
_ENCODE = ("_codecs encode",)


@dataclass
class _Call:
    """What the pickle would make by a call, and the state that it would set."""

    name: str
    arguments: Any
    state: Any = None


def read_packets(data: bytes) -> np.ndarray:
    """The structured arrays in a pickle of an array or list of them, joined: [N]. Raises ValueError for any other."""
    arrays = _packets(_parse(data), 2)
    if not arrays or any(array.dtype != arrays[0].dtype for array in arrays):
        raise ValueError("it holds objects that are no packets of one kind")
    return np.concatenate([array.ravel() for array in arrays])


def _packets(value: Any, depth: int) -> list[np.ndarray]:
    if isinstance(value, list) and depth:
        return [array for one in value for array in _packets(one, depth - 1)]
    if isinstance(value, _Call) and value.name in _RECONSTRUCT:
        _, shape, dtype, fortran, content = _state(value, 5)
        kind = _dtype(dtype)
        if kind is None:
            return _packets(content, depth - 1) if depth else []
        content = _bytes(content)
        if not isinstance(shape, tuple) or fortran or len(content) != kind.itemsize * prod(shape):
            raise ValueError("it holds an array of another size than it states")
        return [np.frombuffer(content, kind)]
    raise ValueError("it holds objects that are no arrays")


def _dtype(value: Any) -> np.dtype | None:
    """A structured type; None for that of objects."""
    if not isinstance(value, _Call) or value.name not in _DTYPE or not isinstance(value.arguments[0], str):
        raise ValueError("it holds an array of no type")
    if value.arguments[0] in ("O8", "O"):
        return None
    state = _state(value, 6)
    names, fields, size = state[3], state[4], state[5]
    if not names or not isinstance(fields, dict):
        raise ValueError("it holds arrays without fields")
    kinds = [_plain(fields[name][0]) for name in names]
    offsets = [fields[name][1] for name in names]
    return np.dtype({"names": list(names), "formats": kinds, "offsets": offsets, "itemsize": size})


def _plain(value: Any) -> str:
    """The type of a column, such as "<i8"."""
    if not isinstance(value, _Call) or value.name not in _DTYPE:
        raise ValueError("it holds columns of no type")
    code = value.arguments[0]
    if not isinstance(code, str) or code[:1] not in ("i", "u", "f", "b"):
        raise ValueError("it holds columns that are no numbers")
    order = _state(value, 2)[1] if value.state is not None else "="
    return (order if order in ("<", ">") else "") + code


def _state(value: _Call, least: int) -> tuple:
    if not isinstance(value.state, tuple) or len(value.state) < least:
        raise ValueError("it holds an object that was cut")
    return value.state


def _bytes(value: Any) -> bytes:
    """Bytes, also those that old protocols write as text."""
    if isinstance(value, _Call) and value.name in _ENCODE and isinstance(value.arguments[0], str):
        return value.arguments[0].encode("latin-1")
    if not isinstance(value, bytes | bytearray):
        raise ValueError("it holds an array without content")
    return bytes(value)


def _parse(data: bytes) -> Any:
    """What a pickle describes, of plain values, lists, tuples, dictionaries and `_Call`."""
    machine = _Machine()
    try:
        # Text of old protocols may have escapes that Python warns of.
        with warnings.catch_warnings(action="ignore"):
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name == "STOP":
                    return machine.stack[-1]
                machine.step(opcode.name, argument)
    except ValueError:
        raise
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("its pickle makes no sense") from error
    raise ValueError("its pickle ends early")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._gather(tuple, _TUPLES[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name not in ("PROTO", "FRAME"):
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise ValueError(f"its pickle has {name}, which no array needs")
            step(argument)

    def _gather(self, kind: Callable[[Any], Any], count: int) -> None:
        first = len(self.stack) - count
        if first < 0:
            raise IndexError
        self.stack[first:] = [kind(self.stack[first:])]

    def _since_mark(self) -> list[Any]:
        mark = len(self.stack) - 1
        while self.stack[mark] is not _MARK:
            mark -= 1
            if mark < 0:
                raise IndexError
        values = self.stack[mark + 1 :]
        del self.stack[mark:]
        return values

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _empty_list(self, _: Any) -> None:
        self.stack.append([])

    def _empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _dict(self, _: Any) -> None:
        values = self._since_mark()
        self.stack.append(dict(zip(values[::2], values[1::2], strict=True)))

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        self.stack[-1].append(value)

    def _appends(self, _: Any) -> None:
        values = self._since_mark()
        self.stack[-1].extend(values)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][key] = value

    def _setitems(self, _: Any) -> None:
        values = self._since_mark()
        self.stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _global(self, argument: str) -> None:
        self.stack.append(_Call(argument, None))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_Call(f"{module} {name}", None))

    def _reduce(self, _: Any) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_Call(called.name, arguments))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        self.stack[-1].state = state
