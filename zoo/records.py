"""Frozen records to values that JSON holds, and back exactly. No torch.

A record becomes an object whose `type` names its class, so that a field that may hold one of
several records is read back as the right one. What is read may come from strangers: every value is
held against the field's type.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from zoo.errors import FormatError
from zoo.frozen import FrozenMap

Record = TypeVar("Record")
_TAG = "type"


def to_plain(value: Any, *, defaults: bool = True) -> Any:  # noqa: ANN401  whatever a record holds
    """Return a record, or a value of one, as JSON-able values.

    Args:
        value: To be written.
        defaults: Whether fields that have their default value are written too. Without them a
            record is the same as before some field was added to its class, which hashes need.

    Raises:
        TypeError: JSON has nothing for it.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        plain = {
            field.name: to_plain(getattr(value, field.name), defaults=defaults)
            for field in fields(value)
            if defaults or getattr(value, field.name) != _default(field)
        }
        return {_TAG: type(value).__name__, **plain}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, defaults=defaults) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [to_plain(item, defaults=defaults) for item in value]
    raise TypeError(f"JSON has nothing for a {type(value).__name__}.")


def _default(field: Field[Any]) -> Any:  # noqa: ANN401  as above
    """Return the default of a field, MISSING if it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def from_plain(kind: type[Record], value: Any, where: str) -> Record:  # noqa: ANN401  JSON
    """Return the record that `to_plain` was given.

    Args:
        kind: Its class.
        value: Parsed JSON.
        where: What it is, for messages.

    Raises:
        FormatError: A field is missing, unknown, or of another type.
    """
    return cast(Record, _read(kind, value, where))


def _read(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401  a type, or a special form
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Literal:
        if any(type(value) is type(choice) and value == choice for choice in arguments):
            return value
        raise _wrong(where, " or ".join(map(repr, arguments)), value)
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, where)
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        return FrozenMap(
            {key: _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
        )
    if is_dataclass(kind):
        return _read_record(kind, value, where)
    if type(value) is kind or (kind is float and type(value) is int):
        return kind(value) if kind is float else value
    raise _wrong(where, "nothing" if kind is type(None) else f"of type {kind.__name__}", value)


def _read_record(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401  as above
    if not isinstance(value, dict) or value.get(_TAG) != kind.__name__:
        raise _wrong(where, f"a {kind.__name__}", value)
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(value) - {*known, _TAG})
    if unknown:
        raise FormatError(f"{where} has {', '.join(map(repr, unknown))}, which nothing knows.")
    hints = _hints(kind)
    values = {}
    for name, field in known.items():
        if name in value:
            values[name] = _read(hints[name], value[name], f"{where}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise FormatError(f"{where} has no {name!r}.")
    try:
        return kind(**values)
    except ValueError as error:  # a record that checks itself
        raise FormatError(f"{where}: {error}") from error


def _read_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:  # noqa: ANN401
    for choice in choices:
        if is_dataclass(choice):
            name = cast(type, choice).__name__
            if isinstance(value, dict) and value.get(_TAG) == name:
                return _read_record(choice, value, where)
            continue
        try:
            return _read(choice, value, where)
        except FormatError:
            continue
    names = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
    raise _wrong(where, f"of type {names}", value)


def _read_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:  # noqa: ANN401
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    if len(arguments) == 2 and arguments[1] is ...:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise _wrong(where, f"a list of {len(arguments)}", value)
    return tuple(
        _read(kind, item, f"{where}[{index}]")
        for index, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _wrong(where: str, wanted: str, value: object) -> FormatError:
    return FormatError(f"{where} is {str(value)[:60]!r}; it must be {wanted}.")
