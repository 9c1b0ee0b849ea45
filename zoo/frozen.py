"""A mapping that nobody changes, for records that are shared. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value", covariant=True)


class FrozenMap(Mapping[Key, Value]):
    """A read-only dictionary; like a tuple it can be hashed, copied and pickled.

    `types.MappingProxyType` can be neither copied nor pickled, and hashed from Python 3.12 on only.

    Args:
        items: Copied; by default none.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[Key, Value] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: Key) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def freeze(record: object, *names: str) -> None:
    """Replace mappings among the fields of a frozen dataclass, in its `__post_init__`.

    Args:
        record: That is being made.
        names: Of the fields.
    """
    for name in names:
        object.__setattr__(record, name, FrozenMap(getattr(record, name)))
