"""Typed configuration: frozen dataclasses built from plain values, with errors that name the nearest key."""

import ast
import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from spikereel.errors import ConfigError

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
        raise ConfigError(_one_line(str(error))) from None
    built = parser.instantiate(parsed).value
    return dataclasses.replace(built, **{name: dict(value) for name, value in free.items()}) if free else built


def override(config: C, assignments: Iterable[str]) -> C:
    """A copy of a dataclass with `a.b=value` assignments applied; values are read as JSON or Python literals.

    Options that hold text alone take theirs as it stands: `name=0016E5` is no number.
    """
    values = dataclasses.asdict(config)
    for assignment in assignments:
        key, found, text = assignment.partition("=")
        if not found:
            raise ConfigError(f"{assignment!r} is not an assignment; write key=value, for example train.epochs=5")
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
    value = _literal(text)
    is_text = value is None or isinstance(value, str) or not _is_text_alone(typing.get_type_hints(cls)[leaf])
    values[leaf] = value if is_text else text


def _is_text_alone(kind: Any) -> bool:
    """Whether a field of this type holds strings, or None, and nothing else."""
    if typing.get_origin(kind) is typing.Literal:
        return all(isinstance(x, str) for x in typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return all(_is_text_alone(part) for part in typing.get_args(kind) if part is not type(None))
    return kind is str


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
