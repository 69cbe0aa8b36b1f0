"""Dataclasses as mappings of plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def plain(value: Any) -> Any:
    """Dataclasses become mappings, tuples lists."""
    kind: Any = type(value)
    if _is_ours(kind):
        return {name: plain(getattr(value, name)) for name in _types(kind)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


def restored(kind: Any, value: Any) -> Any:
    """A value of this type, of what `plain` has made of it."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if value is None or kind is Any:
        return value
    if _is_ours(kind):
        types = _types(kind)
        return kind(**{name: restored(types[name], value[name]) for name in types})
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        repeated = kinds[1:] == (...,)
        return tuple(restored(kinds[0 if repeated else i], item) for i, item in enumerate(value))
    if isinstance(value, Mapping):
        return {key: tuple(x) if isinstance(x, list) else x for key, x in value.items()}
    return value


def _is_ours(kind: Any) -> bool:
    return is_dataclass(kind)


@cache
def _types(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
