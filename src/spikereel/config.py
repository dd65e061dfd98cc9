"""Typed configuration: frozen dataclasses built from plain values, with errors that name the nearest key."""

import ast
import dataclasses
import difflib
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from spikereel.errors import ConfigError
from spikereel.files import expand

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


def build(cls: type[C], values: Mapping[str, Any]) -> C:
    """An instance of the dataclass `cls`; values may be JSON types, nested mappings for nested dataclasses.

    Raises ConfigError for an unknown key (naming the nearest one) or a value of the wrong type.
    """
    _check_keys(cls, values, "")
    from jsonargparse import ArgumentError, ArgumentParser

    # the parser would read numbers into the text of values whose type is left open
    hints = typing.get_type_hints(cls)
    free = {name: value for name, value in values.items() if typing.get_origin(hints[name]) is dict}
    for name, value in free.items():
        if not isinstance(value, Mapping):
            raise ConfigError(f"option {name!r} holds several values by name, not the one value {value!r}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "value", skip=set(free))
    try:
        parsed = parser.parse_object({"value": {name: x for name, x in values.items() if name not in free}})
    except ArgumentError as error:
        raise ConfigError(_complaint(cls, values) or _one_line(str(error))) from None
    built = parser.instantiate(parsed).value
    return dataclasses.replace(built, **{name: dict(value) for name, value in free.items()}) if free else built


def override(config: C, assignments: Iterable[str]) -> C:
    """A copy of a dataclass with `a.b=value` assignments applied; values are read as JSON or Python literals.

    Options that hold text alone take theirs as it stands: `name=0016E5` is no number, nor is an item of `[2011_09_26]`
    in a list of text.
    """
    values = dataclasses.asdict(config)
    for assignment in assignments:
        key, found, text = assignment.partition("=")
        if not found:
            example = _example(known_keys(type(config)))
            raise ConfigError(f"{assignment!r} is not an assignment; write key=value, for example {example}")
        _assign(type(config), values, key.strip(), text.strip())
    return build(type(config), values)


def known_keys(cls: type, prefix: str = "") -> list[str]:
    """Dotted names of all fields, nested ones included."""
    keys = []
    for name, kind in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(kind):
            keys += known_keys(kind, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            keys.append(prefix + name)
    return keys


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of nested settings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def unknown_key(key: str, options: Iterable[str], what: str = "option") -> ConfigError:
    """The error for a key that does not exist."""
    options = list(options)
    near = difflib.get_close_matches(key, options, n=1, cutoff=0.4)
    tail = [o for o in options if o.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    best = (tail or near)[:1]
    hint = f"did you mean {best[0]!r}?" if best else f"choose one of {', '.join(options)}"
    return ConfigError(f"unknown {what} {key!r}; {hint}")


def _check_keys(cls: type, values: Mapping[str, Any], prefix: str) -> None:
    hints = typing.get_type_hints(cls)
    for name, value in values.items():
        if name not in hints:
            raise unknown_key(prefix + name, known_keys(cls, prefix))
        if not dataclasses.is_dataclass(hints[name]):
            continue
        if not isinstance(value, Mapping):
            raise ConfigError(f"option {prefix + name!r} holds several options, not the one value {value!r}")
        _check_keys(hints[name], value, f"{prefix}{name}.")  # type: ignore[arg-type]


def _assign(cls: type, values: dict, key: str, text: str) -> None:
    if key not in known_keys(cls):
        raise unknown_key(key, known_keys(cls))
    *path, leaf = key.split(".")
    for part in path:
        cls, values = typing.get_type_hints(cls)[part], values[part]
    value, kind = _literal(text), typing.get_type_hints(cls)[leaf]
    if isinstance(value, str):
        value = expand(value, home=True)
    is_text = value is None or isinstance(value, str) or not _is_text_alone(kind)
    values[leaf] = value if is_text else text
    if _is_list_of_text(kind) and not _fits(kind, value):
        values[leaf] = _listed(text) or value


def _example(keys: Sequence[str]) -> str:
    """An assignment that can be made, for a message."""
    return next((f"{key}=5" for key in keys if key.rpartition(".")[2] in ("epochs", "frames")), f"{keys[0]}=VALUE")


def _complaint(cls: type, values: Mapping[str, Any], prefix: str = "") -> str | None:
    """What to say of the first value that its field cannot have; None where every one may be right."""
    for name, kind in typing.get_type_hints(cls).items():
        if name not in values:
            continue
        if dataclasses.is_dataclass(kind):
            if found := _complaint(kind, values[name], f"{prefix}{name}."):  # type: ignore[arg-type]
                return found
        elif not _fits(kind, values[name]):
            value = values[name]
            if typing.get_origin(kind) is typing.Literal:
                choices = [str(x) for x in typing.get_args(kind)]
                near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.4)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                return f"option {prefix + name!r} must be one of {', '.join(choices)}; got {value!r}{hint}"
            return f"option {prefix + name!r} is {value!r}: {_wish(kind)}"
    return None


def _fits(kind: Any, value: Any) -> bool:
    """Whether a plain value can be one of this type; types that are not known here take anything."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return value in parts
    if origin in (typing.Union, types.UnionType):
        return any(_fits(part, value) for part in parts)
    if origin is tuple:
        each = parts[:1] * len(value) if isinstance(value, list | tuple) and parts[-1] is Ellipsis else parts
        whole = isinstance(value, list | tuple) and len(value) == len(each)
        return whole and all(map(_fits, each, value))
    plain = {float: (int, float), int: int, bool: bool, str: str, type(None): type(None)}
    return kind not in plain or (isinstance(value, plain[kind]) and (kind is bool or not isinstance(value, bool)))


def _wish(kind: Any) -> str:
    """What to give for a field of this type."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return f"choose one of {', '.join(map(str, parts))}"
    if origin in (typing.Union, types.UnionType):
        own = [_wish(part) for part in parts if part is not type(None)]
        return " or ".join([*own, *(["none"] if type(None) in parts else [])])
    if origin is tuple:
        example = {float: ("0.5", "1.0", "1.5"), int: ("1", "2", "3")}.get(parts[0], ("a", "b", "c"))
        count = len(parts) if parts[-1] is not Ellipsis else 2
        return f"give a list such as [{', '.join((example * count)[:count])}]"
    words = {float: "give a number", int: "give a whole number", bool: "give true or false", str: "give text"}
    return words.get(kind, f"give a {getattr(kind, '__name__', kind)}")


def _is_text_alone(kind: Any) -> bool:
    """Whether a field of this type holds strings, or None, and nothing else."""
    if typing.get_origin(kind) is typing.Literal:
        return all(isinstance(x, str) for x in typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return all(_is_text_alone(part) for part in typing.get_args(kind) if part is not type(None))
    return kind is str


def _is_list_of_text(kind: Any) -> bool:
    """Whether a field of this type holds a list of strings, or None, and nothing else."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return all(_is_list_of_text(part) for part in typing.get_args(kind) if part is not type(None))
    parts = [part for part in typing.get_args(kind) if part is not Ellipsis]
    return typing.get_origin(kind) is tuple and all(map(_is_text_alone, parts))


def _listed(text: str) -> list[str] | None:
    """The items of a list, as they are written: [2011_09_26, "07", on] are three names. None where it is no list."""
    found = re.fullmatch(r"\[(.*)\]|\((.*)\)", text)
    if found is None:
        return None
    inside = found[1] if found[1] is not None else found[2]
    items = re.findall(r"""\s*("[^"]*"|'[^']*'|[^,]*[^,\s])\s*(?:,|$)""", inside)
    return [x[1:-1] if x[0] in "\"'" and x[-1] == x[0] else x for x in items]


def _literal(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return {"none": None, "None": None, "True": True, "False": False}.get(text, text)


def _one_line(message: str) -> str:
    text = " ".join(message.split()).replace("value.", "", 1)
    return text.replace("Parser key", "option").replace("typing.", "").replace("<class '", "").replace("'>", "")
