"""Checks attribute values against the annotations of the fields they fill.

Type checkers see values built in Python; text from outside is checked here, so that a pass may rely on the
declared types.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import attrs


def fields_of(cls: type[object]) -> dict[str, attrs.Attribute[Any]]:
    """Fields of an attrs class by name, in order; none for another class."""
    if cls not in _FIELDS:
        _FIELDS[cls] = attrs.fields_dict(cls) if attrs.has(cls) else {}
    return _FIELDS[cls]


_FIELDS: dict[type[object], dict[str, attrs.Attribute[Any]]] = {}


def field_types(cls: type[object]) -> dict[str, Any]:
    """Resolved annotations of a class; a class whose annotations cannot be resolved at run time is not checked."""
    if cls not in _RESOLVED:
        try:
            _RESOLVED[cls] = get_type_hints(cls, localns={"AttrValue": Any})
        except (NameError, TypeError, AttributeError):
            _RESOLVED[cls] = {}
    return _RESOLVED[cls]


_RESOLVED: dict[type[object], dict[str, Any]] = {}


def conforms(value: object, annotation: Any) -> bool:
    """Whether a value fits an annotation; what is not understood fits. An int passes for a float, a bool for
    neither.
    """
    if annotation is Any:
        return True
    if annotation is None:
        return value is None
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if isinstance(value, bool):
            return annotation in (bool, object)
        return isinstance(value, (int, float) if annotation is float else annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(conforms(value, a) for a in args)
    if origin is Literal:
        return any(type(value) is type(a) and value == a for a in args)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        items = cast("tuple[object, ...]", value)
        if len(args) == 2 and args[1] is Ellipsis:
            return all(conforms(v, args[0]) for v in items)
        return len(args) == len(items) and all(map(conforms, items, args))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            conforms(k, args[0]) and conforms(v, args[1]) for k, v in cast("Mapping[object, object]", value).items())
    return True
